"""How late the event loop runs what is due: a pure estimate, and the ticks that feed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.predictor import CostEstimate

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from budgets.clock import Clock
    from budgets.histogram import Histogram

_MS = 1_000_000
_TICK_NS = 20 * _MS
# uvloop's timers have a grain of 1 ms and may fire 0.8 ms early: less than this says nothing about the loop.
_NOISE_NS = 2 * _MS
# What is kept free of a budget for the loop. With the 99th, of the 200 ticks that are remembered the second largest,
# two stalls of 20 ms kept every request of a 25 ms budget from the executor for four seconds; and who waits for it
# until the last moment is one in many.
_TAIL_PERCENT = 90
# One turn of a busy loop; only the start of the estimate.
_PROFILE_NS = 200_000.0


class LagEstimate:
    """How long callbacks wait for the loop. Pure: times are arguments, in monotonic ns."""

    __slots__ = ("_due_ns", "_late_ns", "_tail")

    def __init__(self) -> None:
        self._tail = CostEstimate(_PROFILE_NS, _PROFILE_NS, _TAIL_PERCENT)
        self._late_ns = 0
        self._due_ns: int | None = None

    def observe(self, tick_late_ns: int, turn_ns: int, now_ns: int) -> int:
        """Take in a tick that ran at `now_ns`, and how long the last measured turn of the loop took.

        Returns: the lag learned from, the larger of the two; lateness within the timer's noise is none.
        """
        self._late_ns = tick_late_ns if tick_late_ns >= _NOISE_NS else 0
        self._due_ns = now_ns + _TICK_NS
        lag_ns = max(self._late_ns, turn_ns)
        self._tail.observe(lag_ns, now_ns)
        return lag_ns

    def late_ns(self, now_ns: int) -> int:
        """How long the loop was blocked just before `now_ns`.

        0 unless a tick is overdue, or was late and what had arrived meanwhile is still being read. A block
        shows only as far as it outlasts the next tick, so up to 20 ms of it are not seen.
        """
        if self._due_ns is None:
            return 0
        # Callbacks of the turn that was blocked run before the tick does.
        overdue_ns = now_ns - self._due_ns
        if overdue_ns >= _NOISE_NS:
            return overdue_ns
        return self._late_ns

    def settle(self) -> None:
        """What had arrived during the block has been read: what comes now has not waited."""
        self._late_ns = 0

    def tail_ns(self, now_ns: int) -> int:
        """Allow for the loop at `now_ns`: the learned tail, or the present lateness when that is more."""
        return max(self._tail.tail_ns(now_ns), self.late_ns(now_ns))

    def pause(self) -> None:
        """No ticks until the next `observe`: nothing is overdue meanwhile."""
        self._due_ns = None
        self._late_ns = 0


class LagMonitor:
    """Ticks on an event loop every 20 ms and feeds the estimate and the histogram."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, lag: Histogram, tell: Callable[[int, int], None]
    ) -> None:
        """`tell` hears of each tick: the lag that was found, and when."""
        self.estimate = LagEstimate()
        self._loop = loop
        self._clock = clock
        self._lag = lag
        self._tell = tell
        self._turn_ns = 0
        self._timer: asyncio.Handle | None = None

    def start(self) -> None:
        """Begin to tick; again after `stop`, too."""
        if self._timer is None:
            self._schedule(self._clock.now_ns())

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.estimate.pause()

    def _schedule(self, now_ns: int) -> None:
        self._timer = self._loop.call_later(_TICK_NS / 1e9, self._tick, now_ns + _TICK_NS)

    def _tick(self, due_ns: int) -> None:
        now_ns = self._clock.now_ns()
        lag_ns = self.estimate.observe(now_ns - due_ns, self._turn_ns, now_ns)
        self._lag.observe(lag_ns)
        self._tell(lag_ns, now_ns)
        # What is ready now runs before this does: one turn of the loop.
        self._loop.call_soon(self._measure_turn, now_ns)
        self._schedule(now_ns)

    def _measure_turn(self, since_ns: int) -> None:
        self._turn_ns = self._clock.now_ns() - since_ns
        # Between this callback and the next the loop reads what is pending, without waiting for more.
        self._loop.call_soon(self.estimate.settle)
