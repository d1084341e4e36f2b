"""Costs over the last few seconds."""

from __future__ import annotations

from math import isnan
from random import Random

import pytest

from budgets.batch_cost import P50, P90, P99, P995
from budgets.predictor import CostEstimate, InlineCost

MS, S = 1_000_000, 1_000_000_000


@pytest.mark.parametrize(("p50_ns", "p99_ns"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1)])
def test_nonsense_is_refused(p50_ns: float, p99_ns: float) -> None:
    with pytest.raises(ValueError, match="a profile must be > 0"):
        CostEstimate(p50_ns, p99_ns)


def test_it_starts_from_its_profile_with_a_margin_for_the_tail() -> None:
    cost = CostEstimate(10 * MS, 20 * MS)
    assert (cost.p50_ns(), cost.tail_ns(0)) == (10 * MS, 26 * MS)


def test_a_tail_below_the_median_is_not_believed() -> None:
    assert CostEstimate(10 * MS, 1).tail_ns(0) == 13 * MS


def test_one_outlier_does_not_move_the_tail() -> None:
    cost = CostEstimate(10 * MS, 20 * MS)
    for number in range(50):
        cost.observe(500 * MS if number == 20 else 10 * MS, number * MS)
    assert cost.tail_ns(50 * MS) == 26 * MS


def test_it_follows_a_machine_that_became_slow() -> None:
    cost = CostEstimate(10 * MS, 20 * MS)
    for number in range(20):
        cost.observe(60 * MS, number * MS)
    assert 60 * MS <= cost.tail_ns(20 * MS) <= 66 * MS
    assert 60 * MS <= cost.p50_ns() <= 66 * MS


@pytest.mark.parametrize("per_s", [2, 20, 200])
def test_after_a_slow_spell_it_is_back_within_four_seconds_of_steady_traffic(per_s: int) -> None:
    cost, now_ns = CostEstimate(10 * MS, 20 * MS), 0
    for _ in range(10 * per_s):
        now_ns += S // per_s
        cost.observe(500 * MS, now_ns)
    assert cost.tail_ns(now_ns) >= 500 * MS
    for _ in range(4 * per_s + 1):
        now_ns += S // per_s
        cost.observe(10 * MS, now_ns)
    assert cost.tail_ns(now_ns) <= 26 * MS


def test_silence_brings_the_profile_back() -> None:
    cost = CostEstimate(10 * MS, 20 * MS)
    for _ in range(50):
        cost.observe(500 * MS, 5 * S)
    assert cost.tail_ns(6 * S) >= 500 * MS, "a second of silence changes nothing"
    assert cost.tail_ns(9 * S) == 26 * MS
    assert cost.p50_ns() == 10 * MS


def test_costs_beyond_all_buckets_are_counted_in_the_last() -> None:
    cost = CostEstimate(10 * MS, 20 * MS)
    for number in range(200):
        cost.observe(10_000 * S, number)
    assert 50 * S < cost.tail_ns(200) < 100 * S
    cost.observe(0, 201)


def test_restart_forgets() -> None:
    cost = CostEstimate(10 * MS, 20 * MS)
    for number in range(300):
        cost.observe(500 * MS, number)
    cost.restart()
    assert (cost.p50_ns(), cost.tail_ns(10 * S)) == (10 * MS, 26 * MS)


# The same estimate for a rung that runs inline.


def test_an_inline_cost_knows_its_median_and_for_anything_above_it_the_tail() -> None:
    cost = InlineCost(10 * MS, 20 * MS)
    found = [cost.quantile_ns(at, 1, 20, 0) for at in (P50, P90, P99, P995)]
    assert found == [10 * MS, 26 * MS, 26 * MS, 26 * MS]
    assert cost.quantile_ns(P99, 9, 900, 0) == 26 * MS, "whatever the batch"


def test_an_inline_cost_learns_and_forgets() -> None:
    cost = InlineCost(10 * MS, 20 * MS)
    for number in range(300):
        cost.observe(1, 20, 500 * MS, number)
    assert cost.quantile_ns(P50, 1, 20, 300) >= 500 * MS
    assert cost.quantile_ns(P99, 1, 20, 300) >= 500 * MS
    cost.restart()
    assert (cost.quantile_ns(P50, 1, 20, 300), cost.quantile_ns(P99, 1, 20, 300)) == (10 * MS, 26 * MS)


def test_the_coverage_is_of_what_was_predicted_before_each_call() -> None:
    cost = InlineCost(10 * MS, 20 * MS)
    assert isnan(cost.coverage(P50))
    assert isnan(cost.coverage(P99))
    cost.observe(1, 20, 30 * MS, 0)
    assert (cost.coverage(P50), cost.coverage(P99)) == (0, 0), "it covers no call that it learned from first"
    for cost_ns in (10 * MS, 11 * MS, 20 * MS):
        cost.observe(1, 20, cost_ns, 1)
    assert (cost.coverage(P50), cost.coverage(P99)) == (0.25, 0.75)


def test_the_coverage_is_of_the_last_thousand_or_two() -> None:
    cost, rng = InlineCost(10 * MS, 10 * MS), Random(1)
    for number in range(30_000):
        cost.observe(1, 20, int(10 * MS * rng.lognormvariate(0, 0.25)), number * MS)
    assert 0.45 < cost.coverage(P50) < 0.75
    assert 0.98 < cost.coverage(P99) <= 1
    for number in range(4_000):  # a machine that changes with every call
        cost.observe(1, 20, 1_000 * MS << number % 2, 30_000 * MS + number * 10 * S)
    assert cost.coverage(P50) < 0.1
