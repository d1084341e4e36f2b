"""What a batch will cost: a mean by its size, and quantiles of how costs lie around that mean.

```
(texts, longest) -> regression (shape of the cost) * shift (speed of the machine now) = mean
                    mean * tail of ratios actual / mean, by length of the longest text = quantile
```
The warm-up's profile is the start of all three, what they fade to in silence, and what `restart` goes back to.
"""

from __future__ import annotations

from bisect import bisect_left
from math import nan
from typing import TYPE_CHECKING

from budgets.quantile import QUANTILES, Tail, Tracked
from budgets.regression import Regression, Sample
from budgets.shift import Shift

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["P50", "P90", "P99", "P995", "QUANTILES", "BatchCost", "Sample"]

P50, P90, P99, P995 = range(4)

_NS_PER_S = 1_000_000_000
# A rung that is not used because it seems too slow gives no samples: without any, what was learned fades.
_SILENCE_NS, _HALF_LIFE_NS, _FADE_EVERY_NS = 5 * _NS_PER_S, 10 * _NS_PER_S, _NS_PER_S // 4
_NEVER_NS = 1 << 62
# No mean is below this share of the cheapest batch of the profile, and no ratio below the other.
_LEAST_SHARE, _LEAST_RATIO = 0.1, 1e-3
# Batches that the coverage is taken over.
_COVERED = 1_000
# Upper edges of the buckets by the longest text, characters.
_EDGES = (20, 50, 120, 300)


class BatchCost:
    """Cost of the batches of one rung.

    Safety: one writer. Other threads may call `mean_ns` and `quantile_ns`; should theirs be the call in which silence
    fades what was learned, and a batch be observed meanwhile, that batch may be lost.
    """

    __slots__ = (
        "_covering",
        "_due_ns",
        "_faded_ns",
        "_least_ns",
        "_regression",
        "_shared",
        "_shift",
        "_start",
        "_tails",
        "_weights_ns",
        "last_ns",
        "observed_total",
    )

    def __init__(self, profile: Sequence[Sample]) -> None:
        """Start from the batches of a warm-up. Of one size alone the cost is a constant until more is seen.

        Raises: ValueError: no sample, or one that cost nothing.
        """
        self._begin(profile, None)

    @classmethod
    def flat(cls, p50_ns: float, p99_ns: float) -> BatchCost:
        """The same cost whatever the batch."""
        cost = cls.__new__(cls)
        rise = max(1.0, p99_ns / p50_ns)
        cost._begin([Sample(1, 64, int(p50_ns))], (0.8, 1.0, (1.0 + rise) / 2.0, rise, rise))  # noqa: SLF001
        return cost

    def _begin(self, profile: Sequence[Sample], start: Tracked | None) -> None:
        self._regression = Regression(profile)
        self._start = start or _spread(profile, self._regression)
        self._least_ns = _LEAST_SHARE * min(sample.cost_ns for sample in profile)
        self._shift = Shift()
        self._covering = bytearray()
        self.observed_total = 0
        self.last_ns = 0
        self.restart()

    def restart(self) -> None:
        """Back to the warm-up profile: after a fault it is the better guess."""
        self._regression.restart()
        self._shift.restart()
        self._shared = Tail(self._start)
        self._tails: list[Tail | None] = [None] * (len(_EDGES) + 1)
        self._due_ns = self._faded_ns = _NEVER_NS
        self._weigh()

    def mean_ns(self, texts: int, longest: int) -> float:
        """Mean cost of a batch of so many texts, the longest of so many characters."""
        fixed, each, character = self._weights_ns
        mean_ns = fixed + texts * (each + longest * character)
        return max(self._least_ns, mean_ns)

    @property
    def saving_ns(self) -> float:
        """What one call in place of two saves at most: the part that does not grow with texts or their length."""
        return self._weights_ns[0]

    def quantile_ns(self, at: int, texts: int, longest: int, now_ns: int) -> int:
        """The cost that a share `QUANTILES[at]` of such batches stays below, as believed at `now_ns`."""
        if now_ns >= self._due_ns:
            self._fade(now_ns)
        tail = self._tails[bisect_left(_EDGES, longest)] or self._shared
        return int(self.mean_ns(texts, longest) * tail.quantiles[at] + 0.5)

    def observe(self, texts: int, longest: int, cost_ns: int, now_ns: int) -> None:
        """Learn from a batch that ended. Cost: 6 us."""
        if now_ns >= self._due_ns:
            self._fade(now_ns)
        mean_ns = self.mean_ns(texts, longest)
        ratio = max(cost_ns / mean_ns, _LEAST_RATIO)
        place = bisect_left(_EDGES, longest)
        tail = self._tails[place]
        if tail is None:
            tail = self._tails[place] = Tail(self._start, self._shared.tracked)
        self._book(bisect_left(tail.quantiles, ratio), now_ns)
        low, middle, high, _, _ = tail.tracked
        profile_mean_ns = mean_ns / self._shift.scale
        if self._shift.learn(ratio, low, middle, high):
            self._unsettle()
        else:  # what lies beyond the tail is no news of the shape
            self._regression.learn(texts, longest, profile_mean_ns, min(ratio, tail.quantiles[P995]))
        self._shared.learn(ratio)
        tail.learn(ratio)
        self._weigh()

    def coverage(self, at: int) -> float:
        """Share of the last 1,000 batches at or below what was predicted before them; NaN before any."""
        if not self._covering:
            return nan
        return sum(self._covering.count(place) for place in range(at + 1)) / len(self._covering)

    def _book(self, covering: int, now_ns: int) -> None:
        """Count a batch that the quantiles from `covering` on have covered."""
        if len(self._covering) < _COVERED:
            self._covering.append(covering)
        else:
            self._covering[self.observed_total % _COVERED] = covering
        self.observed_total += 1
        self.last_ns = now_ns
        self._due_ns = self._faded_ns = now_ns + _SILENCE_NS

    def _unsettle(self) -> None:
        for tail in (self._shared, *self._tails):
            if tail is not None:
                tail.unsettle()

    def _fade(self, now_ns: int) -> None:
        share = min(1.0, 0.5 ** ((now_ns - self._faded_ns) / _HALF_LIFE_NS))
        self._faded_ns, self._due_ns = now_ns, now_ns + _FADE_EVERY_NS
        self._regression.fade(share)
        self._shift.fade(share)
        for tail in (self._shared, *self._tails):
            if tail is not None:
                tail.fade(share)
        self._weigh()

    def _weigh(self) -> None:
        fixed, each, character = self._regression.weights
        scale = self._shift.scale
        self._weights_ns = (fixed * scale, each * scale, character * scale)


def _spread(profile: Sequence[Sample], regression: Regression) -> Tracked:
    """Quantiles of actual to mean in a warm-up, which sees too few batches to know the tail: allow more."""
    ratios = sorted(sample.cost_ns / regression.mean_ns(sample.texts, sample.longest) for sample in profile)
    count = len(ratios)
    # The second slowest: the slowest may be the first call of a model.
    most = max(1.3, ratios[max(0, count - 2)])
    p90 = min(max(1.1, ratios[count * 9 // 10]), most)
    return min(0.8, ratios[count // 10]), min(max(0.8, ratios[count // 2]), 1.25), p90, most, most
