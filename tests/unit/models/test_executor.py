"""The real thread. Nothing sleeps: events say who may go on."""

from __future__ import annotations

import asyncio
import threading

import pytest

from budgets.criticality import CRITICAL, CRITICAL_PLUS, SHEDDABLE
from models.executor import ThreadExecutor
from tests.executors import NOW_NS, PATIENCE_S, Ends, Gate, one, play, until_entered
from tests.jobs import MS, NEVER_NS, LinearCost, linear, shared, work_of


def test_jobs_run_in_order_on_one_other_thread_and_end_on_the_loop() -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends, work = Ends(), one(threading.current_thread)
        for _ in range(5):
            assert executor.submit(ends.job(work))
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


def test_while_one_runs_the_others_are_put_in_order_and_together() -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends, gate = Ends(), Gate()
        work = work_of(shared(), gate)
        executor.submit(ends.job(work, "first"))
        await until_entered(gate)
        for question, rank in (("sheddable", SHEDDABLE), ("critical", CRITICAL), ("plus", CRITICAL_PLUS)):
            executor.submit(ends.job(work, question, rank=rank))
        gate.may_go.set()
        jobs = await ends.wait(4)
        assert gate.asked == [["first"], ["plus", "critical", "sheddable"]]
        assert [job.value for job in jobs] == ["first", "plus", "critical", "sheddable"]
        assert len({id(job.batch) for job in jobs[1:]}) == 1
        assert (work.batches_total, work.texts_total) == (2, 4)

    play(scenario)


def test_between_two_batches_the_thread_does_not_wait_for_the_loop() -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends, ran = Ends(), threading.Event()
        executor.submit(ends.job(one(object)))
        executor.submit(ends.job(one(ran.set)))
        assert ran.wait(PATIENCE_S), "this very wait keeps the loop busy"
        assert not ends.jobs
        assert len(executor) == 2, "until the loop has heard of it"
        await ends.wait(2)

    play(scenario)


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_an_error_is_kept_and_the_thread_goes_on(kind: type[BaseException]) -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends = Ends()

        def fail() -> None:
            raise kind("no")

        executor.submit(ends.job(one(fail)))
        executor.submit(ends.job(one(lambda: "next")))
        failed, following = await ends.wait(2)
        assert type(failed.error) is kind
        assert failed.end_ns is not None
        assert following.value == "next"

    play(scenario)


def test_a_wrong_number_of_answers_is_an_error_for_all_and_the_thread_goes_on() -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends, gate = Ends(), Gate()
        executor.submit(ends.job(work_of(linear(), gate)))
        await until_entered(gate)
        short = work_of(shared(), lambda questions: questions[1:])
        for _ in range(3):
            executor.submit(ends.job(short))
        executor.submit(ends.job(one(lambda: "next"), rank=SHEDDABLE))
        gate.may_go.set()
        jobs = await ends.wait(5)
        assert [type(job.error) for job in jobs] == [type(None), ValueError, ValueError, ValueError, type(None)]
        assert jobs[-1].value == "next"

    play(scenario)


def test_the_line_is_bounded_and_knows_what_runs() -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends, gate = Ends(), Gate()
        assert executor.submit(ends.job(work_of(LinearCost(0, 1), gate)))
        await until_entered(gate)
        waiting = ends.job(one(object))
        assert executor.submit(waiting)
        assert not executor.submit(ends.job(one(object))), "full"
        assert len(executor) == 2
        assert (executor.ahead(CRITICAL_PLUS), executor.ahead(SHEDDABLE)) == (1, 2)
        now_ns = NOW_NS()
        assert executor.overdue_ns(now_ns) > 0
        assert executor.wait_ns(CRITICAL_PLUS, NEVER_NS, now_ns) > 0
        assert executor.wait_ns(SHEDDABLE, NEVER_NS, now_ns) > 10 * MS
        executor.move(waiting, SHEDDABLE, NEVER_NS)
        assert waiting.rank == SHEDDABLE
        assert executor.wait_ns(CRITICAL, NEVER_NS, now_ns) < executor.wait_ns(SHEDDABLE, NEVER_NS, now_ns)
        gate.may_go.set()
        await ends.wait(2)
        assert executor.overdue_ns(NOW_NS()) == 0
        assert executor.wait_ns(SHEDDABLE, NEVER_NS, NOW_NS()) == 0

    play(scenario, max_jobs=2)


@pytest.mark.parametrize("why", ["cancelled", "too late"])
def test_the_dead_are_not_started_but_leave_the_line(why: str) -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends, called = Ends(), threading.Event()
        dead = ends.job(one(called.set), latest_start_ns=0 if why == "too late" else NEVER_NS)
        dead.cancelled = why == "cancelled"
        executor.submit(dead)
        await ends.wait(1)
        assert not called.is_set()
        assert (dead.start_ns, dead.end_ns) == (None, None)
        assert len(executor) == 0

    play(scenario)


def test_one_whose_client_leaves_while_another_runs_is_not_started_and_the_others_are() -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends, gate = Ends(), Gate()
        work = work_of(shared(), gate)
        executor.submit(ends.job(work, "first"))
        await until_entered(gate)
        jobs = [ends.job(work, question) for question in "abc"]
        for job in jobs:
            executor.submit(job)
        jobs[1].cancelled = True
        gate.may_go.set()
        await ends.wait(4)
        assert gate.asked == [["first"], ["a", "c"]]
        assert jobs[1].batch is None

    play(scenario)


def test_a_member_whose_client_leaves_once_it_runs_is_answered_with_the_others() -> None:
    async def scenario(executor: ThreadExecutor) -> None:
        ends, gate, first = Ends(), Gate(), Gate()
        executor.submit(ends.job(work_of(linear(), first)))
        await until_entered(first)
        jobs = [ends.job(work, question) for work in [work_of(shared(), gate)] for question in "ab"]
        for job in jobs:
            executor.submit(job)
        first.may_go.set()
        await until_entered(gate)
        jobs[0].cancelled = True
        executor.move(jobs[0], CRITICAL_PLUS, 0)
        gate.may_go.set()
        await ends.wait(3)
        assert [job.value for job in jobs] == ["a", "b"]

    play(scenario)
