"""Tails against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom

from loadtest.statistics.binomial import at_least, at_most, highest_share, lowest_share

CASES = [(n, q) for n in (1, 7, 459, 20_000, 10_000_000) for q in (1e-5, 0.001, 0.01, 0.1, 0.5, 0.99)]


@pytest.mark.parametrize(("n", "q"), CASES)
def test_tails_are_the_binomials(n: int, q: float) -> None:
    spread = np.sqrt(n * q * (1 - q))
    for k in {int(np.clip(n * q + away * spread, 0, n)) for away in (-8, -2, -0.5, 0, 1, 3, 8)}:
        assert at_most(k, n, q) == pytest.approx(binom.cdf(k, n, q), rel=1e-6)
        assert at_least(k, n, q) == pytest.approx(binom.sf(k - 1, n, q), rel=1e-6)


@pytest.mark.parametrize("q", [0.0, 0.3, 1.0])
def test_what_is_certain_is_certain(q: float) -> None:
    assert at_most(5, 5, q) == at_least(0, 5, q) == 1
    assert at_most(-1, 5, q) == at_least(6, 5, q) == 0


def test_shares_of_nothing_and_of_all() -> None:
    assert (at_most(0, 9, 0), at_least(1, 9, 0)) == (1, 0)
    assert (at_most(8, 9, 1), at_least(9, 9, 1)) == (0, 1)


@pytest.mark.parametrize(("k", "n"), [(0, 44), (3, 100), (12.4, 410.9), (50, 50)])
def test_limits_are_clopper_and_pearsons_also_of_effective_counts(k: float, n: float) -> None:
    high = beta.ppf(0.99, k + 1, n - k) if k < n else 1.0
    low = beta.ppf(0.01, k, n - k + 1) if k > 0 else 0.0
    assert highest_share(k, n, 0.99) == pytest.approx(high, rel=1e-6)
    assert lowest_share(k, n, 0.99) == pytest.approx(low, rel=1e-6, abs=1e-12)
