"""Calls at exact times. Loops on epoll round timers up to a millisecond; here the last two before a call are spun."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING, Final

from loadtest.quantity import MS, S

if TYPE_CHECKING:
    from collections.abc import Callable

# A timer is up to 1 ms late; another one is for a loop that is just busy.
_SPIN_NS: Final = 2 * MS


class Agenda:
    """Calls, each at its time. While it spins, each turn of the loop still reads what has come.

    Args: now_ns: the monotonic clock.
    """

    def __init__(self, now_ns: Callable[[], int], loop: asyncio.AbstractEventLoop) -> None:
        self._now_ns, self._loop = now_ns, loop
        self._calls: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._next: asyncio.Handle | None = None

    def at(self, due_ns: int, call: Callable[[], None]) -> None:
        """Calls of the same time are made in the order of these."""
        heapq.heappush(self._calls, (due_ns, next(self._numbers), call))
        if self._next is None or self._calls[0][0] == due_ns:
            self._arm()

    def _turn(self) -> None:
        self._next = None
        while self._calls and self._calls[0][0] <= self._now_ns():
            heapq.heappop(self._calls)[2]()
        if self._calls:
            self._arm()

    def _arm(self) -> None:
        if self._next is not None:
            self._next.cancel()
        gap_ns = self._calls[0][0] - self._now_ns()
        if gap_ns > _SPIN_NS:
            self._next = self._loop.call_later((gap_ns - _SPIN_NS) / S, self._turn)
        else:
            self._next = self._loop.call_soon(self._turn)
