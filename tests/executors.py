"""The real thread, with events that say who may go on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from budgets.clock import SystemClock
from budgets.job import Job, Work
from models.executor import ThreadExecutor
from tests.jobs import BLOCK_NS, job_of, linear, work_of

NOW_NS = SystemClock.now_ns

PATIENCE_S = 20
Scenario = Callable[[ThreadExecutor], Awaitable[None]]


def open_executor(max_jobs: int = 8) -> ThreadExecutor:
    return ThreadExecutor(asyncio.get_running_loop(), SystemClock(), max_jobs, BLOCK_NS)


def play(scenario: Scenario, max_jobs: int = 8) -> None:
    async def main() -> None:
        executor = open_executor(max_jobs)
        try:
            await asyncio.wait_for(scenario(executor), PATIENCE_S)
        finally:
            executor.close()
        assert not executor._thread.is_alive()

    asyncio.run(main())


class Ends:
    """Collects ended jobs; `wait(n)` until there are n of them."""

    def __init__(self) -> None:
        self.jobs: list[Job[Any, Any]] = []
        self.threads: list[threading.Thread] = []
        self._changed = asyncio.Event()

    def __call__(self, job: Job[Any, Any]) -> None:
        self.jobs.append(job)
        self.threads.append(threading.current_thread())
        self._changed.set()

    async def wait(self, count: int) -> list[Job[Any, Any]]:
        while len(self.jobs) < count:
            self._changed.clear()
            await self._changed.wait()
        return self.jobs

    def job(self, work: Work[Any, Any], question: object = "a", **fields: int) -> Job[Any, Any]:
        return job_of(work, question, enqueued_ns=NOW_NS(), ended=self, **fields)


class Gate:
    """A call that tells that it was entered, and returns when it may."""

    def __init__(self) -> None:
        self.entered, self.may_go = threading.Event(), threading.Event()
        self.asked: list[list[object]] = []

    def __call__(self, questions: Sequence[object]) -> list[object]:
        self.asked.append(list(questions))
        self.entered.set()
        assert self.may_go.wait(PATIENCE_S)
        return list(questions)


async def until_entered(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.entered.wait, PATIENCE_S)


def one(call: Callable[[], object]) -> Work[Any, Any]:
    """Work whose call is the same for each."""
    return work_of(linear(), lambda questions: [call() for _ in questions])
