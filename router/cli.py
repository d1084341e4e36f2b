"""The command line: parses, runs the command, and turns every error into one plain line and an exit code."""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from router import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
PIPE_CLOSED = 141  # 128 + SIGPIPE
_MAX_PORT = 65_535

_EPILOG = """\
from nothing to a first decision:
  takt init shop && cd shop
  takt check
  takt train
  takt route "where is my parcel?"
  takt serve

Settings come from takt.toml; environment variables override them: TAKT__SERVER__PORT=9000.
Exit codes: 0 done, 1 the thing checked failed, 2 usage or configuration.
`takt COMMAND --help` shows what a command takes, with examples."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong on one line, and where help is."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"  # noqa: SLF001 - it has no public name


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns: 0 done, 1 the thing checked failed, 2 usage or configuration, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that a terminal can't show must not end a command
            stream.reconfigure(errors="backslashreplace")
    try:
        args = _parser().parse_args(argv)
    except SystemExit as done:  # --help, --version, wrong usage
        return int(done.code or 0)
    try:
        code: int = import_module(f"router.commands.{args.command}").run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # as in `takt explain … | head -1`; what is still buffered has no reader
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 - people get a line, not a traceback
        return _report(args.command, error)
    return code


def _report(command: str, error: Exception) -> int:
    from router.commands.errors import exit_code  # noqa: PLC0415 - costs 0.1 s, which --help need not pay
    from router.commands.terminal import note  # noqa: PLC0415

    if os.environ.get("TAKT_DEBUG"):
        traceback.print_exception(error)
    code = exit_code(error)
    if code is not None:
        note(f"takt {command}: {error}")
        return code
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    note(f"takt {command}: unexpected {what}; run with TAKT_DEBUG=1 for the traceback")
    return 1


def _parser() -> _Parser:
    parser = _Parser(
        prog="takt",
        description="Routes interactions within a latency budget: from a trained model, or from a fallback in time.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"takt {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_project(commands)
    _add_models(commands)
    _add_serving(commands)
    _add_decisions(commands)
    return parser


def _command(commands: _Commands, name: str, summary: str, *examples: str) -> _Parser:
    return commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="examples:\n" + "\n".join(f"  {example}" for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_config(parser: _Parser, default: str) -> None:
    parser.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help=f"the project's takt.toml (default: {default})"
    )


def _add_columns(parser: _Parser) -> None:
    parser.add_argument("--text-column", default="text", metavar="NAME", help="column of the texts (default: text)")
    parser.add_argument("--route-column", default="route", metavar="NAME", help="column of the routes (default: route)")


_HERE = "takt.toml in this directory"
_HERE_OR_EXAMPLE = f"{_HERE}; in a checkout of Takt, the example's"


def _add_project(commands: _Commands) -> None:
    init = _command(
        commands, "init", "write a commented project to start from", "takt init shop", "takt init .   # here"
    )
    init.add_argument("dir", type=Path, metavar="DIR", help="where to; made when missing; no file is overwritten")
    check = _command(
        commands,
        "check",
        "check everything: settings, routes, rules, utterances, models",
        "takt check",
        "takt check -c shop/takt.toml",
        "TAKT__SERVER__PORT=9000 takt check   # environment variables are checked too",
    )
    _add_config(check, _HERE)


def _add_models(commands: _Commands) -> None:
    train = _command(
        commands,
        "train",
        "train, calibrate, quantise and verify the models",
        "takt train                                        # the project here",
        "takt train -c shop/takt.toml --seed 7",
        "takt train --utterances train.csv --out models    # any CSV; its labels are the routes",
        "takt train --utterances train.csv --text-column query --route-column intent --out models",
    )
    _add_config(train, f"{_HERE}, unless --utterances is given")
    train.add_argument(
        "--utterances", type=Path, metavar="FILE", help="train on this CSV instead of the project's utterances"
    )
    _add_columns(train)
    train.add_argument("--out", type=Path, metavar="DIR", help="where to (default: models.dir of the project)")
    train.add_argument(
        "--seed", type=_natural, default=0, metavar="N", help="the same rows and seed give the same models (default: 0)"
    )
    train.add_argument("--accurate", action="store_true", help=argparse.SUPPRESS)
    evaluate = _command(
        commands,
        "evaluate",
        "score models on labelled texts",
        "takt evaluate --models models --data test.csv",
        "takt evaluate --models models --data test.csv --json | jq .rungs.small.accuracy",
    )
    evaluate.add_argument("--models", type=Path, metavar="DIR", required=True, help="what `takt train` wrote")
    evaluate.add_argument(
        "--data", type=Path, metavar="FILE", required=True, help="CSV; rows labelled `oos` belong to no route"
    )
    _add_columns(evaluate)
    evaluate.add_argument("--json", action="store_true", help="one line of JSON instead of a table")


def _add_serving(commands: _Commands) -> None:
    serve = _command(
        commands,
        "serve",
        "serve decisions over HTTP until Ctrl-C or SIGTERM",
        "takt serve",
        "takt serve -c shop/takt.toml --host 0.0.0.0 --port 9000",
    )
    _add_config(serve, _HERE_OR_EXAMPLE)
    serve.add_argument("--host", metavar="HOST", help="address to listen on, in place of server.host")
    serve.add_argument("--port", type=_port, metavar="PORT", help="in place of server.port; 0: any free one")
    serve.add_argument(
        "--allow-faults", action="store_true", help="let an admin inject faults by PUT /v1/admin/faults: for tests only"
    )


def _add_decisions(commands: _Commands) -> None:
    route = _command(
        commands,
        "route",
        "decide one text, without a server",
        'takt route "where is my parcel?"',
        'takt route "where is my parcel?" --budget-ms 5 --json | jq .route',
    )
    route.add_argument("text", metavar="TEXT", help="what a customer says")
    route.add_argument(
        "--budget-ms", type=_milliseconds, metavar="MS", help="time for the decision (default: budget.default_ms, 50)"
    )
    route.add_argument("--json", action="store_true", help="what POST /v1/interactions would answer")
    _add_config(route, _HERE_OR_EXAMPLE)
    explain = _command(
        commands,
        "explain",
        "tell how a logged decision came about, and where its time went",
        "takt explain 0199c3a1b2c34f5e6d7c8b9a0f1e2d3c",
        "takt explain 0199c3a1b2c34f5e6d7c8b9a0f1e2d3c --json",
    )
    explain.add_argument("decision_id", metavar="DECISION_ID", help="`decision_id` of an answer")
    explain.add_argument("--json", action="store_true", help="the record, as GET /v1/decisions/{id} gives it")
    _add_config(explain, _HERE_OR_EXAMPLE)


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; 0 to {_MAX_PORT} are")
    return int(text)


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of milliseconds")
    return value


if __name__ == "__main__":
    sys.exit(main())
