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

from budgets.job import Job
from fallbacks.breaker import Ending
from fallbacks.ladder import Ask, Degraded, Line
from fallbacks.singleflight import Flight, Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from budgets.clock import Clock
    from budgets.job import Batch
    from fallbacks.ladder import Choice, Rung

K = TypeVar("K", bound="Hashable")
Q = TypeVar("Q")
T = TypeVar("T")
R = TypeVar("R", bound="Rung[Any, Any]")


class Executor(Line, Protocol):
    """Runs batches of jobs one after the other, off the event loop."""

    def __len__(self) -> int:
        """Jobs that wait or run."""
        ...

    def submit(self, job: Job[Any, Any]) -> bool:
        """Queue a job; of a full line the least critical gives way. False: full, and `job.ended` will not be called."""
        ...

    def move(self, job: Job[Any, Any], rank: int, latest_start_ns: int) -> None:
        """Give a job that waits another place in the line."""
        ...


class Gauge(Protocol):
    """Who is told how the executor fares: the overload control."""

    def waited(self, waited_ns: int, usable_ns: int, *, ran: bool, now_ns: int) -> None:
        """A job was started, or dropped unstarted, after waiting so long of what it could have waited at most."""
        ...

    def refund(self, cost_ns: int) -> None:
        """Executor time that was granted and not needed."""
        ...


class Run(NamedTuple, Generic[T]):
    """What came of a run for one waiter: a value if and only if `why` is NONE. Inline or unstarted: no batch."""

    value: T | None
    why: Degraded
    batch: Batch | None = None
    error: str = ""


class Runner(Generic[K, Q, T]):
    """Runs rungs, inline or on the executor. One event loop owns it.

    `used_ns` and `wasted_ns` are the executor's time by whether anybody still waited for the answer.
    """

    def __init__(self, executor: Executor, clock: Clock, gauge: Gauge) -> None:
        self.executor = executor
        self.used_ns = self.wasted_ns = 0
        self._clock = clock
        self._gauge = gauge
        self._flights: dict[tuple[str, K], Flight[T]] = {}

    async def run(
        self,
        key: K,
        choice: Choice[R],
        ask: Ask,
        question: Q,
        on_value: Callable[[K, T], None] | None = None,
    ) -> Run[T]:
        """Run a rung on the executor, or join the run of an equal key; back by `choice.until_ns`, with a value or not.

        `on_value` gets the value of a new run whenever it comes, in time or not.
        """
        rung = choice.rung
        flight = self._board(key, choice, ask, question, on_value)
        if flight is None:
            rung.breaker.record(choice.permit, Ending.IGNORED, self._clock.now_ns())
            return Run(None, Degraded.OVERLOAD)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        flight.join(waiter, _wish(choice, ask))
        self._heed(flight)
        ending = Ending.IGNORED  # if the client leaves
        try:
            await self._wait(waiter, choice.latest_start_ns)
            if flight.job.batch is not None:
                await self._wait(waiter, choice.until_ns)
            run, ending = self._judge(flight)
            if flight.is_told:  # one run counts once, however many share it
                ending = Ending.IGNORED
            flight.is_told |= ending is not Ending.IGNORED
        finally:
            flight.leave(waiter)
            self._heed(flight)
            if rung.breaker.record(choice.permit, ending, self._clock.now_ns()):
                rung.cost.restart()
        return run

    def run_inline(self, choice: Choice[R], length: int, call: Callable[[], T]) -> Run[T]:
        """Run `call` here and now. It blocks the event loop, so it must be cheap."""
        rung = choice.rung
        start_ns = self._clock.now_ns()
        try:
            run = Run(call(), Degraded.NONE)
        except Exception as error:  # noqa: BLE001 - a model may raise anything; the next rung answers
            run = Run(None, Degraded.ERROR, error=repr(error))
        end_ns = self._clock.now_ns()
        rung.cost.observe(1, length, end_ns - start_ns, end_ns)
        ending = Ending.FAILED if run.error else Ending.SLOW if end_ns > choice.until_ns else Ending.OK
        if rung.breaker.record(choice.permit, ending, end_ns):
            rung.cost.restart()
        return run

    def _board(
        self,
        key: K,
        choice: Choice[R],
        ask: Ask,
        question: Q,
        on_value: Callable[[K, T], None] | None,
    ) -> Flight[T] | None:
        """The flight that answers the question: one that is under way, or a new one. None: the line is full."""
        rung = choice.rung
        flight = self._flights.get((rung.name, key))
        if flight is not None:
            self._gauge.refund(choice.charged_ns)
            return flight
        assert rung.work is not None  # the ladder says which rungs need the executor  # noqa: S101
        wish = _wish(choice, ask)
        job = Job(
            rung.work, question, ask.length, wish.rank, self._clock.now_ns(), wish.latest_start_ns, wish.commit_ns,
            choice.charged_ns, lambda job: self._land(key, rung, job, on_value),
        )  # fmt: skip
        if not self.executor.submit(job):
            self._gauge.refund(job.charged_ns)
            return None
        flight = self._flights[rung.name, key] = Flight(job, wish)
        return flight

    def _heed(self, flight: Flight[T]) -> None:
        """Give a job that waits the place in the line that suits all who wait for it now."""
        job, wish = flight.job, flight.wish
        if job.batch is None and (job.rank, job.latest_start_ns, job.commit_ns) != wish:
            job.commit_ns = wish.commit_ns
            self.executor.move(job, wish.rank, wish.latest_start_ns)

    def _land(self, key: K, rung: R, job: Job[Q, T], on_value: Callable[[K, T], None] | None) -> None:
        """The executor is done with a job, in time or not."""
        now_ns, batch = self._clock.now_ns(), job.batch
        flight = self._flights.pop((rung.name, key))
        # Behind one job that happens to run is no queue yet: with a budget of a few calls it would be taken for one.
        since_ns, usable_ns = job.enqueued_ns + job.charged_ns, job.latest_start_ns - job.enqueued_ns
        if batch is None or batch.end_ns is None:
            self._gauge.refund(job.charged_ns)
            if now_ns > job.latest_start_ns:  # a client that left earlier says nothing about the line
                self._gauge.waited(max(now_ns - since_ns, 0), usable_ns, ran=False, now_ns=now_ns)
        else:
            self._gauge.waited(max(batch.start_ns - since_ns, 0), usable_ns, ran=True, now_ns=now_ns)
            took_ns = batch.end_ns - batch.start_ns
            if job is batch.jobs[0]:  # one call, one lesson
                rung.cost.observe(len(batch.jobs), batch.longest, took_ns, batch.end_ns)
            share_ns = took_ns // len(batch.jobs)
            if len(batch.jobs) > 1:  # each was granted a call of his own
                self._gauge.refund(max(job.charged_ns - share_ns, 0))
            if flight.waiters:
                self.used_ns += share_ns
            else:
                self.wasted_ns += share_ns
        if job.value is not None and on_value is not None:
            on_value(key, job.value)
        flight.end()

    async def _wait(self, waiter: asyncio.Future[None], until_ns: int) -> None:
        """Until the flight has ended or the time has come. uvloop's timers fire up to 0.8 ms early: look again."""
        while not waiter.done() and (left_ns := until_ns - self._clock.now_ns()) > 0:
            await asyncio.wait((waiter,), timeout=left_ns / 1e9)

    def _judge(self, flight: Flight[T]) -> tuple[Run[T], Ending]:
        """What the run is worth to a waiter now, and what it says of the rung."""
        job = flight.job
        if flight.has_ended and job.error is not None:
            return Run(None, Degraded.ERROR, job.batch, repr(job.error)), Ending.FAILED
        if flight.has_ended and job.value is not None:
            return Run(job.value, Degraded.NONE, job.batch), Ending.OK
        if job.batch is not None:
            # Slow is what runs longer than was expected of it; that it was tried on a thin margin is not its fault.
            is_slow = job.batch.overdue_ns(self._clock.now_ns())
            return Run(None, Degraded.BUDGET, job.batch), Ending.SLOW if is_slow else Ending.IGNORED
        if self.executor.overdue_ns(self._clock.now_ns()):
            return Run(None, Degraded.BUDGET), Ending.SLOW
        return Run(None, Degraded.OVERLOAD), Ending.IGNORED


def _wish(choice: Choice[Any], ask: Ask) -> Wish:
    return Wish(ask.rank, choice.latest_start_ns, choice.until_ns)
