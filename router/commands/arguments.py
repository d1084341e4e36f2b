"""What each command takes: names, help and examples. Loads nothing else, so that `takt --help` is quick."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable


class Parser(argparse.ArgumentParser):
    """Says what is wrong on one line, and where help is."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001 - it has no public name

_MAX_PORT = 65_535
_LEAST_KEPT, _MOST_KEPT = 0.5, 0.999


def _command(commands: Commands, name: str, summary: str, *examples: str) -> Parser:
    return commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="examples:\n" + "\n".join(f"  {example}" for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_config(parser: Parser, default: str) -> None:
    parser.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help=f"the project's takt.toml (default: {default})"
    )


def _add_columns(parser: Parser) -> None:
    parser.add_argument("--text-column", default="text", metavar="NAME", help="column of the texts (default: text)")
    parser.add_argument("--route-column", default="route", metavar="NAME", help="column of the routes (default: route)")


_HERE = "takt.toml in this directory"
_HERE_OR_EXAMPLE = f"{_HERE}; in a checkout of Takt, the example's"


def add_project(commands: Commands) -> None:
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


def add_models(commands: Commands) -> None:
    train = _command(
        commands,
        "train",
        "train, calibrate, quantise and verify the models",
        "takt train                                        # the project here",
        "takt train -c shop/takt.toml --seed 7",
        "takt train --utterances train.csv --out models    # any CSV; its labels are the routes",
        "takt train --utterances train.csv --text-column query --route-column intent --out models",
        "takt train --labels corrected.csv                 # and decisions of the log, put right",
        "takt train --encoder weights/minilm --accurate    # minutes; the encoder learns too",
    )
    _add_config(train, f"{_HERE}, unless --utterances is given")
    train.add_argument(
        "--utterances", type=Path, metavar="FILE", help="train on this CSV instead of the project's utterances"
    )
    _add_columns(train)
    train.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="learn from logged decisions too: a CSV of decision_id and the route that would have been right",
    )
    train.add_argument("--out", type=Path, metavar="DIR", help="where to (default: models.dir of the project)")
    train.add_argument(
        "--seed", type=_natural, default=0, metavar="N", help="the same rows and seed give the same models (default: 0)"
    )
    train.add_argument(
        "--no-activate", action="store_true", help="only add the version; `takt models activate` takes it into service"
    )
    train.add_argument(
        "--encoder",
        type=Path,
        metavar="DIR",
        help="pretrained encoder for the rung `large` (default: models.encoder of the project, else the installed one)",
    )
    train.add_argument(
        "--accurate", action="store_true", help="tune the encoder to the utterances: better, takes minutes, needs torch"
    )
    train.add_argument(
        "--kept-accuracy",
        type=_kept_accuracy,
        metavar="SHARE",
        help="how many of the routes taken shall be right, 0.5 to 0.999: sets the thresholds, below which the `unsure`"
        " route answers (default: models.kept_accuracy, 0.95)",
    )
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
    _add_versions(commands)


def _add_versions(commands: Commands) -> None:
    models = _command(
        commands,
        "models",
        "list versions of models, take one into service, go back, or bring your own",
        "takt models list",
        "takt models activate 3f2a",
        "takt models activate 3f2a --url http://127.0.0.1:8080   # the running server changes over",
        "takt models rollback --url http://127.0.0.1:8080",
        "takt models import classifier.onnx --labels labels.txt --data test.csv",
    )
    actions = models.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = _command(actions, "list", "list the versions, the newest first", "takt models list")
    activate = _command(
        actions,
        "activate",
        "verify a version, compare it with the active one, make it active",
        "takt models activate 3f2a",
    )
    activate.add_argument("version", metavar="VERSION", help="its name, or a beginning that no other has")
    activate.add_argument("--force", action="store_true", help="even if it is right less often on the canary texts")
    rollback = _command(actions, "rollback", "make the version active that was before", "takt models rollback")
    for parser in (listing, activate, rollback):
        _add_config(parser, _HERE)
        parser.add_argument("--json", action="store_true", help="one line of JSON instead of text")
        parser.add_argument("--url", metavar="URL", help="ask this server, in place of the files")
        parser.add_argument("--token", metavar="TOKEN", help="its server.admin_token (default: that of the project)")
    _add_import(actions)


def _add_import(actions: Commands) -> None:
    bring = _command(
        actions,
        "import",
        "add a version with a classifier of your own as one of its rungs, and take it into service",
        "takt models import classifier.onnx --labels labels.txt --output probabilities --data test.csv",
        "takt models import bert.onnx --labels labels.txt --tokenizer tokenizer.json --data test.csv",
        "takt models import ngrams.onnx --name small --ngram-bits 16 --data test.csv",
    )
    bring.add_argument(
        "graph",
        type=Path,
        metavar="GRAPH.onnx",
        help="one file; what it is fed is told by the names of its inputs: `text`, `input_ids` and `attention_mask`,"
        " `ids`, `member` and `length`, or `columns`; its first output is a score for each label",
    )
    bring.add_argument(
        "--name", choices=("large", "small"), default="large", help="which rung it becomes (default: large)"
    )
    bring.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        required=True,
        help="CSV of texts that it has not learned from; they calibrate it and set its threshold",
    )
    _add_columns(bring)
    bring.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="its labels, one a line, in the order of its scores (default: those of the active version)",
    )
    bring.add_argument(
        "--output", choices=("logits", "probabilities"), default="logits", help="what its scores are (default: logits)"
    )
    bring.add_argument("--tokenizer", type=Path, metavar="FILE", help="the tokenizer.json, where it reads word pieces")
    bring.add_argument(
        "--max-pieces", type=_between(3, 512), default=64, metavar="N", help="pieces read of a text (default: 64)"
    )
    bring.add_argument(
        "--ngram-bits", type=_between(4, 22), metavar="N", help="2**N buckets, where it reads hashed n-grams"
    )
    bring.add_argument(
        "--no-activate", action="store_true", help="only add the version; `takt models activate` takes it into service"
    )
    _add_config(bring, _HERE)


def add_serving(commands: Commands) -> None:
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


def add_decisions(commands: Commands) -> None:
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


def add_audit(commands: Commands) -> None:
    audit = _command(
        commands,
        "audit",
        "tell where latency budgets go, from the decision log: the bottleneck, and what would help",
        "takt audit                          # the newest 100,000 decisions; beside a running server, or without one",
        "takt audit --since 1h",
        "takt audit --since 1h --point interactions --slo 0.99   # exit code 1 when fewer were in budget",
        "takt audit --json | jq -r '.what_ifs[].sentence'",
    )
    window = audit.add_mutually_exclusive_group()
    window.add_argument(
        "--since", type=_duration_ns, metavar="TIME", help="only decisions of the last 30s, 15m, 6h, …, a week at most"
    )
    window.add_argument(
        "--last", type=_count, default=100_000, metavar="N", help="only the newest N decisions (default: 100000)"
    )
    audit.add_argument("--point", metavar="POINT", help="only decisions of this point")
    audit.add_argument(
        "--slo", type=_share, metavar="SHARE", help="exit code 1 when a smaller share was in budget, such as 0.999"
    )
    audit.add_argument("--json", action="store_true", help="one line of JSON; its fields are only ever added to")
    _add_config(audit, _HERE_OR_EXAMPLE)


def add_simulate(commands: Commands) -> None:
    simulate = _command(
        commands,
        "simulate",
        "play days of customers and agents through the assignment engine, and compare policies",
        "takt simulate                                    # a bank's Monday, two policies",
        "takt simulate my-day.toml --policy queues.toml --policy changed.toml --out report.html",
        "takt simulate --log var/takt.sqlite --policy queues.toml --policy changed.toml   # what really came",
        "takt simulate day --days 30 --json | jq '.policies[1].differences'",
        "takt simulate my-day.toml --policy queues.toml --advise    # whom to teach what",
    )
    simulate.add_argument(
        "world",
        nargs="?",
        metavar="WORLD",
        help="a TOML file of customers and agents, or `day`, which comes with Takt (default: day)",
    )
    simulate.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="play what this log holds, in place of a WORLD: who came, who was there",
    )
    simulate.add_argument(
        "--policy",
        type=Path,
        action="append",
        metavar="FILE",
        help="a queues.toml; repeat it to compare: the first is what the others are compared with"
        " (default: those that the world names)",
    )
    simulate.add_argument(
        "--days", type=_between(1, 10_000), default=10, metavar="N", help="days to play, each drawn anew (default: 10)"
    )
    simulate.add_argument(
        "--seed", type=_natural, default=0, metavar="N", help="the same seed gives the same figures (default: 0)"
    )
    simulate.add_argument("--out", type=Path, metavar="FILE", help="also write a report with plots, one HTML file")
    simulate.add_argument(
        "--advise", action="store_true", help="tell which one skill for which agent shortens waits most, in the WORLD"
    )
    simulate.add_argument("--json", action="store_true", help="one line of JSON instead of tables")


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def _between(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return number


def _kept_accuracy(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not _LEAST_KEPT <= share <= _MOST_KEPT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from {_LEAST_KEPT} to {_MOST_KEPT}")
    return share


def add_check_history(commands: Commands) -> None:
    check = _command(
        commands,
        "check-history",
        "check a load test against the decision log: whether the server kept its promises",
        "takt loadtest run steady --out runs/today && takt check-history runs/today",
        "takt check-history runs/today -c shop/takt.toml --json | jq .findings",
    )
    check.add_argument("run", type=Path, metavar="RUN", help="the directory of a run of `takt loadtest run`")
    check.add_argument("--log", type=Path, metavar="FILE", help="the server's decision log (default: log.path)")
    check.add_argument("--json", action="store_true", help="one line of JSON instead of tables")
    _add_config(check, _HERE_OR_EXAMPLE)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return share


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _duration_ns(text: str) -> int:
    from loadtest.errors import ScenarioError  # noqa: PLC0415 - loads more than --help need wait for
    from loadtest.quantity import duration_ns  # noqa: PLC0415

    try:
        return duration_ns(text)
    except ScenarioError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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
