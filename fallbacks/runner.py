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

from budgets.batch_cost import P50
from budgets.job import Job
from fallbacks.breaker import Ending
from fallbacks.ladder import Ask, Degraded, Line
from fallbacks.singleflight import Flight

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

    def ahead(self, rank: int) -> int:
        """Those of them that go before a newcomer of that rank."""
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

    def ended(self, now_ns: int) -> None:
        """A batch has ended."""
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
        rung, commit_ns = choice.rung, choice.until_ns
        flight = self._board(key, choice, ask, question, on_value)
        if flight is None:
            rung.breaker.record(choice.permit, Ending.IGNORED, self._clock.now_ns())
            return Run(None, Degraded.OVERLOAD)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        flight.join(waiter)
        ending = Ending.IGNORED  # if the client leaves
        try:
            await self._wait(waiter, choice.latest_start_ns)
            if flight.job.batch is not None:
                await self._wait(waiter, commit_ns)
            run, ending = self._judge(flight)
            if flight.is_told:  # one run counts once, however many share it
                ending = Ending.IGNORED
            flight.is_told |= ending is not Ending.IGNORED
        finally:
            flight.leave(waiter)
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
        rung, now_ns = choice.rung, self._clock.now_ns()
        work = rung.work
        assert work is not None  # the ladder says which rungs need the executor  # noqa: S101
        charged_ns = rung.cost.quantile_ns(P50, 1, ask.length, now_ns)
        flight = self._flights.get((rung.name, key))
        if flight is not None:
            self._gauge.refund(charged_ns)
            job = flight.job
            rank, latest_start_ns, commit_ns = ask.rank, choice.latest_start_ns, choice.until_ns
            if flight.waiters:  # or those before him have all left, and he is alone with it
                rank, commit_ns = min(job.rank, rank), min(job.commit_ns, commit_ns)
                latest_start_ns = max(job.latest_start_ns, latest_start_ns)
            job.commit_ns = commit_ns
            self.executor.move(job, rank, latest_start_ns)
            return flight
        job = Job(
            work, question, ask.length, ask.rank, now_ns, choice.latest_start_ns, choice.until_ns, charged_ns,
            lambda job: self._land(key, rung, job, on_value),
        )  # fmt: skip
        if not self.executor.submit(job):
            self._gauge.refund(charged_ns)
            return None
        flight = self._flights[rung.name, key] = Flight(job)
        return flight

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
                self._gauge.ended(now_ns)
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
            return Run(None, Degraded.BUDGET, job.batch), Ending.SLOW
        if self.executor.overdue_ns(self._clock.now_ns()):
            return Run(None, Degraded.BUDGET), Ending.SLOW
        return Run(None, Degraded.OVERLOAD), Ending.IGNORED
