"""Mean cost by size."""

from __future__ import annotations

from random import Random

import pytest

from budgets.regression import Regression, Sample

MS = 1_000_000
SIZES = [(texts, longest) for texts in (1, 2, 4, 8) for longest in (10, 40, 100)]


def cost_ns(texts: int, longest: int) -> int:
    return 2 * MS + texts * (500_000 + longest * 20_000)


def profile() -> list[Sample]:
    return [Sample(texts, longest, cost_ns(texts, longest)) for texts, longest in SIZES]


def taught(regression: Regression, texts: int, longest: int, actual_ns: float) -> None:
    mean_ns = regression.mean_ns(texts, longest)
    regression.learn(texts, longest, mean_ns, actual_ns / mean_ns)


@pytest.mark.parametrize("samples", [[], [Sample(0, 10, MS)], [Sample(1, 10, 0)], [Sample(1, 10, -1)]])
def test_a_profile_without_cost_is_refused(samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="a profile has"):
        Regression(samples)


def test_a_profile_of_many_sizes_gives_the_three_parts() -> None:
    assert Regression(profile()).weights == pytest.approx((2 * MS, 500_000, 20_000), rel=0.02)


def test_of_one_size_alone_the_cost_is_a_constant() -> None:
    regression = Regression([Sample(2, 40, 3 * MS), Sample(2, 40, 3 * MS)])
    assert regression.mean_ns(1, 0) == regression.mean_ns(64, 400) == pytest.approx(3 * MS)


def test_the_first_call_of_a_model_does_not_spoil_the_profile() -> None:
    first = Sample(1, 10, 100 * cost_ns(1, 10))
    regression = Regression([first, *profile(), *profile()])
    assert regression.mean_ns(1, 10) == pytest.approx(cost_ns(1, 10), rel=0.05)


@pytest.mark.parametrize("fixed_ns", [0, 10 * MS])
def test_it_learns_another_shape(fixed_ns: int) -> None:
    regression, rng = Regression(profile()), Random(1)
    for _ in range(1_500):
        texts, longest = rng.choice(SIZES)
        taught(regression, texts, longest, fixed_ns + texts * MS)
    for texts, longest in SIZES:
        assert regression.mean_ns(texts, longest) == pytest.approx(fixed_ns + texts * MS, rel=0.25)


@pytest.mark.parametrize("longest_of", [lambda rng: 40, lambda rng: rng.randint(5, 200)], ids=["one length", "any"])
def test_of_single_texts_alone_it_never_unlearns_batches(longest_of: object) -> None:
    """100,000 of them, +- 25 %: the covariance of a plain recursive least squares would have grown by e^500."""
    assert callable(longest_of)
    regression, rng = Regression(profile()), Random(1)
    for number in range(100_000):
        longest = longest_of(rng)
        taught(regression, 1, longest, cost_ns(1, longest) * rng.lognormvariate(0, 0.25))
        if number % 1_000 == 0:
            assert regression.mean_ns(4, 40) == pytest.approx(cost_ns(4, 40), rel=0.25)


def test_parts_stay_positive_where_costs_bend() -> None:
    """Costs that grow with the square of the texts would fit a negative fixed part best."""
    regression, rng = Regression(profile()), Random(1)
    for _ in range(500):
        texts = rng.choice((1, 2, 4, 8))
        taught(regression, texts, 40, texts * texts * MS)
        assert min(regression.weights) >= 0.0
    assert regression.weights[0] == 0.0


def test_fading_leads_back_to_the_profile() -> None:
    regression = Regression(profile())
    before = regression.weights
    for _ in range(300):
        taught(regression, 4, 40, 50 * MS)
    learned_ns = regression.mean_ns(4, 40)
    regression.fade(0.5)
    assert regression.mean_ns(4, 40) == pytest.approx((learned_ns + cost_ns(4, 40)) / 2, rel=0.02)
    regression.fade(0.0)
    assert regression.weights == before
    taught(regression, 4, 40, cost_ns(4, 40))
    assert regression.weights == pytest.approx(before), "the sums have forgotten, too"
