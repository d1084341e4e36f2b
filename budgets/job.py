"""What an executor runs: jobs, the work that they have in common, and the batches that they form."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from budgets.batch_cost import BatchCost

Q = TypeVar("Q")
T = TypeVar("T")
_GAP_WEIGHT = 0.1  # of the newest gap between two arrivals, in their mean


@dataclass(slots=True, eq=False)
class Work(Generic[Q, T]):
    """What jobs must have in common to run in one call: the call, and what it costs.

    `call` gives an answer or an exception for each question, in their order.
    """

    name: str
    cost: BatchCost
    call: Callable[[Sequence[Q]], Sequence[T | Exception]]
    gap_ns: float = inf  # mean time between two arrivals
    batches_total: int = 0
    texts_total: int = 0
    _arrived_ns: int | None = None

    def arrive(self, now_ns: int) -> None:
        if self._arrived_ns is not None:
            gap_ns = now_ns - self._arrived_ns
            self.gap_ns = gap_ns if self.gap_ns == inf else self.gap_ns + _GAP_WEIGHT * (gap_ns - self.gap_ns)
        self._arrived_ns = now_ns


@dataclass(slots=True, eq=False)
class Job(Generic[Q, T]):
    """One question for an executor. Not reusable.

    A job that is cancelled or whose `latest_start_ns` has passed is dropped: the dead are never started.
    """

    work: Work[Q, T]
    question: Q
    length: int  # of the question, in characters
    rank: int  # 0 is the most critical
    enqueued_ns: int
    latest_start_ns: int
    commit_ns: int  # the answer is of use until then
    charged_ns: int  # what it was granted of the executor's time
    ended: Callable[[Job[Q, T]], None]  # called on the event loop, once, whatever became of the job
    cancelled: bool = False
    alone_ns: float = 0.0  # expected of a call of its own when it joined the line
    batch: Batch | None = None  # None after the end: dropped unstarted
    value: T | None = None
    error: BaseException | None = None

    @property
    def start_ns(self) -> int | None:
        return None if self.batch is None else self.batch.start_ns

    @property
    def end_ns(self) -> int | None:
        return None if self.batch is None else self.batch.end_ns

    def is_startable(self, now_ns: int) -> bool:
        return not self.cancelled and now_ns <= self.latest_start_ns


@dataclass(slots=True, eq=False)
class Batch:
    """Jobs that run in one call, which the executor makes when it takes them."""

    work: Work[Any, Any]
    jobs: list[Job[Any, Any]]
    start_ns: int
    expected_ns: int  # nine in ten are done by then
    limit_ns: int  # the same of 99 in 100: one that runs longer is overdue
    longest: int
    end_ns: int | None = None

    def run(self, now_ns: Callable[[], int]) -> None:
        """Run the call where the executor wants it to run; its exceptions become each job's `error`."""
        jobs = self.jobs
        try:
            answers = self.work.call([job.question for job in jobs])
            for job, answer in zip(jobs, answers, strict=True):
                if isinstance(answer, Exception):
                    job.error = answer
                else:
                    job.value = answer
        except BaseException as error:  # noqa: BLE001 - a model may raise anything; the waiters are told, the thread lives
            for job in jobs:
                job.value, job.error = None, error
        self.end_ns = now_ns()

    def left_ns(self, now_ns: int) -> int:
        """Expected time until it ends."""
        if self.end_ns is not None:  # its thread is done; the event loop has not heard of it
            return 0
        elapsed_ns = now_ns - self.start_ns
        # Past its limit its cost is unknown; what has run so long is likely to run as long again.
        return elapsed_ns if elapsed_ns > self.limit_ns else max(0, self.expected_ns - elapsed_ns)

    def overdue_ns(self, now_ns: int) -> int:
        elapsed_ns = now_ns - self.start_ns
        return elapsed_ns if self.end_ns is None and elapsed_ns > self.limit_ns else 0
