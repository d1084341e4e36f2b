"""Virtual time: it jumps, it is exact, and the outside does not wait for the loop."""

from __future__ import annotations

import asyncio
import time
from random import Random

import pytest

from budgets.job import Job
from tests.jobs import LinearCost, job_of, linear, shared, work_of
from tests.virtual import MS, Deadlock, S, VirtualExecutor, VirtualLoop, run

BLOCK_NS = 100 * MS


def test_a_day_passes_at_once() -> None:
    async def main(loop: VirtualLoop) -> tuple[int, float]:
        await asyncio.sleep(86_400)
        return loop.clock.now_ns(), loop.time()

    start = time.monotonic()
    assert run(main) == (86_400 * S, 86_400.0)
    assert time.monotonic() - start < 5


def test_timers_fire_in_order_and_on_the_nanosecond() -> None:
    async def main(loop: VirtualLoop) -> list[int]:
        fired: list[int] = []
        for ns in (30_000_001, 7, 3 * S + 1, 30_000_000):
            loop.call_later(ns / 1e9, lambda: fired.append(loop.clock.now_ns()))
        await asyncio.sleep(4)
        return fired

    assert run(main) == [7, 30_000_000, 30_000_001, 3 * S + 1]


def test_jitter_fires_a_little_early_or_late_the_same_way_for_a_seed() -> None:
    async def main(loop: VirtualLoop) -> list[int]:
        errors = []
        for _ in range(300):
            due_ns = loop.clock.now_ns() + 5 * MS
            await asyncio.sleep(0.005)
            errors.append(loop.clock.now_ns() - due_ns)
        return errors

    errors = run(main, VirtualLoop(Random(1)))
    assert -0.8 * MS <= min(errors) < -0.7 * MS
    assert 0.9 * MS < max(errors) <= 1 * MS
    assert errors == run(main, VirtualLoop(Random(1)))


def test_a_deadlock_is_told() -> None:
    async def main(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(Deadlock, match="nothing is ready"):
        run(main)


def test_callbacks_cost_time() -> None:
    async def main(loop: VirtualLoop) -> int:
        before_ns = loop.clock.now_ns()
        for _ in range(10):
            await asyncio.sleep(0)
        return loop.clock.now_ns() - before_ns

    assert run(main, VirtualLoop(callback_ns=lambda: 1_000)) == 10_000


def test_the_outside_goes_on_while_the_loop_is_busy() -> None:
    async def main(loop: VirtualLoop) -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []
        loop.outside(10 * MS, lambda: seen.append(("outside", loop.clock.now_ns())))
        loop.call_later(0.010, lambda: seen.append(("timer", loop.clock.now_ns())))
        loop.spend(100 * MS)
        seen.append(("busy until", loop.clock.now_ns()))
        await asyncio.sleep(0.001)
        return seen

    assert run(main) == [("outside", 10 * MS), ("busy until", 100 * MS), ("timer", 100 * MS)]


def executor_of(loop: VirtualLoop, duration_ns: int = 10 * MS, max_jobs: int = 9) -> VirtualExecutor:
    return VirtualExecutor(loop, max_jobs, BLOCK_NS, lambda batch: duration_ns, wake_ns=0)


def test_the_executor_runs_one_batch_after_the_other() -> None:
    async def main(loop: VirtualLoop) -> list[tuple[int | None, int | None, str | None]]:
        ended: list[Job[str, str]] = []
        executor, work = executor_of(loop, max_jobs=2), work_of(linear())
        assert executor.submit(job_of(work, "a", ended=ended.append))
        assert executor.submit(job_of(work, "b", ended=ended.append))
        assert not executor.submit(job_of(work, "c")), "the line is full"
        loop.spend(5 * MS)
        assert executor.wait_ns(3, 1 << 63, loop.clock.now_ns()) == (12 - 5 + 10) * MS
        await asyncio.sleep(1)
        assert len(executor) == 0
        return [(job.start_ns, job.end_ns, job.value) for job in ended]

    assert run(main) == [(0, 10 * MS, "a"), (10 * MS, 20 * MS, "b")]


def test_the_executor_notices_a_submission_after_a_while() -> None:
    async def main(loop: VirtualLoop) -> list[int | None]:
        ended: list[Job[str, str]] = []
        executor = VirtualExecutor(loop, 9, BLOCK_NS, lambda batch: 10 * MS, wake_ns=20_000)
        for _ in range(2):
            executor.submit(job_of(work_of(linear()), ended=ended.append))
            await asyncio.sleep(0.005)
        await asyncio.sleep(1)
        return [job.start_ns for job in ended]

    assert run(main) == [20_000, 10 * MS + 20_000], "but while it runs it need not notice"


def test_the_executor_drops_the_dead_and_keeps_errors() -> None:
    async def main(loop: VirtualLoop) -> None:
        ended: list[Job[str, str]] = []
        executor = executor_of(loop)

        def fail(_: object) -> list[str]:
            raise ValueError("broken")

        executor.submit(job_of(work_of(linear(), fail), ended=ended.append, rank=0))
        executor.submit(job_of(work_of(linear()), latest_start_ns=9 * MS, ended=ended.append))
        executor.submit(cancelled := job_of(work_of(linear()), ended=ended.append))
        cancelled.cancelled = True
        await asyncio.sleep(1)
        failed = next(job for job in ended if job.batch is not None)
        assert repr(failed.error) == "ValueError('broken')"
        assert len(ended) == 3
        assert len(executor) == 0

    run(main)


@pytest.mark.parametrize(
    ("others", "starts"),
    [
        pytest.param(0, [3 * MS], id="nobody comes: 2 ms, and no longer"),
        pytest.param(1, [2 * MS] * 2, id="one comes, and for a third the two would wait too long"),
    ],
)
def test_the_executor_waits_for_one_more(others: int, starts: list[int]) -> None:
    async def main(loop: VirtualLoop) -> list[int | None]:
        ended: list[Job[str, str]] = []
        executor, work = executor_of(loop), work_of(shared())
        work.arrive(0)
        for _ in range(1 + others):
            await asyncio.sleep(0.001)
            executor.submit(job_of(work, enqueued_ns=loop.clock.now_ns(), ended=ended.append))
        await asyncio.sleep(1)
        return [job.start_ns for job in ended]

    assert run(main) == starts


def test_who_is_moved_is_looked_at_again() -> None:
    async def main(loop: VirtualLoop) -> int | None:
        executor, work = executor_of(loop), work_of(shared())
        work.arrive(0)
        job = job_of(work)
        executor.submit(job)
        await asyncio.sleep(0.001)
        assert job.start_ns is None, "it waits for one more"
        job.commit_ns = 0
        executor.move(job, job.rank, job.latest_start_ns)
        await asyncio.sleep(1)
        return job.start_ns

    assert run(main) == MS


def test_an_overdue_batch_is_seen() -> None:
    async def main(loop: VirtualLoop) -> None:
        executor = executor_of(loop, duration_ns=100 * MS)
        executor.submit(job_of(work_of(LinearCost(0, 10 * MS))))
        await asyncio.sleep(0.015)
        assert executor.overdue_ns(loop.clock.now_ns()) == 0
        await asyncio.sleep(0.015)
        assert executor.overdue_ns(loop.clock.now_ns()) == 30 * MS

    run(main)
