"""The real thread while it waits for one more, and how it ends."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any

import pytest

from budgets import line
from budgets.criticality import CRITICAL
from budgets.job import Work
from budgets.line import MAX_TEXTS
from models.executor import ThreadExecutor
from tests.executors import NOW_NS, PATIENCE_S, Ends, Gate, one, open_executor, play, until_entered
from tests.jobs import BLOCK_NS, MS, NEVER_NS, ignore, job_of, linear, shared, work_of

# Waiting for one more.


async def waiting_for_one_more(ends: Ends, patch: pytest.MonkeyPatch) -> tuple[ThreadExecutor, Work[Any, Any]]:
    """An executor whose thread sleeps: it would wait an hour for one more."""
    patch.setattr(line, "_MAX_WAIT_NS", 3_600_000 * MS)
    executor, work = open_executor(MAX_TEXTS), work_of(shared())
    for _ in range(2):  # at once: so the next is expected at once
        work.arrive(NOW_NS())
    executor.submit(ends.job(work, 0))
    while not executor._change._waiters:  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    assert work.batches_total == 0
    return executor, work


def test_each_who_comes_is_looked_at_until_the_batch_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        ends = Ends()
        executor, work = await waiting_for_one_more(ends, monkeypatch)
        for number in range(1, MAX_TEXTS):
            executor.submit(ends.job(work, number))
        await asyncio.wait_for(ends.wait(MAX_TEXTS), PATIENCE_S)
        assert (work.batches_total, work.texts_total) == (1, MAX_TEXTS)
        executor.close()

    asyncio.run(main())


def test_who_joins_a_run_in_haste_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        ends = Ends()
        executor, _ = await waiting_for_one_more(ends, monkeypatch)
        (job,) = executor._line._waiting
        job.commit_ns = NOW_NS()
        executor.move(job, CRITICAL, job.latest_start_ns)
        await asyncio.wait_for(ends.wait(1), PATIENCE_S)
        executor.close()

    asyncio.run(main())


def test_closing_a_line_that_waits_for_one_more_runs_what_is_there() -> None:
    async def main() -> None:
        executor, ran = open_executor(), threading.Event()
        work = work_of(shared(), lambda questions: ran.set() or questions)  # type: ignore[func-returns-value]
        now_ns = NOW_NS()
        for _ in range(2):
            work.arrive(now_ns)
        executor.submit(job_of(work, enqueued_ns=now_ns))
        executor.close()
        assert ran.is_set()
        assert not executor._thread.is_alive()

    asyncio.run(main())


# Ends.


def test_close_finishes_what_is_in_line() -> None:
    async def main() -> list[object]:
        executor, done = open_executor(), list[object]()
        work = work_of(linear(), lambda questions: done.extend(questions) or questions)  # type: ignore[func-returns-value]
        for number in range(5):
            executor.submit(job_of(work, number))
        executor.close()
        assert not executor._thread.is_alive()
        return done

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_close_of_an_idle_one_ends_the_thread() -> None:
    async def main() -> None:
        executor = open_executor()
        executor.close()
        executor.close()
        assert not executor._thread.is_alive()

    asyncio.run(main())


def test_close_waits_no_longer_than_it_is_told() -> None:
    async def main() -> None:
        executor, gate = open_executor(), Gate()
        executor.submit(job_of(work_of(linear(), gate), ended=ignore))
        await until_entered(gate)
        executor.close(timeout_s=0.01)
        assert executor._thread.is_alive()
        gate.may_go.set()
        executor.close()
        assert not executor._thread.is_alive()

    asyncio.run(main())


def test_a_bug_in_the_line_is_told_and_not_taken_for_a_loop_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda hook: told.append(hook.exc_value))

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    async def main() -> None:
        executor = open_executor()
        monkeypatch.setattr(line.Line, "take", fail)
        executor.submit(job_of(one(object)))
        executor._thread.join(PATIENCE_S)
        assert not executor.is_alive

    asyncio.run(main())
    assert [str(error) for error in told] == ["a bug"]


def test_a_loop_that_is_gone_ends_the_thread() -> None:
    gate = Gate()

    async def main() -> ThreadExecutor:
        executor = open_executor()
        executor.submit(job_of(work_of(linear(), gate)))
        executor.submit(job_of(one(object)))
        await until_entered(gate)
        return executor

    executor = asyncio.run(main())
    gate.may_go.set()
    executor._thread.join(PATIENCE_S)
    assert not executor._thread.is_alive()


def test_it_is_alive_until_it_is_closed() -> None:
    async def main() -> None:
        executor = open_executor()
        assert executor.is_alive
        executor.close()
        assert not executor.is_alive

    asyncio.run(main())


def test_a_bug_in_the_line_does_not_pass_for_an_idle_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: told.set())

    class Broken(line.Line):
        def take(self, now_ns: int) -> line.Turn:
            raise ZeroDivisionError(now_ns)

    async def scenario() -> None:
        executor = open_executor()
        executor._line = Broken(8, BLOCK_NS)
        executor.submit(job_of(one(object)))
        executor._thread.join(PATIENCE_S)
        assert told.is_set()
        assert not executor.is_alive

    asyncio.run(scenario())


def test_many_who_come_leave_and_move_while_it_runs_all_end_exactly_once() -> None:
    """Without order between the threads: whatever happens, nobody is lost or told twice."""

    async def scenario(executor: ThreadExecutor) -> None:
        ends, works = Ends(), [work_of(shared()), work_of(linear())]
        joined = []
        for number in range(3_000):
            job = ends.job(works[number % 3 == 0], number, rank=number % 4)
            if number % 7 == 0:
                job.latest_start_ns = job.enqueued_ns + 50_000
            while not executor.submit(job):
                await ends.wait(len(ends.jobs) + 1)
            joined.append(job)
            if number % 5 == 0:
                joined[-1].cancelled = not joined[-1].cancelled
            if number % 4 == 0:
                executor.move(joined[-number % len(joined)], number % 3, NEVER_NS)
        await ends.wait(len(joined))
        await asyncio.sleep(0)
        assert len(ends.jobs) == len(set(ends.jobs)) == len(joined) == 3_000
        assert len(executor) == 0
        for job in joined:
            assert (job.value == job.question) == (job.batch is not None)

    play(scenario, max_jobs=16)


@pytest.mark.skipif(sys.platform != "linux", reason="thread priorities are Linux's")
def test_the_thread_yields_to_the_event_loop() -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends = Ends()
        own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        executor.submit(ends.job(one(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))))
        (job,) = await ends.wait(1)
        assert job.value == 5
        assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own, "only that thread"

    play(scenario)
