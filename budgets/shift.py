"""How slow the machine is now against its profile: follows gradually, and jumps when a few batches in a row agree.

Two cumulative sums collect how far costs lie beyond their own usual spread, one upwards, one downwards (Page 1954,
"Continuous Inspection Schemes"). What one batch adds is bounded, so an outlier alone makes no jump.

What it is worth: after a cost (+- 25 %) became ten times as large, the .99 quantile covers 1.00 of the batches 5 to 20;
without jumps .03, without any shift .00, and still .66 of the batches 50 to 100. After it doubled: .89, .73, .50 of the
batches 5 to 20 (16 seeds).
"""

from __future__ import annotations

from math import log

# In logarithms of cost: what is still within the usual spread, and how much beyond it makes a jump.
_SLACK, _ALARM = 0.1, 1.0
# Three batches at least must agree; two that costs are back: the profile is the likelier state of a machine.
_THIRD, _HALF = 0.34, 0.5
_ELEVATED = 1.5
# Weight of a batch: that of a running mean since the last jump, which itself counts as three batches and the profile as
# thirteen; after fifty it stays.
_BATCHES_OF_JUMP, _BATCHES_OF_PROFILE, _SETTLED = 3, 13, 50
_LEAST, _MOST = 0.05, 1e6


class Shift:
    """`scale` multiplies the profile's costs. Not thread safe."""

    __slots__ = ("_batches", "_down", "_implied", "_up", "scale")

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.scale = 1.0
        self._batches = _BATCHES_OF_PROFILE
        self._up = self._down = 0.0
        self._implied = (1.0, 1.0, 1.0)

    def fade(self, share: float) -> None:
        """Keep this share of what was learned."""
        self.scale **= share
        self._up *= share
        self._down *= share

    def learn(self, ratio: float, low: float, middle: float, high: float) -> bool:
        """Learn a ratio > 0 of actual to predicted cost; the others are its quantiles .1, .5 and .9 so far.

        Returns: whether the scale jumped: to the middle one of what the last three batches say it is.
        """
        _, before, last = self._implied
        self._implied = (before, last, self.scale * ratio / middle)
        if (self._up or self._down or not low <= ratio <= high) and self._is_shifted(ratio, low, high):
            self.scale = min(max(sorted(self._implied)[1], _LEAST), _MOST)
            self._batches = _BATCHES_OF_JUMP
            self._up = self._down = 0.0
            return True
        if self._batches < _SETTLED:
            self._batches += 1
        scale = self.scale * (1.0 + (min(ratio, 2.0 * high) - 1.0) / self._batches)
        self.scale = scale if _LEAST < scale < _MOST else self.scale
        return False

    def _is_shifted(self, ratio: float, low: float, high: float) -> bool:
        self._up = max(0.0, self._up + min(log(ratio / high) - _SLACK, _THIRD))
        most = _HALF if self.scale > _ELEVATED else _THIRD
        self._down = max(0.0, self._down + min(log(low / ratio) - _SLACK, most))
        return self._up >= _ALARM or self._down >= _ALARM
