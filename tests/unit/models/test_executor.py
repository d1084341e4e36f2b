"""The real thread. Nothing sleeps: events say who may go on."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from budgets.clock import SystemClock
from budgets.line import Job
from models.executor import ThreadExecutor

NEVER_NS = 1 << 62
Scenario = Callable[[ThreadExecutor], Awaitable[None]]


def play(scenario: Scenario, max_jobs: int = 8) -> None:
    async def main() -> None:
        executor = ThreadExecutor(asyncio.get_running_loop(), SystemClock(), max_jobs)
        try:
            await asyncio.wait_for(scenario(executor), 20)
        finally:
            executor.close()
        assert not executor._thread.is_alive()

    asyncio.run(main())


class Ends:
    """Collects ended jobs; `wait(n)` until there are n of them."""

    def __init__(self) -> None:
        self.jobs: list[Job[Any]] = []
        self.threads: list[threading.Thread] = []
        self._changed = asyncio.Event()

    def __call__(self, job: Job[Any]) -> None:
        self.jobs.append(job)
        self.threads.append(threading.current_thread())
        self._changed.set()

    async def wait(self, count: int) -> list[Job[Any]]:
        while len(self.jobs) < count:
            self._changed.clear()
            await self._changed.wait()
        return self.jobs

    def job(self, call: Callable[[], object], latest_start_ns: int = NEVER_NS) -> Job[Any]:
        return Job(call, 1_000, NEVER_NS, latest_start_ns, self)


def test_jobs_run_in_order_on_one_other_thread_and_end_on_the_loop() -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends = Ends()
        for _ in range(5):
            assert executor.submit(ends.job(threading.current_thread))
        jobs = await ends.wait(5)
        assert {job.value for job in jobs} == {executor._thread}
        assert set(ends.threads) == {threading.main_thread()}
        starts = [job.start_ns for job in jobs]
        assert starts == sorted(starts, key=lambda ns: ns or 0)
        for job in jobs:
            assert job.start_ns is not None
            assert job.end_ns is not None
            assert job.start_ns <= job.end_ns
        assert len(executor) == 0

    play(scenario)


def test_an_error_is_kept_and_the_thread_goes_on() -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends = Ends()

        def fail() -> None:
            raise ValueError("no")

        executor.submit(ends.job(fail))
        executor.submit(ends.job(lambda: "next"))
        failed, following = await ends.wait(2)
        assert repr(failed.error) == "ValueError('no')"
        assert failed.end_ns is not None
        assert following.value == "next"

    play(scenario)


def test_the_line_is_bounded_and_knows_what_runs() -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends, entered, may_go = Ends(), threading.Event(), threading.Event()

        def block() -> None:
            entered.set()
            may_go.wait(20)

        blocking = ends.job(block)
        blocking.limit_ns = 0
        assert executor.submit(blocking)
        await asyncio.to_thread(entered.wait, 20)
        assert executor.submit(ends.job(object))
        assert not executor.submit(ends.job(object)), "full"
        assert len(executor) == 2
        now_ns = SystemClock().now_ns()
        assert executor.overdue_ns(now_ns) > 0
        assert executor.wait_ns(now_ns) >= 1_000
        may_go.set()
        await ends.wait(2)
        assert executor.overdue_ns(SystemClock().now_ns()) == 0

    play(scenario, max_jobs=2)


@pytest.mark.parametrize("why", ["cancelled", "too late"])
def test_the_dead_are_not_started_but_leave_the_line(why: str) -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends, called = Ends(), threading.Event()
        dead = ends.job(called.set, latest_start_ns=0 if why == "too late" else NEVER_NS)
        dead.cancelled = why == "cancelled"
        executor.submit(dead)
        await ends.wait(1)
        assert not called.is_set()
        assert (dead.start_ns, dead.end_ns) == (None, None)
        assert len(executor) == 0

    play(scenario)


def test_close_finishes_what_is_in_line() -> None:
    async def main() -> list[object]:
        executor, done = ThreadExecutor(asyncio.get_running_loop(), SystemClock(), 8), list[object]()
        for number in range(5):
            executor.submit(Job(lambda number=number: done.append(number), 0, 0, NEVER_NS, lambda _: None))  # type: ignore[misc]
        executor.close()
        assert not executor._thread.is_alive()
        return done

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_a_loop_that_is_gone_ends_the_thread() -> None:
    may_go = threading.Event()

    async def main() -> ThreadExecutor:
        executor = ThreadExecutor(asyncio.get_running_loop(), SystemClock(), 8)
        executor.submit(Job(lambda: may_go.wait(20), 0, 0, NEVER_NS, lambda _: None))
        return executor

    executor = asyncio.run(main())
    may_go.set()
    executor._thread.join(20)
    assert not executor._thread.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="thread priorities are Linux's")
def test_the_thread_yields_to_the_event_loop() -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends = Ends()
        own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        executor.submit(ends.job(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
        (job,) = await ends.wait(1)
        assert job.value == 5
        assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own, "only that thread"

    play(scenario)
