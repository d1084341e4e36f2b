"""How late the event loop runs, and what it stops doing first then, before any request is given less."""

from __future__ import annotations

from collections import deque
from enum import Enum

_TICK_NS = 20_000_000
_TICKS = 5  # about a window of them


class Luxury(Enum):
    """Work that no answer waits for, in the order in which it is dropped. The value is the word in metrics."""

    CACHE_WRITES = "cache-writes"
    SPAN_EXPORT = "span-export"
    LATE_LINES = "late-lines"


LUXURIES = tuple(Luxury)
_WINDOWS_AT_EASE = 10  # before one of them is taken up again; dropping is at once
_EASE_SHARE = 0.5  # of the lag at which one is dropped


class Brownout:
    """How many luxuries are off: one more with each window that lags, one less after ten that clearly do not."""

    __slots__ = ("_at_ease", "step")

    def __init__(self) -> None:
        self.step = 0
        self._at_ease = 0

    @property
    def off(self) -> tuple[Luxury, ...]:
        return LUXURIES[: self.step]

    def follow(self, lag_share: float) -> None:
        """One window's upper lag, as a share of what is tolerated."""
        if lag_share > 1.0:
            self.step = min(self.step + 1, len(LUXURIES))
            self._at_ease = 0
        elif lag_share < _EASE_SHARE:
            self.rest(1)
        else:
            self._at_ease = 0

    def rest(self, windows: int) -> None:
        """Windows without lag, however many."""
        steps, self._at_ease = divmod(self._at_ease + windows, _WINDOWS_AT_EASE)
        self.step = max(self.step - steps, 0)


class RecentLag:
    """The last ticks' lag. One block of the loop delays one tick, so neither reading follows it."""

    __slots__ = ("_is_fresh", "_lags_ns", "_seen_ns")

    def __init__(self) -> None:
        self._lags_ns: deque[int] = deque([0] * _TICKS, maxlen=_TICKS)
        self._seen_ns: int | None = None
        self._is_fresh = False

    def observe(self, lag_ns: int, now_ns: int) -> None:
        self._lags_ns.append(lag_ns)
        self._seen_ns, self._is_fresh = now_ns, True

    def close(self, now_ns: int) -> tuple[int, int]:
        """Median and upper quartile at the end of a window.

        A window without a tick is as late as the next one is overdue: a loop that is lost hardly ticks. A monitor
        that has never ticked says nothing.
        """
        if not self._is_fresh and self._seen_ns is not None:
            self._lags_ns.append(max(now_ns - self._seen_ns - _TICK_NS, 0))
        self._is_fresh = False
        ordered = sorted(self._lags_ns)
        return ordered[_TICKS // 2], ordered[_TICKS * 3 // 4]
