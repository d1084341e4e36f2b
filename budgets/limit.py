"""How many jobs the executor may hold at once, learned from how long they wait.

The signal is the queue delay as a share of what the waiting requests could spend, not the time of a whole call:
a ladder that steps down makes calls shorter under overload, and a limit on their latency would then rise.
"""

from __future__ import annotations

from collections import deque
from math import sqrt
from operator import mul
from typing import TYPE_CHECKING

from budgets.criticality import CRITICAL_PLUS

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST = 2.0  # one job runs, one waits: less would leave the executor idle between two
_START = 16.0
_SMOOTHING = 0.2
_SHRINK_MOST, _GROW_MOST = 0.5, 1.25
_DELAY_LEAST = 0.01
# The part of the limit that each class may fill, by rank: what the others leave is there when the critical come.
_SHARE = (1.0, 1.0, 0.75, 0.5)
_DRIFT_WINDOWS = 50
_ROUNDING = 1e-9
_DRIFT_THROUGHPUT, _DRIFT_DELAY = 0.3, 0.5


class Limit:
    """An adaptive bound on jobs in flight, running and waiting. One update a window, O(1) otherwise."""

    __slots__ = ("_history", "_max_jobs", "_target", "value")

    def __init__(self, max_jobs: int, target_share: float) -> None:
        """Args: target_share: the queue delay, as a share of what may be spent, 9 in 10 jobs may have at most."""
        self._max_jobs = max_jobs
        self._target = target_share
        self.value = max(min(_START, max_jobs), _LEAST)
        self._history: deque[tuple[float, float, float]] = deque(maxlen=_DRIFT_WINDOWS)

    def admits(self, rank: int, in_line: int) -> bool:
        """Whether one more job may join. Never False for a class and True for a less critical one."""
        return in_line < (self._max_jobs if rank == CRITICAL_PLUS else self.value * _SHARE[rank])

    def follow(self, delay_share: float, peak: int, started: float) -> None:
        """Take in some windows: the p90 of the queue delay, the most jobs in flight, and how many started a window."""
        self._history.append((peak, started, delay_share))
        limit = self.value
        gradient = min(max(self._target / max(delay_share, _DELAY_LEAST), _SHRINK_MOST), _GROW_MOST)
        # Room to probe for more. Plain sqrt(limit) would settle a limit of 4 at twice the target.
        headroom = min(sqrt(limit), 0.1 * limit + 0.5)
        limit += _SMOOTHING * (gradient * limit + headroom - limit)
        if limit > self.value and (peak < self.value / 2 or self._drifts()):
            return
        self.value = min(max(limit, _LEAST), max(self._max_jobs, _LEAST))

    def _drifts(self) -> bool:
        """More jobs in flight only made them wait longer: the limit is past the knee (after failsafe-go)."""
        if len(self._history) < _DRIFT_WINDOWS:
            return False
        inflight, throughput, delay = zip(*self._history, strict=True)
        return _correlation(inflight, throughput) < _DRIFT_THROUGHPUT and _correlation(inflight, delay) > _DRIFT_DELAY


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's; 0 where one of them does not vary."""
    count, sum_a, sum_b = len(a), sum(a), sum(b)
    spread_a, spread_b = count * sum(map(mul, a, a)) - sum_a**2, count * sum(map(mul, b, b)) - sum_b**2
    if min(spread_a, spread_b) <= _ROUNDING * count:
        return 0.0
    covariance: float = count * sum(map(mul, a, b)) - sum_a * sum_b
    return covariance / sqrt(spread_a * spread_b)
