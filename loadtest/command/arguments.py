"""What `takt loadtest` takes: names, help and examples. Loads nothing else, so that `--help` is quick."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # A subparsers action of any parser class: whoever mounts the command brings its own.
    Commands = Any

_EPILOG = """\
a first test, beside `takt serve`:
  takt loadtest run steady            # comes with Takt, as do ramp, flash-crowd, slow-model, dead-store, soak
  takt loadtest run steady --rate 200 --gate 'p99 <= 20ms' --html
is the tool itself right, on this machine?
  takt loadtest calibrate
how much, how sure, better or worse?
  takt loadtest search steady --slo 'p99 <= 50ms' --keep 'share(rung=large) >= 0.95'
  takt loadtest plan --gate 'p99 <= 50ms @ 99%' --rate 500
  takt loadtest compare runs/before runs/after

exit codes: 0 all gates passed, 1 a gate failed, 2 usage or scenario, 3 inconclusive (too few requests),
4 invalid (the generator fell behind its schedule), 5 target unreachable, 130 interrupted (a report is written)."""


def add(commands: Commands) -> None:
    """Mount `loadtest` with its own commands below it."""
    parser = commands.add_parser(
        "loadtest",
        help="load-test a server: open loop, with gates, search and comparison",
        description="Open-loop load tests that count every request from the time at which it was meant to be sent.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_run(actions)
    _add_search(actions)
    _add_compare(actions)
    _add_report(actions)
    _add_merge(actions)
    _add_history(actions)
    _add_plan(actions)
    _add_calibrate(actions)
    _add_echo(actions)
    _add_scenario(actions)


def _action(actions: Commands, name: str, summary: str, *examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="examples:\n" + "\n".join(f"  takt loadtest {example}" for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", metavar="SCENARIO", help="a file (.toml, .yaml), or the name of one that ships")
    parser.add_argument("--target", metavar="URL", help="the server (default: the scenario's, http://127.0.0.1:8080)")
    parser.add_argument("--start", metavar="COMMAND", help="start the server with this, and stop it in the end")
    parser.add_argument("--pid", type=int, metavar="PID", help="the server's process, for faults of kind `sigstop`")
    parser.add_argument("--token", metavar="TOKEN", help="the server's admin token, for faults of kind `server`")
    parser.add_argument("--payload", metavar="FILE", help="texts to send: a CSV or JSONL")
    parser.add_argument(
        "--answers", choices=("takt", "any"), help="`any`: the server is not Takt; statuses alone count"
    )
    parser.add_argument("--connections", type=int, metavar="N", help="keep-alive connections (default: the scenario's)")
    parser.add_argument("--procs", type=int, default=1, metavar="N", help="generator processes (default: 1)")
    parser.add_argument(
        "--pin", type=_cores, default=(), metavar="CORES", help="cores of the generators, as 1 or 2,3 (Linux)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="same seed, same schedule (default: the scenario's)")
    parser.add_argument(
        "--engine", choices=("raw", "aiohttp", "inproc"), default="raw", help="inproc: no network (default: raw)"
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="takt.toml, for --engine inproc")
    parser.add_argument(
        "--live", choices=("tui", "lines", "off"), help="what is shown meanwhile (default: tui on a terminal)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to (default: runs/NAME-TIME)")


def _add_run(actions: Commands) -> None:
    run = _action(
        actions,
        "run",
        "run a scenario and judge it",
        "run steady",
        "run morning-peak.toml --target http://router:8080 --procs 2 --html",
        "run steady --rate 2000 --arrivals constant --duration 60s --gate 'attainment(50ms) >= 99%'",
        "run slow-model --start 'takt serve --allow-faults' --junit gates.xml",
        "run steady --engine inproc -c takt.toml     # the router without its network",
    )
    _add_target(run)
    run.add_argument("--rate", metavar="RATE", help="one phase at this rate, in place of the scenario's")
    run.add_argument("--arrivals", metavar="KIND", help="poisson, constant, gamma:0.5 or trace:FILE")
    run.add_argument("--duration", metavar="TIME", help="how long that phase is: 60s, 5m")
    run.add_argument("--warmup", metavar="TIME", help="before it, not measured (default: 5s)")
    run.add_argument("--budget", metavar="TIMES", help="what clients wait: 50ms, or 20ms:10,50ms:90")
    run.add_argument("--gate", action="append", default=[], metavar="EXPR", help="in addition to the scenario's")
    run.add_argument("--confidence", type=float, metavar="SHARE", help="of every gate (default: 0.99)")
    run.add_argument(
        "--extend-until-conclusive",
        metavar="TIME",
        help="while a gate is inconclusive, run again with a new seed and judge all together: twice more at most, and"
        " no longer than this",
    )
    _add_outputs(run)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--html", nargs="?", const="", metavar="FILE", help="the report as one file (default: report.html in the run)"
    )
    parser.add_argument("--md", action="store_true", help="the report in short, as Markdown, on stdout")
    parser.add_argument("--json", action="store_true", help="all numbers, on stdout")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="gates as test cases")
    parser.add_argument("--strict", action="store_true", help="in JUnit, inconclusive is a failure")


def _add_search(actions: Commands) -> None:
    search = _action(
        actions,
        "search",
        "find the highest rate that holds an objective, as a bracket, and confirm it",
        "search steady --slo 'p99 <= 50ms' --keep 'share(rung=large) >= 0.95' --keep 'agreement(large) >= 0.98'",
        "search steady --slo 'attainment() >= 0.99' --from 200 --to 5k --step 20s",
    )
    _add_target(search)
    search.add_argument("--slo", action="append", required=True, metavar="EXPR", help="what must hold")
    search.add_argument(
        "--keep", action="append", default=[], metavar="EXPR", help="and this: a router can hold any latency by"
        " giving up quality",
    )  # fmt: skip
    search.add_argument("--from", dest="lowest", default="100", metavar="RATE", help="begin here (default: 100)")
    search.add_argument("--to", dest="highest", default="50k", metavar="RATE", help="never higher (default: 50k)")
    search.add_argument("--precision", default="5%", metavar="SHARE", help="width of the bracket (default: 5%%)")
    search.add_argument("--step", default="20s", metavar="TIME", help="length of a step (default: 20s)")
    search.add_argument("--confirm", default="60s", metavar="TIME", help="length of the confirmation (default: 60s)")
    search.add_argument("--cooldown", default="2s", metavar="TIME", help="pause between steps (default: 2s)")
    search.add_argument("--confidence", type=float, metavar="SHARE", help="of every objective (default: 0.99)")
    search.add_argument("--json", action="store_true", help="the result, on stdout")


def _add_compare(actions: Commands) -> None:
    compare = _action(
        actions,
        "compare",
        "compare two runs, or two servers, and say whether the difference is more than noise",
        "compare runs/before runs/after --tolerance 5%",
        "compare http://old:8080 http://new:8080 --scenario steady --repeat 5     # interleaved",
        "compare --history runs/*",
    )
    compare.add_argument("base", nargs="?", metavar="BASE", help="a run, or the URL of a server")
    compare.add_argument("new", nargs="?", metavar="NEW", help="the other one")
    compare.add_argument("--history", nargs="+", metavar="RUN", help="runs by age: is the last an excursion?")
    compare.add_argument("--scenario", metavar="SCENARIO", help="what to run on the two servers")
    compare.add_argument("--repeat", type=int, default=5, metavar="N", help="pairs of runs, A B B A … (default: 5)")
    compare.add_argument("--tolerance", default="5%", metavar="SHARE", help="smaller is equal (default: 5%%)")
    compare.add_argument(
        "--fail-on", choices=("worse", "inconclusive"), default="worse", help="what exits with 1 or 3 (default: worse)"
    )
    compare.add_argument("--out", type=Path, metavar="DIR", help="of the runs that are made (default: runs/…)")
    compare.add_argument("--pin", type=_cores, default=(), metavar="CORES", help="cores of the generators (Linux)")
    compare.add_argument("--json", action="store_true", help="the result, on stdout")


def _add_report(actions: Commands) -> None:
    report = _action(
        actions,
        "report",
        "make reports from a run's raw data; nothing is run again",
        "report runs/steady-20260101-120000 --html",
        "report runs/new --baseline runs/old --html review.html",
        "report runs/new --md | gh pr comment --body-file -",
        "report machine-a.hlog     # percentiles of any HdrHistogram log",
    )
    report.add_argument("runs", nargs="+", metavar="RUN", help="a run's directory, or an HdrHistogram log (.hlog)")
    report.add_argument("--gate", action="append", default=[], metavar="EXPR", help="judge this too")
    report.add_argument("--baseline", type=Path, metavar="RUN", help="compare with this run in the report")
    report.add_argument("--hgrm", action="store_true", help="percentiles as HdrHistogram text, on stdout")
    report.add_argument("--hlog", type=Path, metavar="FILE", help="histograms as an HdrHistogram V2 log")
    _add_outputs(report)


def _add_merge(actions: Commands) -> None:
    merge = _action(
        actions,
        "merge",
        "put the runs of several machines, or several looks at one server, together",
        "merge runs/a runs/b --out runs/both",
    )
    merge.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="runs of the same scenario")
    merge.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to")


def _add_history(actions: Commands) -> None:
    history = _action(
        actions,
        "history",
        "write what each request of a run saw, a line of JSON each",
        "history runs/steady-20260101-120000 > history.jsonl",
        "history runs/steady-20260101-120000 | jq -c 'select(.late)'",
    )
    history.add_argument("run", type=Path, metavar="RUN", help="a run's directory")
    history.add_argument("--out", type=Path, metavar="FILE", help="where to (default: stdout)")


def _add_plan(actions: Commands) -> None:
    plan = _action(
        actions,
        "plan",
        "say how many requests and minutes a claim needs",
        "plan --gate 'p99 <= 50ms @ 99%' --rate 500",
        "plan --gate 'attainment(50ms) >= 0.999'",
    )
    plan.add_argument(
        "--gate", action="append", required=True, metavar="EXPR", help="the claim; `@ 95%%` says how sure"
    )
    plan.add_argument("--rate", default="100", metavar="RATE", help="requests per second (default: 100)")


def _add_calibrate(actions: Commands) -> None:
    calibrate = _action(
        actions,
        "calibrate",
        "prove the generator against known delays on this machine, and find its highest valid rate",
        "calibrate",
        "calibrate --target-latency const:5ms --rate 2000",
    )
    calibrate.add_argument(
        "--target-latency", action="append", default=[], metavar="KIND", help="const:5ms, bimodal, lognormal or stall"
    )
    calibrate.add_argument("--rate", action="append", default=[], metavar="RATE", help="at this rate alone")
    calibrate.add_argument("--duration", default="10s", metavar="TIME", help="of each measurement (default: 10s)")
    calibrate.add_argument("--engine", choices=("raw", "aiohttp"), default="raw", help="(default: raw)")
    calibrate.add_argument("--pin", type=_cores, default=(), metavar="CORES", help="core of the generator (Linux)")
    calibrate.add_argument("--pin-echo", type=_cores, default=(), metavar="CORES", help="core of the server (Linux)")
    calibrate.add_argument("--json", action="store_true", help="the result, on stdout")


def _add_echo(actions: Commands) -> None:
    echo = _action(
        actions,
        "serve-echo",
        "serve known delays, to test load testers with",
        "serve-echo --delay '5ms:90,50ms:9,500ms:1'",
        "serve-echo --delay 'exp(2ms)' --serial     # one at a time: a queue",
    )
    echo.add_argument("--host", default="127.0.0.1", metavar="HOST", help="(default: 127.0.0.1)")
    echo.add_argument("--port", type=int, default=8099, metavar="PORT", help="0: any free one (default: 8099)")
    echo.add_argument(
        "--delay", default="0ms", metavar="TIMES", help="a time, times with weights, or exp, lognormal, …"
    )
    echo.add_argument("--serial", action="store_true", help="one request at a time; the others wait")
    echo.add_argument("--error-share", type=float, default=0.0, metavar="SHARE", help="answered with 500")
    echo.add_argument("--seed", type=int, default=1, metavar="N", help="of the delays (default: 1)")


def _add_scenario(actions: Commands) -> None:
    validate = _action(
        actions,
        "validate",
        "check a scenario and say what it would do",
        "validate morning-peak.toml",
        "validate flash-crowd",
    )
    validate.add_argument("file", metavar="SCENARIO", help="a file, or the name of one that ships")
    _action(actions, "schema", "print the JSON schema of scenario files", "schema > loadtest.schema.json")


def _cores(text: str) -> tuple[int, ...]:
    try:
        cores = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are no cores; write 1 or 2,3") from None
    if not hasattr(os, "sched_getaffinity"):
        raise argparse.ArgumentTypeError("needs Linux")
    allowed = os.sched_getaffinity(0)
    if not allowed.issuperset(cores):
        known = ",".join(str(core) for core in sorted(allowed))
        raise argparse.ArgumentTypeError(f"{text!r}: there is no such core here; there are {known}")
    return cores
