"""The line in front of an executor: who is next, and with whom."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from budgets.criticality import CRITICAL, CRITICAL_PLUS, SHEDDABLE, SHEDDABLE_PLUS
from budgets.job import Batch, Job
from budgets.line import MAX_TEXTS, Line
from tests.jobs import BLOCK_NS, MS, NEVER_NS, LinearCost, job_of, line_of, linear, shared, take, work_of

US = 1_000


def finish(line: Line, batch: Batch, now_ns: int) -> None:
    batch.run(lambda: now_ns)
    for job in batch.jobs:
        line.leave(job)


# A job and its batch.


def test_a_job_starts_until_its_latest_start_unless_it_is_cancelled() -> None:
    waiting = job_of(work_of(linear()), latest_start_ns=7)
    assert waiting.is_startable(7)
    assert not waiting.is_startable(8)
    waiting.cancelled = True
    assert not waiting.is_startable(0)


def batch_of(call: Callable[[Sequence[Any]], Sequence[Any]], *questions: object) -> Batch:
    work = work_of(linear(), call)
    jobs = [job_of(work, question) for question in questions]
    batch = Batch(work, jobs, 3, 10, 15, 20)
    for job in jobs:
        job.batch = batch
    return batch


def test_a_run_gives_each_job_its_own_answer_and_the_times_of_the_call() -> None:
    ticks = itertools.count(5)
    batch = batch_of(lambda questions: [question.upper() for question in questions], "a", "b", "c")
    assert (batch.jobs[0].start_ns, batch.jobs[0].end_ns) == (3, None)
    batch.run(lambda: next(ticks))
    assert [job.value for job in batch.jobs] == ["A", "B", "C"]
    assert {(job.error, job.start_ns, job.end_ns) for job in batch.jobs} == {(None, 3, 5)}


def test_an_answer_that_is_an_error_is_that_jobs_alone() -> None:
    error = ValueError("no")
    batch = batch_of(lambda _: ["A", error, "C"], "a", "b", "c")
    batch.run(lambda: 5)
    assert [(job.value, job.error) for job in batch.jobs] == [("A", None), (None, error), ("C", None)]


@pytest.mark.parametrize("answers", [[], ["A", "B"], ["A", "B", "C", "D"]])
def test_a_wrong_number_of_answers_is_an_error_for_all(answers: list[str]) -> None:
    """Nobody can tell whose answer is missing."""
    batch = batch_of(lambda _: answers, "a", "b", "c")
    batch.run(lambda: 5)
    assert [job.value for job in batch.jobs] == [None] * 3
    assert {type(job.error) for job in batch.jobs} == {ValueError}
    assert batch.end_ns == 5


def test_no_answers_at_all_are_an_error() -> None:
    batch = batch_of(lambda _: None, "a")  # type: ignore[arg-type,return-value]
    batch.run(lambda: 5)
    assert type(batch.jobs[0].error) is TypeError


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_a_call_raises_is_an_error_for_all(kind: type[BaseException]) -> None:
    error = kind("no")

    def fail(_: Sequence[Any]) -> Sequence[Any]:
        raise error

    batch = batch_of(fail, "a", "b")
    batch.run(lambda: 5)
    assert [(job.value, job.error, job.end_ns) for job in batch.jobs] == [(None, error, 5)] * 2


def test_one_who_was_never_taken_has_no_times() -> None:
    job = job_of(work_of(linear()))
    assert (job.start_ns, job.end_ns) == (None, None)


# Who may join, and who is next.


def test_the_line_is_bounded_and_who_runs_counts_until_the_loop_has_heard() -> None:
    work = work_of(linear())
    jobs = [job_of(work) for _ in range(4)]
    line = Line(2, BLOCK_NS)
    assert [line.join(job, 0) for job in jobs[:3]] == [True, True, False]
    batch = line.take(0).batch
    assert batch is not None
    batch.run(lambda: 5)
    assert len(line) == 2
    assert not line.join(jobs[2], 6)
    line.leave(batch.jobs[0])
    assert len(line) == 1
    assert line.join(jobs[2], 7)


def test_the_most_critical_is_next_then_who_must_start_first_then_who_came_first() -> None:
    work = work_of(linear())
    jobs = [
        job_of(work, "sheddable", rank=SHEDDABLE, latest_start_ns=20 * MS),
        job_of(work, "patient", latest_start_ns=90 * MS),
        job_of(work, "first", latest_start_ns=30 * MS),
        job_of(work, "second", latest_start_ns=30 * MS, enqueued_ns=1),
        job_of(work, "plus", rank=CRITICAL_PLUS, latest_start_ns=99 * MS),
        job_of(work, "sheddable plus", rank=SHEDDABLE_PLUS, latest_start_ns=99 * MS),
    ]
    line = line_of(*jobs)
    order = [take(line)[0].question for _ in jobs]
    assert order == ["plus", "first", "second", "patient", "sheddable plus", "sheddable"]


def test_equals_are_served_in_the_order_in_which_they_joined() -> None:
    work = work_of(linear())
    line = line_of(*(job_of(work, number, latest_start_ns=30 * MS) for number in range(9)))
    assert [take(line)[0].question for _ in range(9)] == list(range(9))


def test_the_dead_are_never_started_and_count_until_the_loop_has_heard() -> None:
    work = work_of(shared())
    late, left = job_of(work, latest_start_ns=9), job_of(work)
    left.cancelled = True
    line = line_of(late, left, job_of(work, "alive"), job_of(work, rank=SHEDDABLE, latest_start_ns=8))
    turn = line.take(10 * MS)
    assert turn.batch is not None
    assert [job.question for job in turn.batch.jobs] == ["alive"]
    assert len(turn.dead) == 3
    assert {late, left} < set(turn.dead)
    assert all(job.batch is None for job in turn.dead)
    assert len(line) == 4
    for job in turn.dead:
        line.leave(job)
    assert line.running is turn.batch, "the dead end no batch"
    assert len(line) == 1


def test_a_line_of_the_dead_has_nothing_to_run() -> None:
    line = line_of(job_of(work_of(linear()), latest_start_ns=9))
    turn = line.take(10)
    assert (turn.batch, len(turn.dead), turn.wait_until_ns) == (None, 1, None)
    assert line.take(10) == (None, [], None)


class Flickering(Job[Any, Any]):
    """Its waiters come and go while the executor's thread looks at it: they do not hold the line's lock."""

    __slots__ = ("answers",)
    answers: Iterator[bool]

    def is_startable(self, now_ns: int) -> bool:
        return next(self.answers)


@pytest.mark.parametrize("answers", [(True, False, True, False), (False, True, False, True)])
def test_one_who_is_cancelled_or_revived_meanwhile_is_neither_lost_nor_there_twice(answers: tuple[bool, ...]) -> None:
    job = Flickering(work_of(linear()), "a", 20, CRITICAL, 0, NEVER_NS, NEVER_NS, 0, lambda _: None)
    job.answers = iter(answers)
    line = line_of(job)
    turn = line.take(10 * MS)
    found = turn.dead + ([] if turn.batch is None else turn.batch.jobs)
    assert found == [job]
    line.leave(job)
    assert len(line) == 0


def test_who_is_moved_waits_at_his_new_place() -> None:
    work = work_of(linear())
    moved = job_of(work, "moved", rank=SHEDDABLE, latest_start_ns=20 * MS)
    line = line_of(moved, job_of(work, "other", latest_start_ns=50 * MS))
    line.move(moved, CRITICAL, 40 * MS)
    assert (moved.rank, moved.latest_start_ns) == (CRITICAL, 40 * MS)
    assert [take(line)[0].question for _ in range(2)] == ["moved", "other"]


def test_a_job_that_runs_or_was_dropped_is_moved_nowhere() -> None:
    work = work_of(linear())
    dead, runs = job_of(work, latest_start_ns=9), job_of(work)
    line = line_of(dead, runs)
    assert take(line) == [runs]
    for job in (dead, runs):
        line.move(job, CRITICAL_PLUS, 70 * MS)
    assert (runs.rank, runs.latest_start_ns) == (CRITICAL, NEVER_NS)
    assert line.take(20 * MS) == (None, [], None)
    assert len(line) == 2


def test_a_batch_that_ended_is_not_what_runs_when_the_loop_hears_of_it() -> None:
    """The thread has taken the next one meanwhile."""
    work = work_of(linear())
    line = line_of(job_of(work), job_of(work))
    first = line.take(0).batch
    assert first is not None
    first.run(lambda: 10 * MS)
    second = line.take(10 * MS).batch
    assert second is not None
    line.leave(first.jobs[0])
    assert line.running is second
    finish(line, second, 20 * MS)
    assert line.running is None


# With whom.


def test_where_each_text_costs_as_much_again_every_batch_is_of_one() -> None:
    work = work_of(linear())
    line = line_of(*(job_of(work) for _ in range(30)))
    assert [len(take(line)) for _ in range(30)] == [1] * 30
    assert (work.batches_total, work.texts_total) == (30, 30)


def test_where_a_call_has_a_fixed_cost_as_many_as_a_call_may_have_go_together() -> None:
    work = work_of(shared())
    line = line_of(*(job_of(work) for _ in range(MAX_TEXTS + 4)))
    assert [len(take(line)) for _ in range(2)] == [MAX_TEXTS, 4]
    assert (work.batches_total, work.texts_total) == (2, MAX_TEXTS + 4)


def test_a_batch_knows_its_cost() -> None:
    line = line_of(
        *(job_of(work_of(cost), length=length) for cost in [LinearCost(8 * MS, MS, 50_000)] for length in (20, 40))
    )
    batch = line.take(10 * MS).batch
    assert batch is not None
    assert (batch.start_ns, batch.longest, len(batch.jobs)) == (10 * MS, 20, 1), "not the same work"
    work = work_of(LinearCost(8 * MS, MS, 50_000))
    line = line_of(job_of(work, length=20), job_of(work, length=40))
    batch = line.take(10 * MS).batch
    assert batch is not None
    assert (batch.longest, len(batch.jobs)) == (40, 2)
    assert batch.expected_ns == 14 * 12 * MS // 10
    assert batch.limit_ns == 14 * 15 * MS // 10


@pytest.mark.parametrize(("saved_share", "texts"), [(0.11, 2), (0.10, 2), (0.09, 1)])
def test_who_joins_must_save_a_tenth_of_a_call_of_his_own(saved_share: float, texts: int) -> None:
    fixed_ns = round(saved_share * 10 * MS)
    work = work_of(LinearCost(fixed_ns, 10 * MS - fixed_ns))
    assert len(take(line_of(job_of(work), job_of(work)))) == texts


def test_a_batch_of_several_never_takes_longer_than_the_block_allows() -> None:
    """In nine of ten cases: 9 ms and 1 ms a text, times 1.2."""
    work = work_of(shared())
    line = line_of(*(job_of(work) for _ in range(9)), block_ns=round(12 * 1.2 * MS))
    assert [len(take(line)) for _ in range(3)] == [3, 3, 3]


def test_one_alone_may_take_longer() -> None:
    work = work_of(shared())
    line = line_of(job_of(work), job_of(work), block_ns=MS)
    assert [len(take(line)) for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("who", [0, 1, 2])
def test_a_batch_is_done_by_the_commit_time_of_each_member(who: int) -> None:
    """99 in 100 times: three take 12 ms, times 1.5, from 10 ms on."""
    work = work_of(shared())
    for commit_ns, texts in ((28 * MS, 3), (28 * MS - 1, 2)):
        jobs = [job_of(work, latest_start_ns=50 * MS + place) for place in range(3)]
        jobs[who].commit_ns = commit_ns
        assert len(take(line_of(*jobs))) == texts


def test_who_is_not_in_time_himself_runs_alone() -> None:
    work = work_of(shared())
    line = line_of(job_of(work, latest_start_ns=20 * MS, commit_ns=11 * MS), job_of(work))
    assert len(take(line)) == 1


def test_nobody_of_the_same_class_goes_before_one_for_whom_there_is_no_room() -> None:
    work = work_of(shared())
    jobs = [job_of(work, place, latest_start_ns=20 * MS + place) for place in range(3)]
    jobs[1].commit_ns = 11 * MS
    assert [job.question for job in take(line_of(*jobs))] == [0]


@pytest.mark.parametrize(
    ("ranks", "together"),
    [
        pytest.param((CRITICAL, SHEDDABLE, SHEDDABLE), [0, 2], id="for one of his own class"),
        pytest.param((CRITICAL, SHEDDABLE_PLUS, SHEDDABLE), [0], id="not for one of a lower class"),
    ],
)
def test_the_less_critical_one_for_whom_there_is_no_room_is_passed_over(
    ranks: tuple[int, ...], together: list[int]
) -> None:
    work = work_of(shared())
    jobs = [job_of(work, place, rank=rank) for place, rank in enumerate(ranks)]
    jobs[1].commit_ns = 11 * MS
    assert [job.question for job in take(line_of(*jobs))] == together


def test_those_of_other_work_are_passed_over() -> None:
    work, other = work_of(shared()), work_of(shared(), name="other")
    line = line_of(*(job_of(each, number) for number, each in enumerate((work, other, work, other))))
    assert [job.question for job in take(line)] == [0, 2]
    assert [job.question for job in take(line)] == [1, 3]


def test_no_less_critical_one_goes_before_one_of_other_work() -> None:
    work, other = work_of(shared()), work_of(shared(), name="other")
    fields = ((work, CRITICAL), (other, CRITICAL), (work, CRITICAL), (work, SHEDDABLE))
    line = line_of(*(job_of(its_work, number, rank=rank) for number, (its_work, rank) in enumerate(fields)))
    assert [job.question for job in take(line)] == [0, 2]
    assert [job.question for job in take(line)] == [1]


def test_a_long_text_that_would_make_the_call_dearer_for_all_is_passed_over() -> None:
    work = work_of(LinearCost(2 * MS, 0, 100_000))
    line = line_of(*(job_of(work, number, length=length) for number, length in enumerate((20, 500, 20))))
    assert [job.question for job in take(line)] == [0, 2]
    assert [job.question for job in take(line)] == [1]


def test_no_less_critical_one_goes_before_a_long_text_that_was_passed_over() -> None:
    work = work_of(LinearCost(2 * MS, 0, 100_000))
    fields = ((20, CRITICAL), (500, SHEDDABLE_PLUS), (20, SHEDDABLE))
    line = line_of(*(job_of(work, number, length=length, rank=rank) for number, (length, rank) in enumerate(fields)))
    assert [job.question for job in take(line)] == [0]
    assert [job.question for job in take(line)] == [1]


# A full line.


@pytest.mark.parametrize(
    ("ranks", "newcomer", "evicted"),
    [
        ((CRITICAL, SHEDDABLE), CRITICAL, 1),
        ((SHEDDABLE, CRITICAL), SHEDDABLE_PLUS, 0),
        ((CRITICAL, CRITICAL), CRITICAL, None),
        ((CRITICAL, CRITICAL), SHEDDABLE, None),
        ((CRITICAL, SHEDDABLE_PLUS), SHEDDABLE_PLUS, None),
    ],
)
def test_of_a_full_line_only_a_less_critical_one_gives_way(
    ranks: tuple[int, ...], newcomer: int, evicted: int | None
) -> None:
    work = work_of(linear())
    line, jobs = Line(2, BLOCK_NS), [job_of(work, rank=rank) for rank in ranks]
    assert line.give_way(newcomer) is None, "there is room"
    for job in jobs:
        assert line.join(job, 0)
    assert line.give_way(newcomer) is (None if evicted is None else jobs[evicted])
    assert line.join(job_of(work, rank=newcomer), 0) == (evicted is not None)


def test_of_a_full_line_one_whose_client_has_gone_gives_way_to_anybody() -> None:
    work = work_of(linear())
    line, jobs = Line(3, BLOCK_NS), [job_of(work) for _ in range(3)]
    for job in jobs:
        assert line.join(job, 0)
    jobs[1].cancelled = True
    assert line.give_way(SHEDDABLE) is jobs[1]
    assert line.join(job_of(work, rank=SHEDDABLE), 0)
    assert line.give_way(SHEDDABLE) is None


def test_who_runs_gives_way_to_nobody() -> None:
    work = work_of(linear())
    line, job = Line(1, BLOCK_NS), job_of(work, rank=SHEDDABLE)
    assert line.join(job, 0)
    assert take(line) == [job]
    assert line.give_way(CRITICAL_PLUS) is None
