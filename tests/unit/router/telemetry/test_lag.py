from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVarTuple

import pytest

from budgets.clock import ManualClock
from budgets.histogram import Histogram
from router.telemetry.lag import LagEstimate, LagMonitor

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

MS = 1_000_000
TICK = 20 * MS
Args = TypeVarTuple("Args")


def test_lateness_counts_until_what_had_arrived_is_read() -> None:
    estimate = LagEstimate()
    estimate.observe(30 * MS, 0, 1_000 * MS)
    assert estimate.late_ns(1_000 * MS) == 30 * MS
    estimate.settle()
    assert estimate.late_ns(1_000 * MS) == 0


def test_the_noise_of_a_timer_is_no_lateness() -> None:
    estimate = LagEstimate()
    for late_ns in (-800_000, 0, 2 * MS - 1):
        assert estimate.observe(late_ns, 7, 1_000 * MS) == 7
        assert estimate.late_ns(1_000 * MS) == 0


def test_a_tick_that_is_overdue_is_late_already() -> None:
    estimate = LagEstimate()
    estimate.observe(0, 0, 1_000 * MS)
    due = 1_000 * MS + TICK
    assert estimate.late_ns(due + 2 * MS - 1) == 0
    assert estimate.late_ns(due + 80 * MS) == 80 * MS


def test_before_the_first_tick_and_after_a_pause_nothing_is_late() -> None:
    estimate = LagEstimate()
    assert estimate.late_ns(10**12) == 0
    estimate.observe(30 * MS, 0, 10**12)
    estimate.pause()
    assert estimate.late_ns(10**12) == 0
    assert estimate.late_ns(10**15) == 0


@pytest.mark.parametrize(("one_in", "follows"), [(5, True), (50, False)])
def test_the_tail_follows_turns_that_are_long_more_often_than_now_and_then(one_in: int, follows: bool) -> None:
    estimate = LagEstimate()
    assert estimate.tail_ns(0) < 5 * MS
    for tick in range(2_000):
        estimate.observe(0, 10 * MS if tick % one_in == 0 else MS, tick * TICK)
    tail_ns = estimate.tail_ns(1_999 * TICK)
    assert tail_ns < 20 * MS
    assert (tail_ns > 5 * MS) == follows


def test_the_tail_is_never_below_the_present_lateness() -> None:
    estimate = LagEstimate()
    estimate.observe(300 * MS, 0, 0)
    assert estimate.tail_ns(MS) == 300 * MS


class StepLoop(asyncio.SelectorEventLoop):
    """Keeps what is scheduled instead of running it; the test says when."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.soon: list[Callable[[], None]] = []

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(0.0, callback, args, self, context)
        self.timers.append((delay, lambda: None if handle.cancelled() else handle._run()))
        return handle

    def call_soon(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self.soon.append(handle._run)
        return handle


def test_the_monitor_measures_ticks_and_turns() -> None:
    loop, clock, lag = StepLoop(), ManualClock(), Histogram((MS, 10 * MS, 100 * MS))
    told: list[tuple[int, int]] = []
    monitor = LagMonitor(loop, clock, lag, lambda lag_ns, now_ns: told.append((lag_ns, now_ns)))
    monitor.start()
    monitor.start()
    ((delay, tick),) = loop.timers
    assert delay == 0.02
    clock.advance(TICK + 50 * MS)
    tick()
    assert lag.counts == [0, 0, 1, 0]
    assert monitor.estimate.late_ns(clock.now_ns()) == 50 * MS
    clock.advance(4 * MS)
    loop.soon.pop()()
    assert monitor.estimate.late_ns(clock.now_ns()) == 50 * MS, "what is pending is read now"
    loop.soon.pop()()
    assert monitor.estimate.late_ns(clock.now_ns()) == 0, "what is read from here on has not waited"
    clock.advance(16 * MS)
    loop.timers[-1][1]()
    assert lag.counts == [0, 1, 1, 0]
    assert told == [(50 * MS, 70 * MS), (4 * MS, 90 * MS)], "the overload control hears of each tick"
    assert monitor.estimate.late_ns(clock.now_ns()) == 0
    loop.close()


def test_a_stopped_monitor_ticks_no_more() -> None:
    loop, clock, lag = StepLoop(), ManualClock(), Histogram((MS,))
    monitor = LagMonitor(loop, clock, lag, lambda lag_ns, now_ns: None)
    monitor.start()
    monitor.stop()
    monitor.stop()
    loop.timers[0][1]()
    clock.advance(1_000 * MS)
    assert lag.count == 0
    assert len(loop.timers) == 1
    assert monitor.estimate.late_ns(clock.now_ns()) == 0
    monitor.start()
    assert len(loop.timers) == 2
    loop.close()
