"""The bounded queue between the request path and the writer. Pure: no clock, no thread, no I/O."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Backlog(Generic[T]):
    """What was accepted and is not yet durable, oldest first.

    Invariant: accepted_total - settled_total == len(self), which is <= bound, but for the moment inside a call and
    for what was forced in. An item leaves only by `settle`, so whoever looks here first and in the store second
    never misses it.

    Safety: one thread offers, one other takes (`batch`, `settle`), any may take a `snapshot`. No lock: each call
    touches the deque by single C calls, which CPython's interpreter lock makes atomic.
    """

    __slots__ = ("_items", "accepted_total", "bound", "refused_total", "settled_total")

    def __init__(self, bound: int) -> None:
        self._items: deque[T] = deque()
        self.bound = bound
        self.accepted_total = 0
        self.refused_total = 0
        self.settled_total = 0

    def __len__(self) -> int:
        return len(self._items)

    def offer(self, item: T) -> bool:
        """Accept an item, or count it as refused when the bound is reached."""
        if len(self._items) >= self.bound:
            self.refused_total += 1
            return False
        self._items.append(item)
        self.accepted_total += 1
        return True

    def force(self, item: T) -> None:
        """Accept an item whatever the bound is."""
        self._items.append(item)
        self.accepted_total += 1

    def batch(self, most: int) -> list[T]:
        """The oldest items, which stay until `settle`."""
        return list(islice(self._items, most))

    def settle(self, count: int) -> None:
        """Let go of the oldest `count` items: they are durable, or given up."""
        for _ in range(count):
            self._items.popleft()
        self.settled_total += count

    def snapshot(self) -> list[T]:
        """All items, oldest first. Cost: O(bound)."""
        return list(self._items.copy())
