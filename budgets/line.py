"""The waiting line in front of one executor: the most critical first, among equals the one that must start soonest.

An executor takes batches from it. A batch grows only while that saves executor time and every member is still expected
to be in time; so on a processor where a call of eight costs eight calls, every batch is of one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from budgets.batch_cost import P90, P99
from budgets.criticality import CLASSES
from budgets.job import Batch, Job, Work

# A call of more is no quicker for each, and keeps an urgent newcomer waiting.
MAX_TEXTS = 16
# Who joins a batch must save this part of a call of his own, or he only makes the others wait.
_LEAST_GAIN_SHARE = 0.1
# Triton's and Clipper's batchers wait about as long; more shows in the p50 of an idle server.
_MAX_WAIT_NS = 2_000_000
_WAKE_NS = 500_000  # so late may a thread wake; past its latest start a job would be dead


class Turn(NamedTuple):
    """What an executor does next: tell of the `dead`, run the `batch`; without one, look again at `wait_until_ns`."""

    batch: Batch | None
    dead: list[Job[Any, Any]]
    wait_until_ns: int | None


@dataclass(slots=True)
class Line:
    """Jobs that were submitted and have not ended. Not thread safe: its executor guards it.

    Args: block_ns: a batch of several never takes longer, so that it can't keep an urgent newcomer waiting.
    """

    max_jobs: int
    block_ns: int
    running: Batch | None = None
    _waiting: list[Job[Any, Any]] = field(default_factory=list)
    _taken: int = 0  # jobs that were taken and whose end the event loop has not heard of

    def __len__(self) -> int:
        return len(self._waiting) + self._taken

    def ahead(self, rank: int) -> int:
        """Jobs that a newcomer of a rank waits for: those that run, and those that are at least as critical."""
        return self._taken + bisect_left(self._waiting, rank + 1, key=_rank)

    def join(self, job: Job[Any, Any], now_ns: int) -> bool:
        """False: the line is full."""
        if len(self) >= self.max_jobs:
            return False
        job.work.arrive(now_ns)
        job.alone_ns = job.work.cost.mean_ns(1, job.length)
        insort(self._waiting, job, key=_key)
        return True

    def give_way(self, rank: int) -> Job[Any, Any] | None:
        """Of a full line one job, taken out: one that nobody waits for, or the last if it is less critical."""
        if len(self) < self.max_jobs:
            return None
        for at, job in enumerate(self._waiting):
            if job.cancelled or (at + 1 == len(self._waiting) and job.rank > rank):
                return self._waiting.pop(at)
        return None

    def move(self, job: Job[Any, Any], rank: int, latest_start_ns: int) -> None:
        """Somebody more critical, or more patient, waits for it too."""
        if job.batch is None and (rank, latest_start_ns) != (job.rank, job.latest_start_ns):
            is_waiting = job in self._waiting
            if is_waiting:
                self._waiting.remove(job)
            job.rank, job.latest_start_ns = rank, latest_start_ns
            if is_waiting:
                insort(self._waiting, job, key=_key)

    def leave(self, job: Job[Any, Any]) -> None:
        """The event loop has heard of the end of a job that was taken."""
        self._taken -= 1
        if self.running is job.batch and job.batch is not None and job.batch.end_ns is not None:
            self.running = None

    def take(self, now_ns: int) -> Turn:
        """The next batch, if there is one to start now; it counts as running from here on."""
        alive: list[Job[Any, Any]] = []
        dead: list[Job[Any, Any]] = []
        for job in self._waiting:  # each is asked once: the event loop cancels without the lock
            (alive if job.is_startable(now_ns) else dead).append(job)
        if dead:
            self._waiting = alive
            self._taken += len(dead)
        if not self._waiting:
            return Turn(None, dead, None)
        jobs, longest = self._gather(now_ns)
        cost, texts = jobs[0].work.cost, len(jobs)
        wait_until_ns = self._wait_until_ns(jobs, longest, now_ns)
        if wait_until_ns > now_ns:
            return Turn(None, dead, wait_until_ns)
        for job in jobs:
            self._waiting.remove(job)
        batch = self.running = Batch(
            jobs[0].work, jobs, now_ns, cost.quantile_ns(P90, texts, longest, now_ns),
            cost.quantile_ns(P99, texts, longest, now_ns), longest,
        )  # fmt: skip
        for job in jobs:
            job.batch = batch
        self._taken += texts
        batch.work.batches_total += 1
        batch.work.texts_total += texts
        return Turn(batch, dead, None)

    def _gather(self, now_ns: int) -> tuple[list[Job[Any, Any]], int]:
        """The first in line, and those after it who may join its call. Also returns the longest question's length."""
        first = self._waiting[0]
        work, cost, jobs, longest, commit_ns = first.work, first.work.cost, [first], first.length, first.commit_ns
        passed_over = CLASSES
        for job in self._waiting[1:]:
            if len(jobs) == MAX_TEXTS:
                break
            if job.rank > passed_over:  # nobody starts before one who is more critical
                break
            if job.work is not work:
                passed_over = job.rank
                continue
            grown, together = max(longest, job.length), len(jobs) + 1
            least_ns = _LEAST_GAIN_SHARE * job.alone_ns
            if cost.saving_ns < least_ns or (
                cost.mean_ns(len(jobs), longest) + job.alone_ns - cost.mean_ns(together, grown) < least_ns
            ):
                passed_over = job.rank
                continue
            ends_ns = now_ns + cost.quantile_ns(P99, together, grown, now_ns)
            is_in_time = ends_ns <= min(commit_ns, job.commit_ns)
            if is_in_time and cost.quantile_ns(P90, together, grown, now_ns) <= self.block_ns:
                jobs.append(job)
                longest, commit_ns = grown, min(commit_ns, job.commit_ns)
            elif job.rank == first.rank:
                break
            else:
                passed_over = job.rank
        return jobs, longest

    def _wait_until_ns(self, jobs: list[Job[Any, Any]], longest: int, now_ns: int) -> int:
        """Until when to wait for one more: not at all, where what he saves is less than what the waiting costs."""
        work, texts = jobs[0].work, len(jobs)
        cost, gap_ns = work.cost, len(self._waiting) * work.gap_ns  # all who wait pay, those who do not join, too
        since_ns = now_ns - min(job.enqueued_ns for job in jobs)
        if texts == MAX_TEXTS or since_ns >= _MAX_WAIT_NS or gap_ns >= _MAX_WAIT_NS:
            return now_ns
        saved_ns = cost.mean_ns(texts, longest) + cost.mean_ns(1, longest) - cost.mean_ns(texts + 1, longest)
        if saved_ns < max(gap_ns, _LEAST_GAIN_SHARE * cost.mean_ns(1, longest)):
            return now_ns
        if cost.quantile_ns(P90, texts + 1, longest, now_ns) > self.block_ns:
            return now_ns
        last_ns = min(job.commit_ns for job in jobs) - cost.quantile_ns(P99, texts + 1, longest, now_ns)
        last_start_ns = min(job.latest_start_ns for job in jobs) - _WAKE_NS
        return min(now_ns - since_ns + _MAX_WAIT_NS, last_ns, last_start_ns)

    def wait_ns(self, rank: int, latest_start_ns: int, now_ns: int) -> int:
        """Expected time until a newcomer starts: what runs, and who goes before it. O(jobs before it)."""
        wait_ns = 0 if self.running is None else self.running.left_ns(now_ns)
        before = bisect_right(self._waiting, (rank, latest_start_ns, now_ns), key=_key)
        work: Work[Any, Any] | None = None
        texts = longest = 0
        planned_ns = 0.0  # of the batch that is being put together
        for job in self._waiting[:before]:
            if job.cancelled:
                continue
            alone_ns = job.alone_ns
            least_ns = _LEAST_GAIN_SHARE * alone_ns
            if work is job.work and texts < MAX_TEXTS and work.cost.saving_ns >= least_ns:
                grown = max(longest, job.length)
                together_ns = work.cost.mean_ns(texts + 1, grown)
                if planned_ns + alone_ns - together_ns >= least_ns and together_ns <= self.block_ns:
                    texts, longest, planned_ns = texts + 1, grown, together_ns
                    continue
            wait_ns += int(planned_ns)
            work, texts, longest, planned_ns = job.work, 1, job.length, alone_ns
        return wait_ns + int(planned_ns)

    def overdue_ns(self, now_ns: int) -> int:
        """How long the running batch has run, if longer than its limit; else 0."""
        return 0 if self.running is None else self.running.overdue_ns(now_ns)


def _key(job: Job[Any, Any]) -> tuple[int, int, int]:
    return job.rank, job.latest_start_ns, job.enqueued_ns


def _rank(job: Job[Any, Any]) -> int:
    return job.rank
