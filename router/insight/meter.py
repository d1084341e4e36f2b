"""Counts, and levels over time, of the last 24 hours: what a window had is the difference of two running sums.

A row of running sums is kept for each minute in which something changed. In between nothing did, so a straight line
between two rows is exact at every full minute, where windows begin. Memory: a row is 8 bytes for each figure and 8 for
its time; at most 1,570 rows, or 190 where what is older than an hour is kept by the quarter of an hour only.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE_MS = 60_000
QUARTER_MS = 15 * MINUTE_MS
DAY_MS = 24 * 60 * MINUTE_MS
HOUR_MS = 60 * MINUTE_MS
# Old rows are dropped when there are so many: it moves all the others.
_SPARE = 32


class Meter:
    """Figures of one queue or agent: `counters` that are added to, then the integrals over time of `levels`, in ms.

    Time never goes back: what comes with an earlier time counts as of the last one. The first row is that of the first
    full minute; before the meter was made everything was 0.
    """

    __slots__ = ("_counters", "_fine_ms", "_now_ms", "_rows", "_times", "levels", "totals")

    def __init__(self, counters: int, levels: int, now_ms: int, *, fine_ms: int = DAY_MS) -> None:
        self._counters = counters
        self._fine_ms = fine_ms
        self._now_ms = now_ms
        self.totals = [0] * (counters + levels)
        self.levels = [0] * levels
        self._times = array("q")
        self._rows = array("q")

    def __len__(self) -> int:
        """Rows."""
        return len(self._times)

    @property
    def now_ms(self) -> int:
        """Of the last change."""
        return self._now_ms

    def add(self, counter: int, amount: int, now_ms: int) -> None:
        self._advance(now_ms)
        self.totals[counter] += amount

    def shift(self, level: int, amount: int, now_ms: int) -> None:
        """A level changes, from now on."""
        self._advance(now_ms)
        self.levels[level] += amount

    def window(self, start_ms: int, now_ms: int) -> list[int]:
        """What was added since a start that `start_of` gave, and the integrals since then."""
        before = self._at(start_ms)
        return [now - then for now, then in zip(self._until(max(now_ms, self._now_ms)), before, strict=True)]

    def start_of(self, window_ms: int, now_ms: int) -> int:
        """Where a window begins: `window_ms` ago or a little more, where its sums are known exactly."""
        start_ms = now_ms - min(window_ms, DAY_MS)
        return start_ms // MINUTE_MS * MINUTE_MS if window_ms <= self._fine_ms else start_ms // QUARTER_MS * QUARTER_MS

    def _advance(self, now_ms: int) -> None:
        if now_ms <= self._now_ms:
            return
        last_ms = now_ms // MINUTE_MS * MINUTE_MS
        if last_ms > self._now_ms:
            first_ms = self._now_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS
            self._keep(first_ms)
            if last_ms > first_ms:
                self._keep(last_ms)
            if len(self._times) > (self._fine_ms + DAY_MS // 15) // MINUTE_MS + _SPARE:
                self._thin(now_ms - DAY_MS - QUARTER_MS, now_ms - self._fine_ms - QUARTER_MS)
        self.totals, self._now_ms = self._until(now_ms), now_ms

    def _keep(self, at_ms: int) -> None:
        self._times.append(at_ms)
        self._rows.extend(self._until(at_ms))

    def _until(self, at_ms: int) -> list[int]:
        """The running sums at a time after the last change."""
        span_ms, counters = at_ms - self._now_ms, self._counters
        grown = (total + level * span_ms for total, level in zip(self.totals[counters:], self.levels, strict=True))
        return [*self.totals[:counters], *grown]

    def _row(self, number: int) -> Sequence[int]:
        width = len(self.totals)
        return self._rows[number * width : (number + 1) * width]

    def _at(self, start_ms: int) -> Sequence[int]:
        """The running sums at a full minute (beyond `fine_ms`: a full quarter of an hour)."""
        if start_ms >= self._now_ms:
            return self._until(start_ms)
        number = bisect_right(self._times, start_ms) - 1
        if number < 0:
            return [0] * len(self.totals)
        row, time_ms = self._row(number), self._times[number]
        if time_ms == start_ms or number + 1 == len(self._times):
            return row
        later, span_ms = self._row(number + 1), self._times[number + 1] - time_ms
        return [a + (b - a) * (start_ms - time_ms) // span_ms for a, b in zip(row, later, strict=True)]

    def _thin(self, oldest_ms: int, fine_ms: int) -> None:
        """Forget what is older than `oldest_ms`, and what lies between quarters of an hour before `fine_ms`."""
        oldest_ms = max(oldest_ms, self._times[0]) // QUARTER_MS * QUARTER_MS
        fine_ms = fine_ms // QUARTER_MS * QUARTER_MS
        times, rows = array("q"), array("q")
        for at_ms in range(oldest_ms, max(oldest_ms, fine_ms) + 1, QUARTER_MS):
            times.append(at_ms)
            rows.extend(self._at(at_ms))
        first_kept = bisect_right(self._times, times[-1])
        times.extend(self._times[first_kept:])
        rows.extend(self._rows[first_kept * len(self.totals) :])
        self._times, self._rows = times, rows
