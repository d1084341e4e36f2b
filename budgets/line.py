"""The waiting line in front of one executor: what runs, what waits, how long a newcomer would wait.

Deadline-ordered batches will be formed from this line; today it is first come, first served, one job at a time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Job(Generic[T]):
    """One call for an executor, which fills in the times and the result. Not reusable.

    An executor drops a job that is cancelled or whose `latest_start_ns` has passed: the dead are never started.
    """

    call: Callable[[], T]
    expected_ns: int
    limit_ns: int  # a run longer than this is overdue
    latest_start_ns: int
    ended: Callable[[Job[T]], None]  # called on the event loop, once, whatever became of the job
    cancelled: bool = False
    start_ns: int | None = None
    end_ns: int | None = None  # still None after the end: dropped unstarted
    value: T | None = None
    error: BaseException | None = None

    def is_startable(self, now_ns: int) -> bool:
        return not self.cancelled and now_ns <= self.latest_start_ns

    def run(self, now_ns: Callable[[], int]) -> None:
        """Run the call where the executor wants it to run; its exceptions become `error`."""
        self.start_ns = now_ns()
        try:
            self.value = self.call()
        except BaseException as error:  # noqa: BLE001 - a model may raise anything; the waiter is told, the thread lives
            self.error = error
        self.end_ns = now_ns()


class Line:
    """Jobs that were submitted and have not ended, in order. Owned by the event loop."""

    __slots__ = ("_jobs", "max_jobs")

    def __init__(self, max_jobs: int) -> None:
        self.max_jobs = max_jobs
        self._jobs: deque[Job[object]] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def join(self, job: Job[object]) -> bool:
        """False: the line is full."""
        if len(self._jobs) >= self.max_jobs:
            return False
        self._jobs.append(job)
        return True

    def leave(self, job: Job[object]) -> None:
        self._jobs.remove(job)

    def wait_ns(self, now_ns: int) -> int:
        """Expected time until a newcomer starts. O(jobs), which `max_jobs` bounds."""
        return sum(_left_ns(job, now_ns) for job in self._jobs if job.start_ns is not None or not job.cancelled)

    def overdue_ns(self, now_ns: int) -> int:
        """How long the running job has run, if longer than its limit; else 0."""
        for job in self._jobs:
            if job.start_ns is not None and job.end_ns is None:
                elapsed_ns = now_ns - job.start_ns
                return elapsed_ns if elapsed_ns > job.limit_ns else 0
        return 0


def _left_ns(job: Job[object], now_ns: int) -> int:
    if job.start_ns is None:
        return job.expected_ns
    if job.end_ns is not None:  # its thread is done; the event loop has not heard of it
        return 0
    elapsed_ns = now_ns - job.start_ns
    # Past its limit a job's cost is unknown; what has run so long is likely to run as long again.
    return elapsed_ns if elapsed_ns > job.limit_ns else max(0, job.expected_ns - elapsed_ns)
