"""Comparison says little about nothing, and finds what is there: queues on the same schedule, by pairs of runs.

As `compare URL URL` does: five pairs of 60 s. A trial of each kind takes 3 s together, so there are 5, with
`TAKT_SEEDS=500` 50, and with 2,000 and more the 200 that the goal is about.
"""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from scipy import stats

from loadtest.compare import Comparison, compare
from tests.lindley import arrivals_s, sojourns_s, view_of

pytestmark = pytest.mark.slow

TRIALS = max(5, min(200, int(os.environ.get("TAKT_SEEDS", "50")) // 10))
PAIRS, SECONDS, RATE = 5, 60.0, 700.0
# Of comparisons of a thing with itself: 5 % nominal, and what chance adds in so many; 8 % of 200 (binomial, 97.5 %).
MOST_FALSE = int(stats.binom.ppf(0.975, TRIALS, 0.05))


def compare_one(seed: int, busy: float, slower: float = 1.0, *, apart: float = 0.0, pairs: int = PAIRS) -> Comparison:
    """Two servers, `busy` so much of the time; the new one's latencies are `slower` times as long.

    Args: apart: how much runs of the same server differ, one from another (standard deviation of the logarithm).
    """
    rng = np.random.default_rng(seed)
    runs = []
    for _ in range(pairs):
        at_s = arrivals_s(RATE, SECONDS, rng)
        sides = [
            sojourns_s(at_s, rng.exponential(busy / RATE, len(at_s))) * factor * math.exp(apart * rng.standard_normal())
            for factor in (1.0, slower)
        ]
        runs.append((view_of(at_s, sides[0], SECONDS), view_of(at_s, sides[1], SECONDS)))
    return compare(runs, np.random.default_rng(seed + 1))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("busy", "apart", "pairs"),
    [(0.5, 0.0, PAIRS), (0.8, 0.0, PAIRS), (0.8, 0.0, 1), (0.5, 0.03, PAIRS), (0.5, 0.1, PAIRS), (0.5, 0.1, 2)],
)
def test_a_thing_is_not_worse_than_itself(busy: float, apart: float, pairs: int) -> None:
    verdicts = [compare_one(seed, busy, apart=apart, pairs=pairs).verdict for seed in range(TRIALS)]
    assert sum(verdict in {"better", "worse"} for verdict in verdicts) <= MOST_FALSE


@pytest.fixture(scope="module")
def tenth_slower() -> list[Comparison]:
    return [compare_one(seed, 0.5, slower=1.1) for seed in range(TRIALS)]


@pytest.mark.timeout(600)
def test_finds_a_p99_that_is_a_tenth_higher(tenth_slower: list[Comparison]) -> None:
    """At half load, 210,000 requests a side; queues that are busier have longer memories, and need more."""
    assert sum(each.verdict == "worse" for each in tenth_slower) >= 0.8 * TRIALS
    p99 = [next(metric.verdict for metric in each.metrics if metric.name == "p99") for each in tenth_slower]
    assert sum(verdict == "worse" for verdict in p99) >= 0.8 * TRIALS


@pytest.mark.timeout(600)
def test_intervals_hold_the_truth(tenth_slower: list[Comparison]) -> None:
    """A tenth, of three quantiles at once."""
    outside = [
        any(not metric.low <= 0.1 <= metric.high for metric in each.metrics if metric.name in {"p50", "p90", "p99"})
        for each in tenth_slower
    ]
    assert sum(outside) <= MOST_FALSE
