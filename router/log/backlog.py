"""The bounded queue between the request path and the writer. Pure: no clock, no thread, no I/O."""

from __future__ import annotations

from collections import deque
from itertools import islice

from router.log.record import DecisionRecord


class Backlog:
    """Records accepted and not yet durable, oldest first.

    Invariant: accepted_total - settled_total == len(self) <= bound, but for the moment inside a call.
    A record leaves only by `settle`, so whoever looks here first and in the store second never misses it.

    Safety: one thread offers, one other takes (`batch`, `settle`), any may `find`. No lock: each call
    touches the deque by single C calls, which CPython's interpreter lock makes atomic.
    """

    __slots__ = ("_records", "accepted_total", "bound", "refused_total", "settled_total")

    def __init__(self, bound: int) -> None:
        self._records: deque[DecisionRecord] = deque()
        self.bound = bound
        self.accepted_total = 0
        self.refused_total = 0
        self.settled_total = 0

    def __len__(self) -> int:
        return len(self._records)

    def offer(self, record: DecisionRecord) -> bool:
        """Accept a record, or count it as refused when the bound is reached."""
        if len(self._records) >= self.bound:
            self.refused_total += 1
            return False
        self._records.append(record)
        self.accepted_total += 1
        return True

    def batch(self, most: int) -> list[DecisionRecord]:
        """The oldest records, which stay until `settle`."""
        return list(islice(self._records, most))

    def settle(self, count: int) -> None:
        """Let go of the oldest `count` records: they are durable, or given up."""
        for _ in range(count):
            self._records.popleft()
        self.settled_total += count

    def find(self, decision_id: str) -> DecisionRecord | None:
        """The first record of this id. Cost: O(bound)."""
        return next((r for r in self._records.copy() if r.decision_id == decision_id), None)
