"""Runs a rung on the executor and gives every waiter an answer by its own commit time.

```
submitted -> waits --(latest start passes)--> give up: the rung below may still fit
               |
             runs --(commit time comes)--> give up; the late answer still reaches `on_value`, and so the cache
               |
             ends -> value, or error
```
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from budgets.line import Job
from fallbacks.breaker import Ending
from fallbacks.ladder import Degraded, Line
from fallbacks.singleflight import Flight

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from budgets.clock import Clock
    from fallbacks.ladder import Choice, Rung

K = TypeVar("K", bound="Hashable")
T = TypeVar("T")
R = TypeVar("R", bound="Rung")


class Executor(Line, Protocol):
    """Runs jobs one after the other, off the event loop."""

    def submit(self, job: Job[Any]) -> bool:
        """Queue a job. False: the line is full, and `job.ended` will not be called."""
        ...


class Run(NamedTuple, Generic[T]):
    """What came of a run for one waiter: a value if and only if `why` is NONE. Unstarted runs have no times."""

    value: T | None
    why: Degraded
    start_ns: int | None = None
    end_ns: int | None = None
    error: str = ""


class Runner(Generic[K, T]):
    """Runs rungs, inline or on the executor. One event loop owns it."""

    def __init__(self, executor: Executor, clock: Clock) -> None:
        self.executor = executor
        self._clock = clock
        self._flights: dict[tuple[str, K], Flight[T]] = {}

    async def run(
        self, key: K, choice: Choice[R], call: Callable[[], T], on_value: Callable[[K, T], None] | None = None
    ) -> Run[T]:
        """Run `call`, or join the run of an equal key; back by `choice.until_ns`, with or without a value.

        `on_value` gets the value of a new run whenever it comes, in time or not.
        """
        rung, permit, commit_ns = choice
        now_ns = self._clock.now_ns()
        latest_start_ns = commit_ns - rung.cost.p99_ns(now_ns)
        flight = self._flights.get((rung.name, key)) or self._take_off(key, rung, call, latest_start_ns, on_value)
        if flight is None:
            rung.breaker.record(permit, Ending.IGNORED, now_ns)
            return Run(None, Degraded.OVERLOAD)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        flight.join(waiter, latest_start_ns)
        ending = Ending.IGNORED  # if the client leaves
        try:
            await self._wait(waiter, latest_start_ns)
            if flight.job.start_ns is not None:
                await self._wait(waiter, commit_ns)
            run, ending = self._judge(flight)
            if flight.is_told:  # one run counts once, however many share it
                ending = Ending.IGNORED
            flight.is_told |= ending is not Ending.IGNORED
        finally:
            flight.leave(waiter)
            if rung.breaker.record(permit, ending, self._clock.now_ns()):
                rung.cost.restart()
        return run

    def run_inline(self, choice: Choice[R], call: Callable[[], T]) -> Run[T]:
        """Run `call` here and now. It blocks the event loop, so it must be cheap."""
        rung, permit, until_ns = choice
        start_ns = self._clock.now_ns()
        try:
            run = Run(call(), Degraded.NONE)
        except Exception as error:  # noqa: BLE001 - a model may raise anything; the next rung answers
            run = Run(None, Degraded.ERROR, error=repr(error))
        end_ns = self._clock.now_ns()
        rung.cost.observe(end_ns - start_ns, end_ns)
        ending = Ending.FAILED if run.error else Ending.SLOW if end_ns > until_ns else Ending.OK
        if rung.breaker.record(permit, ending, end_ns):
            rung.cost.restart()
        return run

    def _take_off(
        self,
        key: K,
        rung: Rung,
        call: Callable[[], T],
        latest_start_ns: int,
        on_value: Callable[[K, T], None] | None,
    ) -> Flight[T] | None:
        limit_ns = rung.cost.p99_ns(self._clock.now_ns())
        job = Job(call, rung.cost.p50_ns(), limit_ns, latest_start_ns, lambda job: self._land(key, rung, job, on_value))
        if not self.executor.submit(job):
            return None
        flight = self._flights[rung.name, key] = Flight(job)
        return flight

    def _land(self, key: K, rung: Rung, job: Job[T], on_value: Callable[[K, T], None] | None) -> None:
        """The executor is done with a job, in time or not."""
        if job.start_ns is not None and job.end_ns is not None:
            rung.cost.observe(job.end_ns - job.start_ns, job.end_ns)
        if job.value is not None and on_value is not None:
            on_value(key, job.value)
        self._flights.pop((rung.name, key)).end()

    async def _wait(self, waiter: asyncio.Future[None], until_ns: int) -> None:
        """Until the flight has ended or the time has come. uvloop's timers fire up to 0.8 ms early: look again."""
        while not waiter.done() and (left_ns := until_ns - self._clock.now_ns()) > 0:
            await asyncio.wait((waiter,), timeout=left_ns / 1e9)

    def _judge(self, flight: Flight[T]) -> tuple[Run[T], Ending]:
        """What the run is worth to a waiter now, and what it says of the rung."""
        job = flight.job
        if flight.has_ended and job.error is not None:
            return Run(None, Degraded.ERROR, job.start_ns, job.end_ns, repr(job.error)), Ending.FAILED
        if flight.has_ended and job.value is not None:
            return Run(job.value, Degraded.NONE, job.start_ns, job.end_ns), Ending.OK
        if job.start_ns is not None:
            return Run(None, Degraded.BUDGET, job.start_ns), Ending.SLOW
        if self.executor.overdue_ns(self._clock.now_ns()):
            return Run(None, Degraded.BUDGET), Ending.SLOW
        return Run(None, Degraded.OVERLOAD), Ending.IGNORED
