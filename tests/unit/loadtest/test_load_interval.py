from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from loadtest.statistics.early_stopping import decide
from loadtest.statistics.interval import exact, of_quantile, ranks, wilson


@pytest.mark.parametrize(("events", "n"), [(0, 50), (3, 100), (77, 10_000), (100, 100)])
def test_wilson_is_scipys(events: int, n: int) -> None:
    expected = binomtest(events, n).proportion_ci(0.95, method="wilson")
    assert wilson(events, n, 0.95) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_of_nothing_is_anything() -> None:
    assert wilson(0, 0, 0.95) == (0, 1)


def test_exact_is_scipys_with_both_limits_one_sided() -> None:
    expected = binomtest(3, 100).proportion_ci(0.98, method="exact")
    assert exact(3, 100, 0.99) == pytest.approx((expected.low, expected.high), rel=1e-6)


def test_ranks_of_a_median() -> None:
    # A median of 20: P(X <= 5) = 0.0207, P(X <= 6) = 0.0577 for X ~ binomial(20, 1/2).
    assert ranks(20, 0.5, 0.95) == (6, 15)


def test_a_quantile_has_no_upper_limit_before_early_stopping_passes() -> None:
    assert ranks(458, 0.99, 0.99)[1] is None
    assert ranks(459, 0.99, 0.99)[1] == 459
    assert ranks(10, 0.01, 0.99)[0] is None


@pytest.mark.parametrize("effective", [None, 700.5])
def test_a_quantile_is_below_its_limit_if_and_only_if_the_share_passes(effective: float | None) -> None:
    n, q, c = 2_000, 0.99, 0.95
    low, high = ranks(n, q, c, effective)
    worth = (effective or n) / n
    verdicts = [decide(n * worth, (n - met) * worth, q, c) for met in range(n + 1)]
    assert low == verdicts.index("inconclusive")
    assert high == verdicts.index("pass")


def test_limits_are_order_statistics() -> None:
    values = np.random.default_rng(1).permutation(1_000) * 10
    assert of_quantile(values, 0.99, 0.99) == (9_810, 9_970)
    assert of_quantile(values[:100], 0.99, 0.99)[1] == math.inf
    assert of_quantile(values[:0], 0.5, 0.99) == (-math.inf, math.inf)


def test_a_median_is_covered_as_often_as_promised() -> None:
    rng = np.random.default_rng(5)
    found = [of_quantile(rng.exponential(1, 101), 0.5, 0.95) for _ in range(500)]
    # Each limit is one-sided at 95 %, so both hold together in at least 90 %; 1 of 10,000 has below 0.85.
    assert np.mean([low <= math.log(2) <= high for low, high in found]) > 0.85
