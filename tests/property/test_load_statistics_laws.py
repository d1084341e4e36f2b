"""Laws of early stopping, of effective counts and of intervals, whatever the numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from loadtest.statistics.binomial import at_least, at_most
from loadtest.statistics.early_stopping import allowed, decide, needed
from loadtest.statistics.effective import effective
from loadtest.statistics.interval import exact, of_quantile, wilson

SHARES = st.floats(0.01, 0.9999)
CONFIDENCES = st.floats(0.5, 0.999)
COUNTS = st.integers(1, 1_000_000)
RANKED = ("fail", "inconclusive", "pass")


@st.composite
def samples(draw: st.DrawFn) -> tuple[float, float]:
    """n, and as many misses or fewer; effective ones, not whole."""
    n = draw(st.floats(1, 1e6))
    return n, n * draw(st.floats(0, 1))


@given(samples(), SHARES, CONFIDENCES)
def test_a_claim_is_never_both_proven_and_refuted(sample: tuple[float, float], p: float, c: float) -> None:
    n, misses = sample
    passes, fails = at_most(misses, n, 1 - p) <= 1 - c, at_least(misses, n, 1 - p) <= 1 - c
    assert not (passes and fails)
    assert decide(n, misses, p, c) == ("pass" if passes else "fail" if fails else "inconclusive")


@given(samples(), SHARES, CONFIDENCES, st.floats(0, 1))
def test_fewer_misses_are_never_worse(sample: tuple[float, float], p: float, c: float, less: float) -> None:
    n, misses = sample
    assert RANKED.index(decide(n, misses * less, p, c)) >= RANKED.index(decide(n, misses, p, c))


@given(samples(), SHARES, CONFIDENCES, st.floats(1, 100))
def test_more_requests_with_as_many_misses_are_never_worse(
    sample: tuple[float, float], p: float, c: float, more: float
) -> None:
    n, misses = sample
    assert RANKED.index(decide(n * more, misses, p, c)) >= RANKED.index(decide(n, misses, p, c))


@given(samples(), SHARES, st.floats(0.5, 0.9), st.floats(0, 0.09))
def test_more_confidence_never_decides_more(sample: tuple[float, float], p: float, c: float, more: float) -> None:
    n, misses = sample
    assert decide(n, misses, p, c + more) in {decide(n, misses, p, c), "inconclusive"}


@given(st.integers(0, 2_000), st.floats(0.1, 0.999), CONFIDENCES, st.floats(0.01, 1))
def test_needed_is_the_first_number_that_passes(misses: int, p: float, c: float, worth: float) -> None:
    n = needed(misses, p, c, worth)
    assert n is not None
    assert decide(n * worth, misses * worth, p, c) == "pass"
    assert n - 1 <= misses or decide((n - 1) * worth, misses * worth, p, c) != "pass"


@given(COUNTS, SHARES, CONFIDENCES)
def test_allowed_is_the_last_number_that_passes(n: int, p: float, c: float) -> None:
    most = allowed(n, p, c)
    assert most is None or decide(n, most, p, c) == "pass"
    assert decide(n, 0 if most is None else most + 1, p, c) != "pass"


@given(samples(), CONFIDENCES, SHARES)
def test_a_share_is_outside_its_limits_if_and_only_if_it_is_decided(
    sample: tuple[float, float], c: float, p: float
) -> None:
    n, misses = sample
    low, high = exact(misses, n, c)
    assert 0 <= low <= misses / n * (1 + 1e-9)
    assert misses / n * (1 - 1e-9) <= high <= 1
    verdict = decide(n, misses, p, c)
    # Where a limit is hit exactly, rounding decides.
    if abs(high - (1 - p)) > 1e-9 and abs(low - (1 - p)) > 1e-9:
        assert verdict == ("pass" if high < 1 - p else "fail" if low > 1 - p else "inconclusive")


@given(samples(), CONFIDENCES)
def test_wilson_is_around_the_share(sample: tuple[float, float], c: float) -> None:
    n, events = sample
    low, high = wilson(events, n, c)
    assert 0 <= low <= events / n + 1e-9
    assert events / n - 1e-9 <= high <= 1


@given(arrays(np.bool_, st.integers(1, 3_000)))
def test_requests_are_never_worth_more_than_they_are(misses: np.ndarray) -> None:
    worth = effective(misses)
    assert 1 <= worth.n <= len(misses)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_the_same_misses_in_one_burst_are_worth_no_more_than_apart(bursts: int, length: int, seed: int) -> None:
    n, rng = 8_192, np.random.default_rng(seed)
    together, apart = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    start = int(rng.integers(0, n - bursts * length))
    together[start : start + bursts * length] = True
    apart[np.arange(bursts * length) * n // (bursts * length)] = True
    assert effective(together).n <= effective(apart).n * (1 + 1e-9)


@given(
    arrays(np.int64, st.integers(1, 300), elements=st.integers(0, 10**12)), st.floats(0.01, 0.999), CONFIDENCES, SHARES
)
def test_limits_of_a_quantile_are_values_in_order(values: np.ndarray, q: float, c: float, worth: float) -> None:
    low, high = of_quantile(values, q, c, len(values) * worth)
    assert low <= high
    assert all(np.isinf(limit) or limit in values for limit in (low, high))
