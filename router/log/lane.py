"""Lane: a backlog and those who wait until what they appended is durable."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from router.log.backlog import Backlog
from router.log.errors import LogUnavailable

T = TypeVar("T")


class Lane(Generic[T]):
    """One kind of items on their way to the store.

    Safety: the event loop appends and waits, the writer thread takes and releases.
    """

    __slots__ = ("backlog", "error", "lost_total", "waiters", "written_total")

    def __init__(self, bound: int) -> None:
        self.backlog: Backlog[T] = Backlog(bound)
        self.waiters: deque[tuple[int, asyncio.Future[None]]] = deque()  # (accepted_total to reach, …)
        self.error: LogUnavailable | None = None
        """Why nothing of this lane is written any more."""
        # Written by the writer thread only.
        self.written_total = 0
        self.lost_total = 0

    def __len__(self) -> int:
        """How many items there are to write."""
        return 0 if self.error else len(self.backlog)

    @property
    def dropped_total(self) -> int:
        """Items that will never be durable."""
        return self.backlog.refused_total + self.lost_total

    def commit(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """A future that is resolved when all that was appended so far is durable."""
        future = loop.create_future()
        if self.error is not None:
            future.set_exception(self.error)
        elif self.backlog.settled_total == self.backlog.accepted_total:
            future.set_result(None)
        else:
            self.waiters.append((self.backlog.accepted_total, future))
        return future

    def settle(self, count: int, left_out: int = 0) -> None:
        """The oldest `count` items are durable, but for some that could not be written at all."""
        self.backlog.settle(count)
        self.lost_total += left_out
        self.written_total += count - left_out

    def take_ready(self) -> list[asyncio.Future[None]]:
        """Those whose wait is over, who leave."""
        ready: list[asyncio.Future[None]] = []
        while self.waiters and self.waiters[0][0] <= self.backlog.settled_total:
            ready.append(self.waiters.popleft()[1])
        return ready

    def give_up(self) -> int:
        """Let go of what is left; returns how many."""
        left = len(self.backlog)
        self.lost_total += left
        self.backlog.settle(left)
        return left

    def stop(self, error: LogUnavailable) -> None:
        """Take no more, and tell everybody who waits. Called on the loop; repeated calls keep the first error."""
        self.backlog.bound = 0
        self.error = self.error or error
        while self.waiters:
            _, future = self.waiters.popleft()
            if not future.done():
                future.set_exception(self.error)
