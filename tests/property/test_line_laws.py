"""The line against a list that is searched from end to end: whoever comes, leaves, moves, runs or dies, and when.

Order; never the dead; bounds; members of one work, in time by prediction, within the block; the expected wait; nobody
waits for one more at anybody's cost; everybody who joined leaves exactly once.
"""

from __future__ import annotations

from itertools import count, pairwise
from math import inf
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from budgets.batch_cost import P90, P99, BatchCost
from budgets.job import Batch, Job, Work
from budgets.line import MAX_TEXTS, Line
from tests.jobs import FACTORS, MS, NEVER_NS, LinearCost, job_of, work_of

RANKS = st.integers(0, 3)
TIMES = st.integers(0, 60 * MS)
COSTS = st.builds(
    LinearCost,
    st.sampled_from((0, MS // 2, 3 * MS, 20 * MS)),
    st.sampled_from((MS // 10, MS, 10 * MS)),
    st.sampled_from((0, 10_000, 200_000)),
    st.sampled_from((FACTORS, (1.0, 1.0, 1.0, 1.0))),
)
LENGTHS = st.sampled_from((1, 20, 50, 400))
WAIT_NS, WAKE_NS, LEAST_SHARE = 2 * MS, MS // 2, 0.1


def place(job: Job[Any, Any], number: int) -> tuple[int, int, int, int]:
    return job.rank, job.latest_start_ns, job.enqueued_ns, number


def saved(cost: BatchCost, texts: int, longest: int, length: int) -> float:
    """What it saves to take one of that length into the call of the others."""
    apart = cost.mean_ns(texts, longest) + cost.mean_ns(1, length)
    return apart - cost.mean_ns(texts + 1, max(longest, length))


def is_worth_it(cost: BatchCost, texts: int, longest: int, length: int) -> bool:
    return saved(cost, texts, longest, length) >= LEAST_SHARE * cost.mean_ns(1, length)


def expected_batch(line: list[Job[Any, Any]], block_ns: int, now_ns: int) -> list[Job[Any, Any]]:
    """Of those who wait, in order."""
    first = line[0]
    members, passed_over = [first], list[Job[Any, Any]]()
    for job in line[1:]:
        if len(members) == MAX_TEXTS or any(passed.rank < job.rank for passed in passed_over):
            break
        if job.work is not first.work:
            passed_over.append(job)
            continue
        longest = max(member.length for member in members)
        if not is_worth_it(first.work.cost, len(members), longest, job.length):
            passed_over.append(job)
            continue
        together = [*members, job]
        size = len(together), max(member.length for member in together), now_ns
        is_in_time = all(now_ns + first.work.cost.quantile_ns(P99, *size) <= member.commit_ns for member in together)
        if is_in_time and first.work.cost.quantile_ns(P90, *size) <= block_ns:
            members = together
        elif job.rank == first.rank:
            break
        else:
            passed_over.append(job)
    return members


def expected_wait_ns(line: list[Job[Any, Any]], block_ns: int) -> float:
    """Of those who go before: neighbours of one work share a call while that pays and the block has room."""
    calls: list[list[Job[Any, Any]]] = []
    for job in line:
        if calls and len(calls[-1]) < MAX_TEXTS and calls[-1][0].work is job.work:
            longest = max(member.length for member in calls[-1])
            together_ns = job.work.cost.mean_ns(len(calls[-1]) + 1, max(longest, job.length))
            if is_worth_it(job.work.cost, len(calls[-1]), longest, job.length) and together_ns <= block_ns:
                calls[-1].append(job)
                continue
        calls.append([job])
    return sum(call[0].work.cost.mean_ns(len(call), max(job.length for job in call)) for call in calls)


class LineMachine(RuleBasedStateMachine):
    """One executor before the line; time moves when a rule says so."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.works: list[Work[Any, Any]] = []
        self.next_number = count()
        self.numbers: dict[Job[Any, Any], int] = {}  # of all who ever joined, by when they came to their place
        self.waiting: list[Job[Any, Any]] = []
        self.taken: list[list[Job[Any, Any]]] = []  # batches and dead of which the event loop has not heard
        self.left: list[Job[Any, Any]] = []
        self.running: Batch | None = None
        self.line = Line(12, 30 * MS)
        self.arrivals: dict[int, list[int]] = {}

    def ordered(self) -> list[Job[Any, Any]]:
        return sorted(self.waiting, key=lambda job: place(job, self.numbers[job]))

    @precondition(lambda self: len(self.works) < 3)
    @rule(cost=COSTS)
    def load(self, cost: LinearCost) -> None:
        self.works.append(work_of(cost))

    @precondition(lambda self: self.works)
    @rule(data=st.data(), rank=RANKS, length=LENGTHS, patience_ns=TIMES, rest_ns=TIMES)
    def join(self, data: st.DataObject, rank: int, length: int, patience_ns: int, rest_ns: int) -> None:
        work = data.draw(st.sampled_from(self.works))
        latest_ns = self.now_ns + patience_ns
        job = job_of(
            work, rank=rank, length=length, enqueued_ns=self.now_ns, latest_start_ns=latest_ns,
            commit_ns=latest_ns + rest_ns,
        )  # fmt: skip
        has_room = len(self.waiting) + sum(map(len, self.taken)) < 12
        assert self.line.join(job, self.now_ns) == has_room
        if has_room:
            self.numbers[job] = next(self.next_number)
            self.waiting.append(job)
            self.arrivals.setdefault(id(work), []).append(self.now_ns)

    @precondition(lambda self: self.numbers)
    @rule(data=st.data(), is_cancelled=st.booleans())
    def cancel(self, data: st.DataObject, is_cancelled: bool) -> None:
        """Or revive. Of one that runs, was dropped or has left it changes nothing."""
        data.draw(st.sampled_from(list(self.numbers))).cancelled = is_cancelled

    @precondition(lambda self: self.numbers)
    @rule(data=st.data(), rank=RANKS, patience_ns=TIMES)
    def move(self, data: st.DataObject, rank: int, patience_ns: int) -> None:
        job = data.draw(st.sampled_from(list(self.numbers)))
        latest_ns = self.now_ns + patience_ns
        is_moved = job in self.waiting and (rank, latest_ns) != (job.rank, job.latest_start_ns)
        self.line.move(job, rank, latest_ns)
        if job in self.waiting:
            assert (job.rank, job.latest_start_ns) == (rank, latest_ns)
        if is_moved:  # behind those at the same place
            self.numbers[job] = next(self.next_number)

    @rule(ns=TIMES)
    def advance(self, ns: int) -> None:
        self.now_ns += ns

    @precondition(lambda self: self.running is None)
    @rule()
    def take(self) -> None:
        now_ns = self.now_ns
        alive = [job for job in self.ordered() if not job.cancelled and now_ns <= job.latest_start_ns]
        dead = [job for job in self.ordered() if job not in alive]
        turn = self.line.take(now_ns)
        assert turn.dead == dead
        assert all(job.batch is None for job in dead)
        if dead:
            self.taken.append(dead)
        self.waiting = [job for job in self.waiting if job in alive]
        if not alive:
            assert (turn.batch, turn.wait_until_ns) == (None, None)
            return
        members = expected_batch(alive, self.line.block_ns, now_ns)
        if turn.batch is None:
            assert turn.wait_until_ns is not None
            self._check_wait(members, turn.wait_until_ns)
            return
        assert turn.wait_until_ns is None
        assert turn.batch.jobs == members
        assert members[0] is alive[0], "the first in line is never passed over"
        self._check_batch(turn.batch)
        self.running = turn.batch
        self.taken.append(members)
        self.waiting = [job for job in self.waiting if job not in members]

    def _check_batch(self, batch: Batch) -> None:
        jobs, cost = batch.jobs, batch.work.cost
        assert 1 <= len(jobs) <= MAX_TEXTS
        assert all(job.work is batch.work and job.batch is batch for job in jobs)
        assert batch.start_ns == self.now_ns
        assert batch.longest == max(job.length for job in jobs)
        assert batch.expected_ns == cost.quantile_ns(P90, len(jobs), batch.longest, self.now_ns)
        assert batch.limit_ns == cost.quantile_ns(P99, len(jobs), batch.longest, self.now_ns)
        if len(jobs) > 1:
            assert batch.expected_ns <= self.line.block_ns
            assert all(self.now_ns + batch.limit_ns <= job.commit_ns for job in jobs)
            apart_ns = sum(cost.mean_ns(1, job.length) for job in jobs)
            assert cost.mean_ns(len(jobs), batch.longest) < apart_ns

    def _check_wait(self, members: list[Job[Any, Any]], until_ns: int) -> None:
        """For one more as long as the longest of those who wait."""
        cost, longest = members[0].work.cost, max(job.length for job in members)
        gap_ns = inf
        times = self.arrivals[id(members[0].work)]
        for earlier, later in pairwise(times):
            gap_ns = later - earlier if gap_ns == inf else gap_ns + 0.1 * (later - earlier - gap_ns)
        assert len(members) < MAX_TEXTS
        assert saved(cost, len(members), longest, longest) >= len(self.waiting) * gap_ns
        assert is_worth_it(cost, len(members), longest, longest)
        size = len(members) + 1, longest, self.now_ns
        assert cost.quantile_ns(P90, *size) <= self.line.block_ns
        assert self.now_ns < until_ns
        for job in members:
            assert until_ns <= job.enqueued_ns + WAIT_NS
            assert until_ns + cost.quantile_ns(P99, *size) <= job.commit_ns
            assert until_ns + WAKE_NS <= job.latest_start_ns

    @precondition(lambda self: self.running is not None)
    @rule()
    def end(self) -> None:
        assert self.running is not None
        self.running.run(lambda: self.now_ns)
        self.running = None

    @precondition(lambda self: any(self.is_over(jobs) for jobs in self.taken))
    @rule()
    def hear(self) -> None:
        """The event loop hears of the oldest end, or of the dead."""
        jobs = next(jobs for jobs in self.taken if self.is_over(jobs))
        self.taken.remove(jobs)
        for job in jobs:
            self.line.leave(job)
        self.left += jobs

    def is_over(self, jobs: list[Job[Any, Any]]) -> bool:
        return self.running is None or jobs[0].batch is not self.running

    @invariant()
    def nobody_is_lost_or_there_twice(self) -> None:
        everybody = [*self.waiting, *(job for jobs in self.taken for job in jobs), *self.left]
        assert len(everybody) == len(set(everybody)) == len(self.numbers)
        assert len(self.line) == len(everybody) - len(self.left) <= 12

    @invariant()
    def those_ahead_are_those_taken_and_those_as_critical(self) -> None:
        for rank in range(4):
            before = [job for job in self.waiting if job.rank <= rank]
            assert self.line.ahead(rank) == len(before) + sum(map(len, self.taken))

    @invariant()
    def a_newcomer_waits_for_what_runs_and_those_before_him(self) -> None:
        left_ns = 0 if self.running is None else self.running.left_ns(self.now_ns)
        for rank in range(4):
            for latest_ns in (self.now_ns, self.now_ns + 25 * MS, NEVER_NS):
                before = [
                    job for job in self.ordered()
                    if place(job, 0)[:3] <= (rank, latest_ns, self.now_ns) and not job.cancelled
                ]  # fmt: skip
                expected_ns = left_ns + expected_wait_ns(before, self.line.block_ns)
                found_ns = self.line.wait_ns(rank, latest_ns, self.now_ns)
                assert abs(found_ns - expected_ns) <= len(before) + 1

    def teardown(self) -> None:
        """After the last request the line runs empty."""
        for _ in range(100):
            if self.running is not None:
                self.end()
            while self.taken:
                self.hear()
            if not self.waiting:
                break
            self.now_ns += MS
            self.take()
        assert len(self.line) == 0
        assert self.line.running is None
        self.nobody_is_lost_or_there_twice()


TestLineMachine = LineMachine.TestCase
TestLineMachine.settings = settings(stateful_step_count=40, deadline=None)

JOBS = st.lists(st.tuples(st.integers(0, 3 * MS), LENGTHS), min_size=1, max_size=40)


@given(JOBS, COSTS)
def test_equally_patient_ones_of_a_class_start_in_the_order_they_came_however_many_come(
    arrivals: list[tuple[int, int]], cost: LinearCost
) -> None:
    """But for the one who is taken along because his call costs next to nothing: the first is always taken."""
    line, work, now_ns = Line(64, 30 * MS), work_of(cost), 0
    waiting: list[Job[Any, Any]] = []
    for gap_ns, length in arrivals:
        now_ns += gap_ns
        job = job_of(work, length=length, enqueued_ns=now_ns, latest_start_ns=now_ns + 10_000 * MS)
        line.join(job, now_ns)
        waiting.append(job)
        turn = line.take(now_ns)
        if turn.batch is not None:
            assert turn.batch.jobs[0] is waiting[0]
            waiting = [each for each in waiting if each.batch is None]
            for each in turn.batch.jobs:
                line.leave(each)
    while waiting:
        now_ns += 2 * MS
        turn = line.take(now_ns)
        assert turn.batch is not None
        assert turn.batch.jobs[0] is waiting[0]
        waiting = [each for each in waiting if each.batch is None]


@given(st.lists(st.tuples(RANKS, TIMES), max_size=20), RANKS, TIMES, st.integers(0, 60 * MS))
def test_where_nothing_is_shared_the_expected_wait_is_the_wait(
    ahead: list[tuple[int, int]], rank: int, patience_ns: int, elapsed_ns: int
) -> None:
    """Played to the end: with costs that are as predicted, and patience enough, he starts when he was told."""
    line, work, late_ns = Line(64, 30 * MS), work_of(LinearCost(0, 10 * MS, factors=(1.0,) * 4)), 1_000 * MS
    line.join(job_of(work), 0)
    first = line.take(0).batch
    assert first is not None
    for its_rank, its_patience_ns in ahead:
        line.join(job_of(work, rank=its_rank, latest_start_ns=late_ns + its_patience_ns), 0)
    now_ns = min(elapsed_ns, 10 * MS)
    told_ns = line.wait_ns(rank, late_ns + patience_ns, now_ns)
    newcomer = job_of(work, rank=rank, latest_start_ns=late_ns + patience_ns, enqueued_ns=now_ns)
    line.join(newcomer, now_ns)
    at_ns = 10 * MS
    first.run(lambda: at_ns)
    while newcomer.start_ns is None:
        batch = line.take(at_ns).batch
        assert batch is not None
        at_ns += 10 * MS
    assert newcomer.start_ns == now_ns + told_ns
