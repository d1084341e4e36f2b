"""Equal questions asked at the same time share one run.

A flight is one run and everybody who waits for it. Whoever asks while it is under way joins it, with a deadline of
his own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from asyncio import Future

    from budgets.job import Job

T = TypeVar("T")


class Wish(NamedTuple):
    """What a waiter wants of a job: how critical it is, and until when it is of use to start and to have ended."""

    rank: int
    latest_start_ns: int
    commit_ns: int

    def joined(self, other: Wish) -> Wish:
        """The most critical one's place, the most patient one's latest start, and in time for the most hurried one."""
        return Wish(
            min(self.rank, other.rank),
            max(self.latest_start_ns, other.latest_start_ns),
            min(self.commit_ns, other.commit_ns),
        )


@dataclass(slots=True)
class Flight(Generic[T]):
    """One job and those who wait for it."""

    job: Job[Any, T]
    wish: Wish  # of all who wait
    waiters: dict[Future[None], Wish] = field(default_factory=dict)
    has_ended: bool = False
    is_told: bool = False  # the rung's breaker knows how this run went

    def join(self, waiter: Future[None], wish: Wish) -> None:
        self.wish = self.wish.joined(wish) if self.waiters else wish
        self.waiters[waiter] = wish
        self.job.cancelled = False

    def leave(self, waiter: Future[None]) -> None:
        """What he wanted counts no more. A job that nobody waits for is not started."""
        del self.waiters[waiter]
        if not self.waiters:
            self.job.cancelled = True
        elif self.job.batch is None and not self.has_ended:
            self.wish = reduce(Wish.joined, self.waiters.values())

    def end(self) -> None:
        self.has_ended = True
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
