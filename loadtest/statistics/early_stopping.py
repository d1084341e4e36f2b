"""When a share of requests is proven: MLPerf's early stopping, and its mirror image for a claim that is refuted.

A miss is a request that is not what the claim says. The claim "a share `p` is met" passes at confidence `c` if so few
misses would be seen with a probability of at most 1-c were the share just `p`; it fails if so many would. Between the
two nothing is proven. Source: MLPerf inference rules, appendix "Early stopping criterion" (tolerance d = 0).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

from loadtest.statistics.binomial import at_least, at_most

Verdict = Literal["pass", "fail", "inconclusive"]
# Numbers of requests beyond this are of no use to anybody.
_MOST = 10**12
_BLOCK = 2**13


def decide(n: float, misses: float, p: float, c: float) -> Verdict:
    """Args: n, misses: of independent requests; effective counts need not be whole."""
    if at_most(misses, n, 1 - p) <= 1 - c:
        return "pass"
    if at_least(misses, n, 1 - p) <= 1 - c:
        return "fail"
    return "inconclusive"


def needed(misses: float, p: float, c: float, worth: float = 1.0) -> int | None:
    """The fewest requests of which `misses` may miss; None: no number of any use.

    Args: worth: how many independent requests one is worth, of those that miss as well.
    """

    def is_enough(n: int) -> bool:
        return at_most(misses * worth, n * worth, 1 - p) <= 1 - c

    low = math.floor(misses)  # never enough: it would be nothing but misses
    high = max(1, 2 * low)
    while not is_enough(high):
        low, high = high, 2 * high
        if high > _MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def allowed(n: int, p: float, c: float) -> int | None:
    """The most misses with which `n` requests pass; None: not even with none."""
    if decide(n, 0, p, c) != "pass":
        return None
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at_most(middle, n, 1 - p) <= 1 - c else (low, middle)
    return low


def fixed_n(p: float, c: float) -> int:
    """Requests after which a share is known to a twentieth of 1-p, whatever it is; not yet rounded.

    Source: MLPerf inference rules, "Number of queries"; the normal approximation.
    """
    margin = (1 - p) / 20
    return round(NormalDist().inv_cdf((1 + c) / 2) ** 2 * p * (1 - p) / margin**2)


def in_blocks(n: int) -> int:
    """`n`, rounded up to a multiple of 2^13 as MLPerf does."""
    return -(-n // _BLOCK) * _BLOCK
