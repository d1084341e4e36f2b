"""Binomial tails without scipy, also for counts that are no whole numbers.

Clustered requests are worth fewer independent ones, and "12.4 misses of 410.9" has tails too: those of the beta
distribution that the binomial's are made of (Korn and Graubard 1998, Survey Methodology 24, 193-201).
"""

from __future__ import annotations

import math

_TINY = 1e-300
# The most at n = 10^7: 1,600 steps at q = 0.5, and 470 at q = 0.01.
_MOST_STEPS = 100_000
_PRECISION = 1e-14
# Halvings of [0, 1] until its length is that of a rounding error.
_HALVINGS = 60


def at_most(k: float, n: float, q: float) -> float:
    """P(X <= k) of X ~ binomial(n, q). Relative error below 1e-6 up to n = 10^7."""
    if k >= n or (q <= 0 <= k):
        return 1.0
    if k < 0 or q >= 1:
        return 0.0
    return beta_cdf(1 - q, n - k, k + 1)


def at_least(k: float, n: float, q: float) -> float:
    """P(X >= k) of X ~ binomial(n, q). Relative error below 1e-6 up to n = 10^7."""
    if k <= 0 or (q >= 1 and k <= n):
        return 1.0
    if k > n or q <= 0:
        return 0.0
    return beta_cdf(q, k, n - k + 1)


def highest_share(k: float, n: float, confidence: float) -> float:
    """The largest q at which so few as `k` of `n` are not too rare: one-sided, exact (Clopper and Pearson 1934)."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if at_most(k, n, middle) <= 1 - confidence else (middle, high)
    return high


def lowest_share(k: float, n: float, confidence: float) -> float:
    """The smallest q at which so many as `k` of `n` are not too rare."""
    return 1 - highest_share(n - k, n, confidence)


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), from the side on which its fraction converges quickly."""
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return min(1.0, math.exp(front) * _fraction(x, a, b) / a)


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of I_x(a, b), DLMF 8.17.22, by Lentz's method as Thompson and Barnett 1986 mend it."""
    value, above, below = _TINY, _TINY, 0.0
    term = 1.0
    for step in range(_MOST_STEPS):
        below = 1 / (1 + term * below or _TINY)
        above = 1 + term / above or _TINY
        value *= above * below
        if abs(above * below - 1) < _PRECISION:
            return value
        half, odd = divmod(step, 2)
        if odd:
            half += 1
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        else:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
    raise ArithmeticError(f"I_{x}({a}, {b}) has not converged")
