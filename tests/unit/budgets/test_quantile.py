"""Online quantiles."""

from __future__ import annotations

from random import Random

import pytest

from budgets.quantile import QUANTILES, Tail

START = (0.8, 1.0, 1.2, 1.3, 1.4)


@pytest.mark.parametrize("scale", [0.7, 1.0, 3.0])
def test_a_share_q_stays_below(scale: float) -> None:
    tail, rng, covered = Tail(START), Random(1), [0, 0, 0, 0]
    for number in range(12_000):
        ratio = scale * rng.lognormvariate(0, 0.25)
        if number >= 2_000:
            for at, quantile in enumerate(tail.quantiles):
                covered[at] += ratio <= quantile
        tail.learn(ratio)
    assert [each / 10_000 for each in covered] == pytest.approx(QUANTILES, abs=0.002)


def test_quantiles_rise_whatever_comes() -> None:
    tail, rng = Tail(START), Random(1)
    for _ in range(5_000):
        tail.learn(rng.choice((0.01, 0.5, 1.0, 1.01, 30.0)))
        assert sorted(tail.quantiles) == list(tail.quantiles)


def test_one_outlier_moves_it_by_one_small_step() -> None:
    tail = Tail(START)
    for _ in range(300):
        tail.learn(1.0)
    before = tail.quantiles
    tail.learn(1e9)
    assert all(now < 1.021 * was for was, now in zip(before, tail.quantiles, strict=True))


def test_many_beyond_the_tail_make_it_hurry() -> None:
    """Three of 20 exceed: from then on steps are three times as large."""
    tail = Tail(START)
    for _ in range(300):
        tail.learn(1.0)
    rises = []
    for _ in range(4):
        before = tail.tracked[3]
        tail.learn(1e9)
        rises.append(tail.tracked[3] / before)
    assert rises[0] == pytest.approx(rises[1]) == pytest.approx(1.02, abs=0.001)
    assert rises[2] == pytest.approx(rises[3]) == pytest.approx(1.06, abs=0.002)


@pytest.mark.parametrize(("ratio", "bound"), [(1e12, 20.0), (1e-12, 0.02)])
def test_it_stays_within_bounds(ratio: float, bound: float) -> None:
    tail = Tail(START)
    for _ in range(100_000):
        tail.learn(ratio)
    assert tail.quantiles == pytest.approx((bound,) * 4, rel=0.05)


def test_unsettled_it_takes_larger_steps_for_a_while() -> None:
    tail = Tail(START)
    for _ in range(300):
        tail.learn(1.0)
    tail.unsettle()
    before = tail.tracked[1]
    tail.learn(2.0)
    assert tail.tracked[1] / before == pytest.approx(1.0253, abs=0.0001)


def test_it_starts_from_another_and_fades_towards_the_start() -> None:
    tail = Tail(START, (0.8, 2.0, 3.0, 4.0, 5.0))
    assert tail.quantiles == (2.0, 3.0, 4.0, 5.0)
    tail.fade(0.5)
    assert tail.quantiles[0] == pytest.approx(2**0.5)
    tail.fade(0.0)
    assert tail.tracked == START


def test_no_quantile_stays_far_above_all_that_was_seen() -> None:
    """By its own steps the .99 quantile would need thousands of ratios to come down."""
    rng = Random(3)
    tail = Tail(START)
    for _ in range(1_000):
        tail.learn(rng.lognormvariate(0, 1))
    assert tail.quantiles[2] > 4
    for _ in range(1_200):
        tail.learn(1.0)
    assert tail.quantiles[2] <= 1.1
