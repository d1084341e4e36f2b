"""At least a share q of the costs lies below the estimate, whatever their distribution, and not by a wide margin."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.predictor import CostEstimate

MS, S = 1_000_000, 1_000_000_000
GROWTH = 1.1  # of the buckets
SHAPES: dict[str, Callable[[Random], float]] = {
    "lognormal": lambda rng: 10 * MS * rng.lognormvariate(0, 0.25),
    "exponential": lambda rng: rng.expovariate(1 / (10 * MS)),
    "uniform": lambda rng: rng.uniform(5 * MS, 15 * MS),
    "two modes": lambda rng: rng.choice((4, 4, 4, 20)) * MS * rng.uniform(0.9, 1.1),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_coverage_in_steady_state(shape: str) -> None:
    """Of the next cost, by an estimate that has seen the ones before. 200 calls a second."""
    rng, cost, now_ns = Random(1), CostEstimate(10 * MS, 20 * MS), 0
    below_p50 = below_p99 = 0
    count = 20_000
    for _ in range(count):
        now_ns += 5 * MS
        cost_ns = int(SHAPES[shape](rng))
        below_p50 += cost_ns <= cost.p50_ns()
        below_p99 += cost_ns <= cost.tail_ns(now_ns)
        cost.observe(cost_ns, now_ns)
    assert 0.49 <= below_p50 / count <= 0.76, "a bucket is 10 % wide, and its upper edge counts"
    assert below_p99 / count >= 0.985


COSTS = st.lists(st.integers(1_000, 50 * S), min_size=100, max_size=400)


@given(COSTS)
def test_within_one_window_it_is_the_quantile_of_what_was_seen(costs: list[int]) -> None:
    cost = CostEstimate(MS, MS)
    for cost_ns in costs:
        cost.observe(cost_ns, 1)
    seen = sorted(costs[: len(costs) if len(costs) <= 64 else len(costs) - len(costs) % 32])
    if len(seen) < 100:
        return
    for estimate_ns, rank in ((cost.p50_ns(), len(seen) // 2), (cost.tail_ns(1), len(seen) * 99 // 100)):
        exact_ns = seen[rank - 1]
        assert exact_ns - 1 <= estimate_ns <= exact_ns * GROWTH + 1


@given(st.lists(st.tuples(st.integers(0, 3_600 * S), st.integers(0, 10 * S)), max_size=200))
def test_whatever_is_seen_estimates_are_positive_and_silence_forgets_it(seen: list[tuple[int, int]]) -> None:
    cost, now_ns = CostEstimate(10 * MS, 20 * MS), 0
    for cost_ns, after_ns in seen:
        now_ns += after_ns
        cost.observe(cost_ns, now_ns)
        assert cost.p50_ns() > 0
        assert cost.tail_ns(now_ns) > 0
    assert cost.tail_ns(now_ns + 8 * S) == 26 * MS
