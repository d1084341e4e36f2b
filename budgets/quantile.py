"""Online quantiles of a ratio: after each one a step up or down, such that a share q of what comes stays below.

Source: Gibbs and Candès 2021, "Adaptive Conformal Inference Under Distribution Shift"; here in logarithms.
"""

from __future__ import annotations

from itertools import accumulate
from math import exp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

QUANTILES = (0.5, 0.9, 0.99, 0.995)
# The lowest is tracked, but not told: it says what an unusually cheap batch is.
TRACKED = (0.1, *QUANTILES)
Tracked = tuple[float, float, float, float, float]

_LEAST, _MOST = 0.02, 20.0


def _steps(step: float) -> tuple[float, ...]:
    """Factors up, then factors down, for each of `TRACKED`."""
    return (*(exp(step * q) for q in TRACKED), *(exp(step * (q - 1.0)) for q in TRACKED))


_EARLY, _EARLY_STEPS, _STEPS = 200, _steps(0.05), _steps(0.02)
# After three of the last 20 beyond the .99 quantile the next 50 steps are larger. A change of speed hardly needs it, as
# `budgets.shift` sees it, one of shape does: after 50 ms were added to costs of 3 to 30 ms (+- 5 %) the .99 quantile
# covers .75 of the batches 5 to 20 and .92 of 20 to 50; without it .68 and .87 (16 seeds).
_LAST_20, _MANY, _HURRIED_FOR = (1 << 20) - 1, 3, 50
# A step down of the .99 quantile is a hundredth of a step up: alone it would take 4,000 batches to halve. So no
# quantile stays far above all that was seen in the last 400 to 800; of a true .99 quantile one in 60 such windows sees
# nothing above it.
_WINDOW, _ABOVE_ALL = 400, 1.1
_HURRIED_EARLY_STEPS, _HURRIED_STEPS = _steps(3 * 0.05), _steps(3 * 0.02)


class Tail:
    """Quantiles of a stream of ratios. Safety: one writer; other threads may read `quantiles`."""

    __slots__ = ("_beyond", "_calls", "_hurried", "_largest", "_largest_before", "_start", "quantiles", "tracked")

    def __init__(self, start: Tracked, tracked: Tracked | None = None) -> None:
        """Start from `start`, or from what another has tracked; fade towards `start` in any case."""
        self._start = start
        self._calls = self._hurried = self._beyond = 0
        self._largest = self._largest_before = 0.0  # of the present window of ratios, and of the one before
        self._set(tracked or start)

    def learn(self, ratio: float) -> None:
        """Cost: 1 us."""
        low, p50, p90, p99, p995 = self.tracked
        self._beyond = beyond = (self._beyond << 1 | (ratio > p99)) & _LAST_20
        if beyond & 1 and beyond.bit_count() >= _MANY:
            self._hurried = _HURRIED_FOR
        steps = _EARLY_STEPS if self._calls < _EARLY else _STEPS
        if self._hurried:
            self._hurried -= 1
            steps = _HURRIED_EARLY_STEPS if self._calls < _EARLY else _HURRIED_STEPS
        self._calls += 1
        low *= steps[0] if ratio > low else steps[5]
        p50 *= steps[1] if ratio > p50 else steps[6]
        p90 *= steps[2] if ratio > p90 else steps[7]
        p99 *= steps[3] if ratio > p99 else steps[8]
        p995 *= steps[4] if ratio > p995 else steps[9]
        self._largest = max(self._largest, ratio)
        if not self._calls % _WINDOW:
            most = _ABOVE_ALL * max(self._largest, self._largest_before)
            p90, p99, p995 = min(p90, most), min(p99, most), min(p995, most)
            self._largest_before, self._largest = self._largest, 0.0
        self._set((low, p50, p90, p99, p995))

    def unsettle(self) -> None:
        """Take the larger steps of the start for a while: ratios may be spread otherwise from now on."""
        self._calls = min(self._calls, _EARLY - _HURRIED_FOR)

    def fade(self, share: float) -> None:
        """Keep this share of what was learned."""
        low, p50, p90, p99, p995 = (
            start * (now / start) ** share for now, start in zip(self.tracked, self._start, strict=True)
        )
        self._set((low, p50, p90, p99, p995))

    def _set(self, tracked: Tracked) -> None:
        low, p50, p90, p99, p995 = tracked
        if low < _LEAST or p995 > _MOST:
            low, p50, p90, p99, p995 = (min(max(each, _LEAST), _MOST) for each in tracked)
        self.tracked = (low, p50, p90, p99, p995)
        # Each is tracked by itself, and one may pass another for a while.
        is_rising = p50 <= p90 <= p99 <= p995
        self.quantiles: Sequence[float] = (
            (p50, p90, p99, p995) if is_rising else tuple(accumulate((p50, p90, p99, p995), max))
        )
