"""What a share or a quantile may really be. No assumption on how values are distributed."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from loadtest.statistics.binomial import at_most, highest_share, lowest_share


def exact(events: float, n: float, confidence: float) -> tuple[float, float]:
    """Limits of a share, each of them one-sided: a claim beyond a limit is what early stopping passes or fails.

    Args: events, n: of independent requests; effective counts need not be whole.
    """
    return lowest_share(events, n, confidence), highest_share(events, n, confidence)


def wilson(events: float, n: float, confidence: float) -> tuple[float, float]:
    """Two-sided interval of a share that is right on average; (0, 1) of nothing. Source: Wilson 1927."""
    if n <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = events / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def ranks(n: int, q: float, confidence: float, n_effective: float | None = None) -> tuple[int | None, int | None]:
    """Between which of `n` sorted values the quantile `q` is, each limit one-sided; from 1, None: beyond all.

    The upper limit is the smallest value at which "a share `q` is not above it" passes.
    Args: n_effective: how many independent ones the values are worth; all of them if None.
    """
    worth = 1.0 if n_effective is None else n_effective / max(1, n)

    def is_above(rank: int) -> bool:
        return at_most((n - rank) * worth, n * worth, 1 - q) <= 1 - confidence

    def is_below(rank: int) -> bool:
        return at_most(rank * worth, n * worth, q) <= 1 - confidence

    low = _first(n, lambda rank: not is_below(rank))
    high = _first(n, is_above)
    # As many as low - 1 values below it would be too rare, so the quantile is not below that rank.
    return (low if low >= 1 else None), (high if high <= n else None)


def _first(n: int, holds: Callable[[int], bool]) -> int:
    """The smallest of 0 … n from which on it holds; n + 1 if it never does."""
    low, high = -1, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def of_quantile(
    values: np.ndarray, q: float, confidence: float, n_effective: float | None = None
) -> tuple[float, float]:
    """Order statistics around the quantile `q`, in the unit of `values`; infinite where it is beyond all of them."""
    low, high = ranks(len(values), q, confidence, n_effective)
    wanted = sorted({rank - 1 for rank in (low, high) if rank is not None})
    found = dict(zip(wanted, np.partition(values, wanted)[wanted], strict=True)) if wanted else {}
    return (
        -math.inf if low is None else float(found[low - 1]),
        math.inf if high is None else float(found[high - 1]),
    )
