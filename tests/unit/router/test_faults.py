"""Faults on purpose: they come again while they are asked for, and leave nothing behind."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from router.faults import Block, FaultPlan, Faults, StoreFaults
from router.log import StoreFault
from tests.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from budgets.line import Job


class Line:
    """An executor that starts and ends its jobs when it is told to."""

    def __init__(self) -> None:
        self.jobs: list[Job[Any]] = []
        self.is_full = False

    def submit(self, job: Job[Any]) -> bool:
        if not self.is_full:
            self.jobs.append(job)
        return not self.is_full

    def end(self) -> Job[Any]:
        job = self.jobs.pop(0)
        if job.is_startable(0):
            job.run(lambda: 0)
        job.ended(job)
        return job

    def wait_ns(self, now_ns: int) -> int:
        return 0

    def overdue_ns(self, now_ns: int) -> int:
        return 0


def plan(executor_ms: float = 0.0, loop_ms: float = 0.0) -> FaultPlan:
    return FaultPlan(executor=Block(block_ms=executor_ms), loop=Block(block_ms=loop_ms))


def open_faults(loop: asyncio.AbstractEventLoop) -> tuple[Faults, Line, StoreFault]:
    line, store = Line(), StoreFault()
    return Faults(Random(0), loop, line, store), line, store


def timers(loop: VirtualLoop) -> int:
    return sum(not handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]


def test_the_executor_is_blocked_again_a_second_after_each_blocks_end() -> None:
    async def main(loop: VirtualLoop) -> None:
        broken, line, _ = open_faults(loop)
        broken.set(plan(executor_ms=0.1))
        await asyncio.sleep(10)
        assert len(line.jobs) == 1
        assert line.end().error is None
        assert not line.jobs
        await asyncio.sleep(0.9)
        assert not line.jobs
        await asyncio.sleep(0.2)
        assert len(line.jobs) == 1
        broken.set(plan())

    run(main)


def test_nothing_is_scheduled_or_queued_once_it_is_cleared() -> None:
    async def main(loop: VirtualLoop) -> None:
        broken, line, store = open_faults(loop)
        broken.set(FaultPlan(executor=Block(block_ms=10_000), store=StoreFaults(delay_ms=5, down=True)))
        assert (store.delay_ns, store.down) == (5_000_000, True)
        broken.set(FaultPlan())
        assert (store.delay_ns, store.down) == (0, False)
        assert not line.jobs[0].is_startable(0)
        line.end()
        await asyncio.sleep(5)
        assert not line.jobs
        assert timers(loop) == 0
        broken.set(plan(executor_ms=0.1))
        line.end()
        assert timers(loop) == 1
        broken.set(FaultPlan())
        assert timers(loop) == 0
        await asyncio.sleep(5)
        assert not line.jobs

    run(main)


@pytest.mark.timeout(5)
def test_a_block_that_runs_ends_when_it_is_cleared() -> None:
    async def main() -> None:
        broken, line, _ = open_faults(asyncio.get_running_loop())
        broken.set(plan(executor_ms=10_000))
        running = asyncio.create_task(asyncio.to_thread(line.jobs[0].call))
        await asyncio.sleep(0)
        broken.set(FaultPlan())
        assert await running is True

    asyncio.run(main())


def test_a_full_line_is_tried_again() -> None:
    async def main(loop: VirtualLoop) -> None:
        broken, line, _ = open_faults(loop)
        line.is_full = True
        broken.set(plan(executor_ms=0.1))
        line.is_full = False
        await asyncio.sleep(1.1)
        assert len(line.jobs) == 1
        broken.set(FaultPlan())

    run(main)


def test_the_loop_is_blocked_again_a_second_later(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("router.faults.time.sleep", slept.append)

    async def main(loop: VirtualLoop) -> None:
        broken, line, _ = open_faults(loop)
        broken.set(plan(loop_ms=50))
        await asyncio.sleep(2.5)
        assert slept == [0.05] * 3
        broken.set(FaultPlan())
        await asyncio.sleep(5)
        assert len(slept) == 3
        assert not line.jobs

    run(main)
