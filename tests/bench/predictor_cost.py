"""What predicting a batch costs, against the estimate for inline steps, and how well costs are covered.

Run: python -m tests.bench.predictor_cost [--json]. Quote the ratios; single times vary with the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from budgets.batch_cost import P90, P99, QUANTILES
from budgets.predictor import CostEstimate
from tests.bench import report
from tests.simulation.batches import LAWS, MS, SHAPES, Batch, Rung, coverage

if TYPE_CHECKING:
    import argparse

_ROUNDS, _BATCHES = 25, 2_000
_SETTLED, _COUNTED = 500, 4_000
_WINDOWS = ((0, 5), (5, 20), (20, 50), (50, 100), (100, 200), (200, 400), (400, 800))
_STEADY_GOAL = {P90: 0.02, P99: 0.01}


class Cost(msgspec.Struct, frozen=True):
    """Of one call: the best round, and the median over rounds of the ratio to the baseline."""

    name: str
    best_us: float
    ratio: float


class Covered(msgspec.Struct, frozen=True):
    law: str
    shape: str
    slower: float
    first: int
    last: int
    shares: tuple[float, ...]  # by QUANTILES


def costs(seed: int) -> list[Cost]:
    """All of them by turns, round after round; the first is the baseline."""
    rung = Rung(seed, "lognormal")
    sizes = [rung.size() for _ in range(_BATCHES)]
    seen = [(texts, longest, rung.cost_ns(texts, longest), 5 * MS * at) for at, (texts, longest) in enumerate(sizes)]
    inline, batched = CostEstimate(5 * MS, 10 * MS), rung.cost

    def observe_inline() -> None:
        for _, _, cost_ns, now_ns in seen:
            inline.observe(cost_ns, now_ns)

    def observe() -> None:
        for texts, longest, cost_ns, now_ns in seen:
            batched.observe(texts, longest, cost_ns, now_ns)

    def quantile() -> None:
        for texts, longest, _, now_ns in seen:
            batched.quantile_ns(P99, texts, longest, now_ns)

    def mean() -> None:
        for texts, longest, _, _ in seen:
            batched.mean_ns(texts, longest)

    calls: dict[str, Callable[[], None]] = {
        "CostEstimate.observe": observe_inline,
        "BatchCost.observe": observe,
        "BatchCost.quantile_ns": quantile,
        "BatchCost.mean_ns": mean,
    }
    rounds = [[_us(call) for call in calls.values()] for _ in range(_ROUNDS)]
    return [
        Cost(name, min(each[at] for each in rounds), median(each[at] / each[0] for each in rounds))
        for at, name in enumerate(calls)
    ]


def _us(call: Callable[[], None]) -> float:
    began_s = time.perf_counter()
    call()
    return (time.perf_counter() - began_s) / _BATCHES * 1e6


def steady(seeds: range) -> list[Covered]:
    found = []
    for law in LAWS:
        for shape in SHAPES:
            batches: list[Batch] = []
            for seed in seeds:
                rung = Rung(seed, law, shape)
                rung.skip(_SETTLED)
                batches += rung.run(_COUNTED)
            found.append(_covered(law, shape, 1.0, (_SETTLED, _SETTLED + _COUNTED), batches))
    return found


def shifted(seeds: range, slower: float) -> list[Covered]:
    found = []
    for law in LAWS:
        runs = []
        for seed in seeds:
            rung = Rung(seed, law)
            rung.skip(2 * _SETTLED)
            runs.append(list(rung.run(_WINDOWS[-1][1], slower)))
        for first, last in _WINDOWS:
            window = [batch for run in runs for batch in run[first:last]]
            found.append(_covered(law, "mixed", slower, (first, last), window))
    return found


def _covered(law: str, shape: str, slower: float, window: tuple[int, int], batches: list[Batch]) -> Covered:
    return Covered(law, shape, slower, *window, tuple(coverage(batches, at) for at in range(len(QUANTILES))))


def _is_met(found: list[Covered], at: int, first: int) -> bool:
    return all(abs(each.shares[at] - QUANTILES[at]) <= _STEADY_GOAL[at] for each in found if each.first >= first)


def main(arguments: argparse.Namespace) -> None:
    called = costs(arguments.seed)
    report.table(("call", "best us", "ratio"), [(each.name, each.best_us, each.ratio) for each in called])
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    at_rest = steady(seeds)
    print(f"\nCoverage of batches {_SETTLED} to {_SETTLED + _COUNTED}, {len(seeds)} seeds, cost unchanged")
    report.table(
        ("law", "cost by size", *map(str, QUANTILES)),
        [(each.law, each.shape, *(f"{share:.4f}" for share in each.shares)) for each in at_rest],
    )
    report.verdict("steady, |coverage - .9| <= .02", is_met=_is_met(at_rest, P90, 0))
    report.verdict("steady, |coverage - .99| <= .01", is_met=_is_met(at_rest, P99, 0))
    changed = []
    for slower in (2.0, 10.0, 0.5):
        moved = shifted(seeds, slower)
        changed += moved
        print(f"\nCoverage in batches after the cost was multiplied by {slower:g}, {len(seeds)} seeds")
        header = ("law", "q", *(f"{first}-{last}" for first, last in _WINDOWS))
        rows = [
            (law, str(QUANTILES[at]), *(f"{each.shares[at]:.3f}" for each in moved if each.law == law))
            for law in LAWS
            for at in (P90, P99)
        ]
        report.table(header, rows)
        report.verdict("re-covered after 200 batches, q = .9", is_met=_is_met(moved, P90, 200))
        report.verdict("re-covered after 400 batches, q = .99", is_met=_is_met(moved, P99, 400))
    report.write_json("predictor-cost", arguments, {"calls": called, "steady": at_rest, "changed": changed})


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    main(parser.parse_args())
