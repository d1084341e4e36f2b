"""Equal questions asked at the same time share one run.

A flight is one run and everybody who waits for it. Whoever asks while it is under way joins it, with a deadline of
his own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from asyncio import Future

    from budgets.job import Job

T = TypeVar("T")


@dataclass(slots=True)
class Flight(Generic[T]):
    """One job and those who wait for it."""

    job: Job[Any, T]
    waiters: list[Future[None]] = field(default_factory=list)
    has_ended: bool = False
    is_told: bool = False  # the rung's breaker knows how this run went

    def join(self, waiter: Future[None]) -> None:
        self.waiters.append(waiter)
        self.job.cancelled = False

    def leave(self, waiter: Future[None]) -> None:
        """A job that nobody waits for any more is not started."""
        self.waiters.remove(waiter)
        if not self.waiters:
            self.job.cancelled = True

    def end(self) -> None:
        self.has_ended = True
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
