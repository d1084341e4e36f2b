"""Jobs whose cost is known to the nanosecond."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.batch_cost import BatchCost, Sample
from budgets.criticality import CRITICAL
from budgets.job import Job, Work
from budgets.line import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MS = 1_000_000
NEVER_NS = 1 << 62
BLOCK_NS = 100 * MS
FACTORS = (1.0, 1.2, 1.5, 1.6)  # the quantiles of a cost, of its mean


class LinearCost(BatchCost):
    """fixed + texts * (text + longest * char), times a factor for each quantile. It learns nothing."""

    __slots__ = ("char_ns", "factors", "fixed_ns", "seen", "text_ns")

    def __init__(
        self, fixed_ns: int, text_ns: int, char_ns: int = 0, factors: tuple[float, float, float, float] = FACTORS
    ) -> None:
        self.seen: list[tuple[int, int, int, int]] = []  # what it was to learn from, since the last restart
        super().__init__([Sample(1, 1, MS)])
        self.fixed_ns, self.text_ns, self.char_ns, self.factors = fixed_ns, text_ns, char_ns, factors

    def mean_ns(self, texts: int, longest: int) -> float:
        return self.fixed_ns + texts * (self.text_ns + longest * self.char_ns)

    @property
    def saving_ns(self) -> float:
        return self.fixed_ns

    def quantile_ns(self, at: int, texts: int, longest: int, now_ns: int) -> int:
        return int(self.mean_ns(texts, longest) * self.factors[at])

    def observe(self, texts: int, longest: int, cost_ns: int, now_ns: int) -> None:
        self.seen.append((texts, longest, cost_ns, now_ns))
        self.last_ns = now_ns

    def restart(self) -> None:
        super().restart()
        self.seen.clear()


def linear() -> LinearCost:
    """10 ms a text, and no less for several."""
    return LinearCost(0, 10 * MS)


def shared() -> LinearCost:
    """10 ms a call and 1 ms a text."""
    return LinearCost(9 * MS, MS)


def echo(questions: Sequence[str]) -> list[str | Exception]:
    return list(questions)


def ignore(job: Job[Any, Any]) -> None:
    """For jobs of whose end nobody needs to hear."""


def work_of(
    cost: BatchCost, call: Callable[[Sequence[Any]], Sequence[Any]] = echo, name: str = "large"
) -> Work[Any, Any]:
    return Work(name, cost, call)


def job_of(
    work: Work[Any, Any],
    question: object = "a",
    *,
    rank: int = CRITICAL,
    length: int = 20,
    enqueued_ns: int = 0,
    latest_start_ns: int = NEVER_NS,
    commit_ns: int = NEVER_NS,
    charged_ns: int = 0,
    ended: Callable[[Job[Any, Any]], None] = ignore,
) -> Job[Any, Any]:
    return Job(work, question, length, rank, enqueued_ns, latest_start_ns, commit_ns, charged_ns, ended)


def line_of(*jobs: Job[Any, Any], block_ns: int = BLOCK_NS) -> Line:
    """A line that they joined long ago, so that nobody waits for one more."""
    line = Line(64, block_ns)
    for job in jobs:
        assert line.join(job, job.enqueued_ns)
    return line


def take(line: Line, now_ns: int = 10 * MS) -> list[Job[Any, Any]]:
    turn = line.take(now_ns)
    assert turn.batch is not None
    return turn.batch.jobs
