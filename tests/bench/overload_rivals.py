"""Misses at twice C against other ways to hold budgets (tests/bench/baselines.py). A part of `tests.bench.overload`.

A miss is a scheduled request that no rung answered with a 200 within its budget. All servers run side by side and are
asked in turn, forwards and backwards (A B C C B A), each turn of a pair with the same schedule.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tests.bench import report
from tests.bench.baselines import POLICIES
from tests.bench.overload_load import shares
from tests.bench.overload_numbers import Numbers, numbers, steady
from tests.bench.overload_run import server

if TYPE_CHECKING:
    from tests.bench.overload import Bench

_LOAD, _MORE = 2.0, 4.0
_GOALS = {"takt-b0": 10.0, "takt-b1": 5.0, "takt-b2": 2.0}
_TAKT = "takt"
_WASTERS = (_TAKT, "takt-b0", "takt-b1")  # of which executor time is told at 4 C, too
_SAMPLES = 4_000


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    load: float
    seed: int
    numbers: Numbers
    wasted: float

    @property
    def misses(self) -> int:
        return round((1 - self.numbers.attainment) * self.numbers.requests)


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as many requests a baseline misses; with no miss of Takt's the number is a least: one is counted.

    The interval is of bootstrap samples of pairs, 95 of 100; `pairs` that were invalid are left out.
    """

    kind: str
    misses: int
    of_takt: int
    ratio: float
    low: float
    high: float
    pairs: int


def measure(bench: Bench) -> dict[str, object]:
    """Turns and ratios."""
    units, given = bench.units, bench.given
    kinds, turns = (_TAKT, *POLICIES), []
    with ExitStack() as stack:
        servers = {
            kind: stack.enter_context(server(kind, timeout_ms=units.budget_ms, expected_ms=units.e_ms))
            for kind in kinds
        }

        def turn(kind: str, load: float, seed: int) -> None:
            rate, budget_ms = load * units.c, units.budget_ms
            seen = steady(servers[kind], rate, given.turn_s, budget_ms, given, seed=seed)
            told = numbers(seen.measured, bench.qualities, valid=not seen.why_invalid)
            turns.append(Turn(kind=kind, load=load, seed=seed, numbers=told, wasted=seen.wasted_share))

        for at in range(given.seeds):
            for half, order in enumerate((kinds, kinds[::-1])):
                for kind in order:
                    turn(kind, _LOAD, given.seed + 2 * at + half)
            bench.pace(f"rivals: {at + 1} of {given.seeds} seeds")
        for kind in _WASTERS:
            turn(kind, _MORE, given.seed)
    ratios = [_ratio(turns, kind, given.seed) for kind in POLICIES]
    _tell(turns, ratios)
    return {"turns": turns, "ratios": ratios}


def _ratio(turns: list[Turn], kind: str, seed: int) -> Ratio:
    mine, theirs = ({each.seed: each for each in turns if each.kind == name and each.load == _LOAD}
                    for name in (_TAKT, kind))  # fmt: skip
    valid = [at for at in mine if mine[at].numbers.valid and theirs[at].numbers.valid]
    pairs = np.array([(mine[at].misses, theirs[at].misses) for at in valid], np.float64).reshape(-1, 2)
    if not len(pairs):
        nan = float("nan")
        return Ratio(kind=kind, misses=0, of_takt=0, ratio=nan, low=nan, high=nan, pairs=0)
    drawn = pairs[np.random.default_rng(seed).integers(0, len(pairs), (_SAMPLES, len(pairs)))].sum(axis=1)
    low, high = (float(each) for each in np.quantile(drawn[:, 1] / np.maximum(drawn[:, 0], 1), (0.025, 0.975)))
    of_takt, misses = (int(each) for each in pairs.sum(axis=0))
    ratio = misses / max(of_takt, 1)
    return Ratio(kind=kind, misses=misses, of_takt=of_takt, ratio=ratio, low=low, high=high, pairs=len(pairs))


def _tell(turns: list[Turn], ratios: list[Ratio]) -> None:
    rows: list[tuple[object, ...]] = []
    for load, kind in sorted({(each.load, each.kind) for each in turns}):
        its = [each for each in turns if (each.load, each.kind) == (load, kind)]
        valid = [each for each in its if each.numbers.valid]
        ratio = next((each for each in ratios if each.kind == kind and load == _LOAD and each.pairs), None)
        if not valid:
            rows.append((f"{load:g} C", kind, f"0 of {len(its)}", *("-",) * 7))
            continue
        mean = {name: float(np.mean([getattr(each.numbers, name) for each in valid]))
                for name in ("attainment", "shed", "late", "quality", "quality_per_s")}  # fmt: skip
        rungs = {name: float(np.mean([each.numbers.rungs.get(name, 0.0) for each in valid]))
                 for each in valid for name in each.numbers.rungs}  # fmt: skip
        rows.append((
            f"{load:g} C", kind, f"{len(valid)} of {len(its)}", f"{1 - mean['attainment']:.2%}",
            "" if ratio is None else f"{ratio.ratio:.1f} [{ratio.low:.1f}, {ratio.high:.1f}]", shares(rungs),
            f"{mean['shed']:.1%} / {mean['late']:.1%}", f"{mean['quality']:.3f}", mean["quality_per_s"],
            f"{float(np.mean([each.wasted for each in valid])):.1%}",
        ))  # fmt: skip
    report.table(("load", "server", "valid", "misses", "ratio to takt [95 %]", "by rung", "shed / late", "quality",
                  "quality/s", "wasted"), rows)  # fmt: skip
    for each in ratios:
        if each.kind in _GOALS:
            least = _GOALS[each.kind]
            report.verdict(f"{each.kind} misses at least {least:g} times as many", is_met=each.low >= least)
