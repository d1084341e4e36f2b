"""Virtual time: it jumps, it is exact, and the outside does not wait for the loop."""

from __future__ import annotations

import asyncio
import time
from random import Random

import pytest

from budgets.line import Job
from tests.virtual import MS, Deadlock, S, VirtualExecutor, VirtualLoop, run

NEVER_NS = 1 << 62


def job(ended: list[Job[str]], latest_start_ns: int = NEVER_NS, name: str = "") -> Job[str]:
    return Job(lambda: name, 10 * MS, 20 * MS, latest_start_ns, ended.append)


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


def test_the_executor_runs_one_job_after_the_other() -> None:
    async def main(loop: VirtualLoop) -> list[tuple[int | None, int | None, str | None]]:
        ended: list[Job[str]] = []
        executor = VirtualExecutor(loop, 2, lambda job: 10 * MS, wake_ns=0)
        assert executor.submit(job(ended, name="a"))
        assert executor.submit(job(ended, name="b"))
        assert not executor.submit(job(ended, name="c")), "the line is full"
        loop.spend(5 * MS)
        assert executor.wait_ns(loop.clock.now_ns()) == 15 * MS
        await asyncio.sleep(1)
        assert len(executor) == 0
        return [(job.start_ns, job.end_ns, job.value) for job in ended]

    assert run(main) == [(0, 10 * MS, "a"), (10 * MS, 20 * MS, "b")]


def test_the_executor_drops_the_dead_and_keeps_errors() -> None:
    async def main(loop: VirtualLoop) -> None:
        ended: list[Job[str]] = []
        executor = VirtualExecutor(loop, 9, lambda job: 10 * MS, wake_ns=0)

        def fail() -> str:
            raise ValueError("broken")

        executor.submit(Job(fail, 0, 0, NEVER_NS, ended.append))
        executor.submit(job(ended, latest_start_ns=9 * MS))
        executor.submit(cancelled := job(ended))
        cancelled.cancelled = True
        await asyncio.sleep(1)
        failed, late, left = ended
        assert repr(failed.error) == "ValueError('broken')"
        assert (late.start_ns, left.start_ns) == (None, None)

    run(main)


def test_an_overdue_job_is_seen() -> None:
    async def main(loop: VirtualLoop) -> None:
        executor = VirtualExecutor(loop, 9, lambda job: 100 * MS, wake_ns=0)
        executor.submit(job([]))
        await asyncio.sleep(0.02)
        assert executor.overdue_ns(loop.clock.now_ns()) == 0
        await asyncio.sleep(0.01)
        assert executor.overdue_ns(loop.clock.now_ns()) == 30 * MS

    run(main)
