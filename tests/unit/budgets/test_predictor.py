"""Quantiles that follow."""

from __future__ import annotations

import pytest

from budgets.predictor import CostEstimate, QuantileEstimate

MS, S = 1_000_000, 1_000_000_000


@pytest.mark.parametrize(("profile_ns", "q"), [(0, 0.5), (-1, 0.5), (1, 0), (1, 1), (float("nan"), 0.5)])
def test_nonsense_is_refused(profile_ns: float, q: float) -> None:
    with pytest.raises(ValueError, match="profile_ns must be > 0"):
        QuantileEstimate(profile_ns, q)


def test_it_rises_quickly_when_exceeded_and_falls_slowly_for_a_high_quantile() -> None:
    estimate = QuantileEstimate(10 * MS, 0.99)
    estimate.observe(11 * MS)
    risen_ns = estimate.value_ns
    assert risen_ns == pytest.approx(10 * MS * 1.0507, rel=1e-3)
    estimate.observe(1 * MS)
    assert 0 < risen_ns - estimate.value_ns < (risen_ns - 10 * MS) / 50


def test_it_is_steadier_after_200_observations() -> None:
    estimate = QuantileEstimate(10 * MS, 0.5)
    for _ in range(200):
        estimate.observe(int(estimate.value_ns))
        estimate.observe(int(estimate.value_ns) + 1)
    before_ns = estimate.value_ns
    estimate.observe(10 * S)
    assert estimate.value_ns / before_ns == pytest.approx(1.01005, rel=1e-4)


def test_it_stays_within_bounds_of_its_profile() -> None:
    estimate = QuantileEstimate(MS, 0.9)
    for _ in range(2_000):
        estimate.observe(3_600 * S)
    assert estimate.value_ns == 1_000 * MS
    for _ in range(100_000):
        estimate.observe(0)
    assert estimate.value_ns == MS / 20


def test_decay_halves_the_logarithmic_distance_every_second() -> None:
    estimate = QuantileEstimate(MS, 0.9)
    estimate.value_ns = 16 * MS
    estimate.decay(S)
    assert estimate.value_ns == pytest.approx(4 * MS)
    estimate.decay(S)
    assert estimate.value_ns == pytest.approx(2 * MS)
    estimate.decay(10_000 * S)
    assert estimate.value_ns == MS


def test_restart_forgets() -> None:
    cost = CostEstimate(10 * MS, 20 * MS)
    for number in range(300):
        cost.observe(500 * MS, number)
    cost.restart()
    assert (cost.p50_ns(), cost.p99_ns(10 * S)) == (10 * MS, 26 * MS)
    cost.observe(500 * MS, 10 * S)
    assert cost.p99_ns(10 * S) == pytest.approx(26 * MS * 1.0507, rel=1e-3), "it learns quickly again"


def test_a_tail_below_the_median_is_not_believed() -> None:
    assert CostEstimate(10 * MS, 1).p99_ns(0) == 13 * MS


def test_a_second_of_silence_changes_nothing_and_more_lets_it_fall_back() -> None:
    cost = CostEstimate(10 * MS, 20 * MS)
    for _ in range(50):
        cost.observe(500 * MS, 5 * S)
    learned_ns = cost.p99_ns(5 * S)
    assert cost.p99_ns(6 * S) == learned_ns > 100 * MS
    halfway_ns = cost.p99_ns(7 * S)
    assert halfway_ns / (26 * MS) == pytest.approx((learned_ns / (26 * MS)) ** 0.5, rel=1e-3)
    assert cost.p99_ns(7 * S) == halfway_ns, "asking twice does not decay twice"
    assert cost.p99_ns(60 * S) == pytest.approx(26 * MS, rel=1e-3)
    assert cost.p50_ns() == pytest.approx(10 * MS, rel=1e-3)


def test_asking_often_decays_as_much_as_asking_once() -> None:
    often, once = CostEstimate(10 * MS, 20 * MS), CostEstimate(10 * MS, 20 * MS)
    for cost in (often, once):
        for _ in range(50):
            cost.observe(500 * MS, 0)
    for now_ns in range(0, 4 * S, MS):
        often.p99_ns(now_ns)
    assert often.p99_ns(4 * S) == pytest.approx(once.p99_ns(4 * S), rel=1e-6)
