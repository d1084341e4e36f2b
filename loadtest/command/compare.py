"""`takt loadtest compare`: two runs, two servers or a history; is the newer one worse?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import uvloop

from loadtest.command.build import command_line, default_out
from loadtest.compare import MOST_PAIRS, SHARE_TOLERANCE, Comparison, Metric, compare, overall
from loadtest.conductor import Options, conduct
from loadtest.errors import FAILED, INCONCLUSIVE, INTERRUPTED, INVALID, PASSED, RunError, ScenarioError
from loadtest.excursion import FEWEST, Excursion, excursion
from loadtest.health import check
from loadtest.quantity import number, show_ns, to_json
from loadtest.report.draw.words import counted
from loadtest.run import RUN, open_run
from loadtest.scenario.override import with_overrides
from loadtest.scenario.read import parse_scenario
from loadtest.terminal import note, say, table
from loadtest.view import quantile_ns, view

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from loadtest.run import Run
    from loadtest.scenario.spec import Scenario
    from loadtest.view import View

# Of the bootstrap: the same runs always give the same intervals.
_SEED = 1


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What `--history --json` prints."""

    runs: tuple[str, ...]
    metrics: tuple[Excursion, ...]


def run(args: Namespace) -> int:
    """Compare.

    Returns: 0 not worse, 1 worse, 3 inconclusive if `--fail-on inconclusive`, 4 a run is invalid, 130 interrupted.
    Raises: LoadtestError: there is nothing to compare.
    """
    tolerance = _tolerance(args.tolerance)
    if args.history:
        return _history([Path(name) for name in args.history], args, tolerance)
    if args.base is None or args.new is None:
        raise ScenarioError("name two runs or two URLs, or give --history")
    if _is_url(args.base) != _is_url(args.new):
        raise ScenarioError(f"{args.base} and {args.new}: name two runs or two URLs, not one of each")
    if _is_url(args.base):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            made = runner.run(_interleaved(args))
        if made is None:
            return INTERRUPTED
        pairs = made
    else:
        bases, news = runs_in(Path(args.base)), runs_in(Path(args.new))
        if len(bases) != len(news):
            raise RunError(f"{args.base} holds {len(bases)} runs and {args.new} {len(news)}: they can't be paired")
        pairs = list(zip(bases, news, strict=True))
    found = compare(
        [(view(base), view(new)) for base, new in pairs],
        np.random.default_rng(_SEED),
        names=(args.base, args.new),
        tolerance=tolerance,
    )
    if args.json:
        say(*to_json(found).decode().splitlines())
    else:
        _tell(found)
    if not _are_valid([each for pair in pairs for each in pair]):
        return INVALID
    return _exit_code(found.verdict, args.fail_on)


def _tolerance(text: str) -> float:
    try:
        tolerance = number(text)
    except ScenarioError as error:
        raise ScenarioError(f"--tolerance: {error}") from None
    if not 0 < tolerance < 1:
        raise ScenarioError(f"--tolerance {text}: must be above 0% and below 100%")
    return tolerance


def runs_in(path: Path) -> list[Run]:
    """The run in a directory, or the runs in the directories below it by name. Raises: RunError: there is none."""
    if (path / RUN).exists() or not path.is_dir():
        return [open_run(path)]
    found = sorted(each.parent for each in path.glob(f"*/{RUN}"))
    if not found:
        raise RunError(f"{path}: holds no run, and no directory of runs")
    return [open_run(each) for each in found]


def order(pairs: int) -> list[tuple[int, str]]:
    """Which pair's run goes when: A B B A A B B A …, so that what drifts with time meets both sides alike."""
    return [(at, side) for at in range(pairs) for side in (("base", "new") if at % 2 == 0 else ("new", "base"))]


def one_of(scenario: Scenario, pair: int, url: str) -> Scenario:
    """A pair has a seed of its own, and both of its runs the same schedule."""
    target = msgspec.structs.replace(scenario.target, start=None)
    alone = msgspec.structs.replace(scenario, target=target)
    return with_overrides(alone, url=url, seed=scenario.seed + pair)


async def _interleaved(args: Namespace) -> list[tuple[Run, Run]] | None:
    """Run the scenario on both servers by turns. None: interrupted; what was run stays."""
    if args.scenario is None:
        raise ScenarioError("two URLs need --scenario: what shall be sent to them?")
    if not 1 <= args.repeat <= MOST_PAIRS:
        raise ScenarioError(f"--repeat {args.repeat}: must be 1 to {MOST_PAIRS}")
    scenario = parse_scenario(args.scenario)
    out = args.out or default_out(f"compare-{scenario.name}")
    urls = {"base": args.base, "new": args.new}
    made: dict[str, list[Run]] = {"base": [], "new": []}
    note(f"all runs: {out}; compare {out / 'base'} {out / 'new'} judges them again")
    for pair, side in order(args.repeat):
        note(f"pair {pair + 1} of {args.repeat}: {side}, {urls[side]}")
        options = Options(out=out / side / f"{pair + 1:02}", pin=args.pin, command=command_line())
        made[side].append(await conduct(one_of(scenario, pair, urls[side]), options))
        if made[side][-1].record.status == "interrupted":
            return None
    return list(zip(made["base"], made["new"], strict=True))


def _are_valid(runs: Sequence[Run]) -> bool:
    """Says which are not, and why."""
    valid = True
    for each in runs:
        validity = check(each, view(each))
        if not validity.valid:
            note(f"{each.path}: invalid: {validity.reasons[0]}")
            valid = False
    return valid


def _exit_code(verdict: str, fail_on: str) -> int:
    if verdict == "worse":
        return FAILED
    return INCONCLUSIVE if verdict == "inconclusive" and fail_on == "inconclusive" else PASSED


def _tell(found: Comparison) -> None:
    pairs = f"{counted(found.pairs, 'pair')} of runs"
    say(f"base: {found.base}", f"new:  {found.new}")
    say(f"{pairs}, {found.requests[0]:,} and {found.requests[1]:,} requests", "")
    table(
        ("metric", "base", "new", "difference", f"{found.confidence:.0%} interval", "verdict"),
        [(each.name, *_values(each), *_difference(each), _verdict(each)) for each in found.metrics],
    )
    tolerance = f"tolerance {100 * found.tolerance:g}%, of shares {100 * found.share_tolerance:g} points"
    say("", f"verdict: {found.verdict} ({tolerance})")
    say(*(f"note: {line}" for line in found.notes))


def _values(metric: Metric) -> tuple[str, str]:
    if metric.unit == "ns":
        return show_ns(metric.base), show_ns(metric.new)
    return f"{metric.base:.2%}", f"{metric.new:.2%}"


def _difference(metric: Metric) -> tuple[str, str]:
    unit = "%" if metric.unit == "ns" else " pt"
    point, low, high = (f"{100 * value:+.1f}{unit}" for value in (metric.difference, metric.low, metric.high))
    return point, f"{low} to {high}"


def _verdict(metric: Metric) -> str:
    said = metric.verdict if metric.judged else f"({metric.verdict})"
    return f"{said}: {metric.why}" if metric.why else said


def _history(paths: list[Path], args: Namespace, tolerance: float) -> int:
    """Judge the newest of some runs, told in the order of their age."""
    known = [(run, seen) for path in paths for run, seen in _usable(path)]
    if not known:
        raise RunError("--history: none of them is a complete run")
    known.sort(key=lambda each: each[0].record.started_at)
    runs, views = [run for run, _ in known], [seen for _, seen in known]
    metrics = []
    for q in (0.5, 0.99):
        values = [quantile_ns(each.latency_ns, q) for each in views]
        least = tolerance * float(np.median(values))
        metrics.append(excursion(f"p{100 * q:g}", values, better="lower", least=least))
    met = [float(each.met().mean()) for each in views]
    metrics.append(excursion("in budget", met, better="higher", least=SHARE_TOLERANCE))
    if args.json:
        say(
            *to_json(History(runs=tuple(str(each.path) for each in runs), metrics=tuple(metrics))).decode().splitlines()
        )
    else:
        table(("metric", "last", "band of those before", "verdict"), [_excursion_row(each) for each in metrics])
    if len(runs) < FEWEST + 2:
        note(f"{counted(len(runs), 'run')}: a band needs {FEWEST} before the two that are judged")
    if not _are_valid(runs[-2:]):
        return INVALID
    return _exit_code(overall([each.verdict for each in metrics]), args.fail_on)


def _usable(path: Path) -> Iterator[tuple[Run, View]]:
    """The run and what was measured in it; nothing, with a note, of what can't be held against others."""
    try:
        run = open_run(path)
    except RunError as error:
        note(f"left out: {error}")
        return
    seen = view(run).on("all")
    if run.record.status != "complete" or not len(seen):
        note(f"left out: {path}: it is {run.record.status}, with {len(seen):,} requests measured")
        return
    yield run, seen


def _excursion_row(each: Excursion) -> tuple[str, str, str, str]:
    def shown(value: float) -> str:
        return f"{value:.2%}" if each.name == "in budget" else show_ns(value)

    band = "" if each.low is None or each.high is None else f"{shown(each.low)} to {shown(each.high)}"
    return each.name, shown(each.last), band, each.verdict


def _is_url(text: str) -> bool:
    return "://" in text
