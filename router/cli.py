"""The command line: parses, runs the command, and turns every error into plain lines and an exit code."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING

from loadtest.command.arguments import add as add_loadtest
from router import __version__
from router.commands import arguments
from router.commands.arguments import Parser

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
PIPE_CLOSED = 141  # 128 + SIGPIPE

_EPILOG = """\
from nothing to a first decision:
  takt init shop && cd shop
  takt check
  takt train
  takt route "where is my parcel?"
  takt serve

Settings come from takt.toml; environment variables override them: TAKT__SERVER__PORT=9000.
Exit codes: 0 done, 1 the thing checked failed, 2 usage or configuration; `takt loadtest` has more.
`takt COMMAND --help` shows what a command takes, with examples."""


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
        module = import_module(f"router.commands.{args.command.replace('-', '_')}")
        code: int = module.run(args)
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
        note(*f"takt {command}: {error}".splitlines())
        return code
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    note(*f"takt {command}: unexpected {what}; run with TAKT_DEBUG=1 for the traceback".splitlines())
    return 1


def _parser() -> Parser:
    parser = Parser(
        prog="takt",
        description="Routes interactions within a latency budget: from a trained model, or from a fallback in time.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"takt {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    arguments.add_project(commands)
    arguments.add_models(commands)
    arguments.add_serving(commands)
    arguments.add_decisions(commands)
    arguments.add_audit(commands)
    arguments.add_check_history(commands)
    arguments.add_simulate(commands)
    add_loadtest(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
