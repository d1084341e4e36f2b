"""Online estimates of what a step costs on the event loop: its median and its tail over the last few seconds.

Counts in logarithmic buckets over two half windows, of which the older is dropped every two seconds. So an estimate
follows the machine in both directions within four seconds, however many or few calls there are, a single outlier among
less than 200 calls does not move the tail, and a step that is not used falls back to its profile.

What runs in batches on an executor has `batch_cost.BatchCost`, which knows size and length and costs ten times as much
to keep.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from math import nan

from budgets.batch_cost import P50

_HALF_WINDOW_NS = 2_000_000_000
# Upper edges from 1 us to 60 s, each 10 % above the one before: the error of a quantile.
_GROWTH = 1.1
_EDGES_NS: tuple[float, ...] = tuple(accumulate(range(188), lambda edge_ns, _: edge_ns * _GROWTH, initial=1_000.0))
# With fewer calls than this the profile still has a say.
_FEW_FOR_P50, _FEW_FOR_TAIL = 8, 100
# The first calls of a window are learned from one by one, later ones in lots: a look at all buckets takes 10 us.
_ONE_BY_ONE, _LOT = 64, 32
_COVERAGE_CALLS = 2_000
# A warm-up sees too few calls to know the tail: allow this much more than it saw.
_TAIL_MARGIN = 1.3


class CostEstimate:
    """Median and tail of one step's cost. Not thread safe. Cost: 0.5 us an observation."""

    __slots__ = (
        "_count",
        "_current",
        "_p50_ns",
        "_previous",
        "_profile_p50_ns",
        "_profile_tail_ns",
        "_tail_ns",
        "_tail_percent",
        "_until_ns",
    )

    def __init__(self, p50_ns: float, p99_ns: float, tail_percent: int = 99) -> None:
        """Start from the profile that a warm-up measured. Args: tail_percent: the percentile that is the tail."""
        self._tail_percent = tail_percent
        if not (p50_ns > 0 and p99_ns > 0):
            raise ValueError(f"a profile must be > 0, not {p50_ns!r}, {p99_ns!r}")
        self._profile_p50_ns = int(p50_ns)
        self._profile_tail_ns = int(max(p50_ns, p99_ns) * _TAIL_MARGIN)
        self.restart()

    def restart(self) -> None:
        """Forget what was learned: after a fault the profile is the better guess."""
        self._current = [0] * (len(_EDGES_NS) + 1)
        self._previous = self._current
        self._count = 0
        self._until_ns = 0
        self._p50_ns, self._tail_ns = self._profile_p50_ns, self._profile_tail_ns

    def observe(self, cost_ns: int, now_ns: int) -> None:
        if now_ns >= self._until_ns:
            self._rotate(now_ns)
        self._current[bisect_left(_EDGES_NS, cost_ns)] += 1
        self._count += 1
        if self._count <= _ONE_BY_ONE or not self._count % _LOT:
            self._learn()

    def p50_ns(self) -> int:
        return self._p50_ns

    def tail_ns(self, now_ns: int) -> int:
        """The tail as believed at `now_ns`."""
        if now_ns >= self._until_ns:
            self._rotate(now_ns)
        return self._tail_ns

    def _rotate(self, now_ns: int) -> None:
        """Begin a half window; the one before the last is forgotten, and after a silence both are."""
        is_silent = now_ns >= self._until_ns + _HALF_WINDOW_NS
        empty = [0] * len(self._current)
        self._previous, self._current = (empty if is_silent else self._current), empty.copy()
        self._count = 0
        self._until_ns = now_ns + _HALF_WINDOW_NS
        self._learn()

    def _learn(self) -> None:
        totals = list(accumulate(map(int.__add__, self._previous, self._current)))
        calls = totals[-1]
        p50_ns = _quantile_ns(totals, calls // 2)
        tail_ns = _quantile_ns(totals, calls * self._tail_percent // 100)
        self._p50_ns = p50_ns if calls >= _FEW_FOR_P50 else self._profile_p50_ns
        self._tail_ns = tail_ns if calls >= _FEW_FOR_TAIL else max(tail_ns, self._profile_tail_ns)


class InlineCost:
    """A `CostEstimate` for a rung that runs inline, with the methods of `BatchCost` and the same report of coverage."""

    __slots__ = ("_below", "_calls", "_estimate")

    def __init__(self, p50_ns: float, p99_ns: float) -> None:
        self._estimate = CostEstimate(p50_ns, p99_ns)
        self._calls = 0
        self._below = [0, 0]  # of the calls, those at or below the median and the tail

    def quantile_ns(self, at: int, texts: int, longest: int, now_ns: int) -> int:  # noqa: ARG002 - as BatchCost
        """The median, or for any quantile above it the tail."""
        return self._estimate.p50_ns() if at == P50 else self._estimate.tail_ns(now_ns)

    def observe(self, texts: int, longest: int, cost_ns: int, now_ns: int) -> None:  # noqa: ARG002 - as BatchCost
        estimate = self._estimate
        if self._calls == _COVERAGE_CALLS:  # halve the past, so that the share is of the last thousand or two
            self._calls //= 2
            self._below = [each // 2 for each in self._below]
        self._calls += 1
        self._below[0] += cost_ns <= estimate.p50_ns()
        self._below[1] += cost_ns <= estimate.tail_ns(now_ns)
        estimate.observe(cost_ns, now_ns)

    def coverage(self, at: int) -> float:
        """Share of the latest calls at or below what was predicted before each; NaN before any."""
        return self._below[at != P50] / self._calls if self._calls else nan

    def restart(self) -> None:
        self._estimate.restart()


def _quantile_ns(totals: list[int], rank: int) -> int:
    """Upper edge of the bucket that holds the call of that rank (from 1; 0 is none)."""
    return int(_EDGES_NS[min(bisect_left(totals, rank), len(_EDGES_NS) - 1)]) if rank else 0
