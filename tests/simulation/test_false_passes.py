"""How often a claim passes that is just not true: misses at the very boundary, independent and in bursts.

`TAKT_SEEDS=500` plays 10,000 runs of each kind, the number that the claims of docs/load-testing.md rest on.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from scipy.signal import lfilter

from loadtest.statistics.binomial import at_least
from loadtest.statistics.early_stopping import decide
from loadtest.statistics.effective import effective

pytestmark = pytest.mark.slow

TRIALS = min(10_000, 20 * int(os.environ.get("TAKT_SEEDS", "50")))
AT_ONCE = 500
CONFIDENCE = 0.99
# A true rate gives more than is allowed in one test of 10,000.
CHANCE = 1e-4

Misses = Callable[[np.random.Generator, int, float], np.ndarray]


def independent(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    return rng.random((AT_ONCE, n), np.float32) < share


def bursts(correlation: float) -> Misses:
    """A chain of two states: a miss is followed by a miss more often. AR(1) with this correlation of neighbours."""

    def misses(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
        draws = rng.random((n, AT_ONCE), np.float32)
        found = np.empty((n, AT_ONCE), np.bool_)
        now = draws[0] < share
        found[0] = now
        after_miss, after_hit = share + correlation * (1 - share), share * (1 - correlation)
        for at in range(1, n):
            now = draws[at] < np.where(now, after_miss, after_hit)
            found[at] = now
        return np.ascontiguousarray(found.T)

    return misses


def slow(correlation: float) -> Misses:
    """A slowness that is Gaussian AR(1); who is beyond a limit misses."""

    def misses(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
        noise = rng.standard_normal((AT_ONCE, n), np.float32)
        noise[:, 1:] *= np.sqrt(1 - correlation**2)
        found: np.ndarray = lfilter([1], [1, -correlation], noise, axis=1) > NormalDist().inv_cdf(1 - share)
        return found

    return misses


def verdicts(misses: Misses, n: int, p: float, share: float, *, trials: int = TRIALS) -> tuple[Counter[str], int]:
    """Of so many runs: the verdicts, and how many would pass if a miss were a miss."""
    rng = np.random.default_rng(20261122)
    found: Counter[str] = Counter()
    naive = 0
    for _ in range(trials // AT_ONCE):
        for run in misses(rng, n, share):
            worth, count = effective(run), int(run.sum())
            verdict = decide(worth.n, count * worth.n / n, p, CONFIDENCE)
            found["inconclusive" if verdict == "pass" and not worth.is_known else verdict] += 1
            naive += decide(n, count, p, CONFIDENCE) == "pass"
    return found, naive


def is_too_often(count: int, limit: float, trials: int = TRIALS) -> bool:
    return at_least(count, trials, limit) < CHANCE


@pytest.mark.parametrize(("n", "p"), [(662, 0.99), (5_000, 0.99), (3_000, 0.9), (20_000, 0.999)])
def test_of_independent_misses_one_in_a_hundred_passes_falsely(n: int, p: float) -> None:
    found, _ = verdicts(independent, n, p, 1 - p)
    assert not is_too_often(found["pass"], 0.01), found
    assert not is_too_often(found["fail"], 0.01), found


@pytest.mark.parametrize(
    ("misses", "n", "p"),
    [
        pytest.param(bursts(0.5), 5_000, 0.99, id="bursts of 2"),
        pytest.param(bursts(0.9), 20_000, 0.99, id="bursts of 10"),
        pytest.param(bursts(0.9), 5_000, 0.95, id="bursts of 10, p95"),
        pytest.param(bursts(0.5), 30_000, 0.999, id="bursts of 2, p99.9"),
        pytest.param(slow(0.875), 5_000, 0.99, id="slow for 8"),
        pytest.param(slow(0.975), 20_000, 0.99, id="slow for 40"),
        pytest.param(slow(0.95), 3_000, 0.9, id="slow for 20, p90"),
    ],
)
def test_of_bursts_two_in_a_hundred_pass_falsely(misses: Misses, n: int, p: float) -> None:
    found, naive = verdicts(misses, n, p, 1 - p)
    assert not is_too_often(found["pass"], 0.02), found
    assert not is_too_often(found["fail"], 0.02), found
    assert is_too_often(naive, 0.02), f"{naive}: the test could not have told"


@pytest.mark.parametrize(
    ("misses", "share", "verdict"),
    [
        (independent, 0.005, "pass"),
        (bursts(0.5), 0.005, "pass"),
        (independent, 0.02, "fail"),
        (bursts(0.5), 0.02, "fail"),
    ],
)
def test_what_is_clearly_true_or_false_is_told(misses: Misses, share: float, verdict: str) -> None:
    found, _ = verdicts(misses, 20_000, 0.99, share, trials=AT_ONCE)
    assert found[verdict] > 0.85 * AT_ONCE, found
