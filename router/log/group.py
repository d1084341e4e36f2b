"""GroupLog: the log's port over a `Writer`."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from budgets.clock import Clock
from router.log.base import LogStats
from router.log.record import DecisionRecord
from router.log.settings import LogSettings
from router.log.writer import Store, Writer


class RecordStore(Store, Protocol):
    """Where decisions are kept. `find` is called from the reader thread."""

    def find(self, decision_id: str) -> DecisionRecord | None:
        """The record of an id."""


class GroupLog:
    """Implements `Log`. The writer is started and closed with it, and may write a journal's commands too.

    Safety: one event loop.
    """

    def __init__(self, store: RecordStore, settings: LogSettings, clock: Clock) -> None:
        self.writer = Writer(store, settings, clock)
        self.fault = self.writer.fault
        self._store = store
        self._lane = self.writer.records
        self._backlog = self._lane.backlog

    async def start(self) -> None:
        """Open the store in the writer thread and wait for it."""
        await self.writer.start()

    async def close(self) -> None:
        """Write what waits; a store that fails or hangs now costs the rest, at most 5 s."""
        await self.writer.close()

    def append(self, record: DecisionRecord) -> bool:
        """Take a record. Cost: under 1 µs; some µs for the one that wakes the writer."""
        if not self._backlog.offer(record):
            return False
        if self.writer.is_asleep:
            self.writer.wake.set()
        return True

    def commit(self) -> Awaitable[None]:
        """Resolve when all appended so far is durable; the writer doesn't gather while someone waits."""
        return self.writer.commit(self._lane)

    async def get(self, decision_id: str) -> DecisionRecord | None:
        """Look among the queued, then in the store: a record moves that way only, so none is missed."""
        return await self.writer.read(self._find, decision_id)

    def _find(self, decision_id: str) -> DecisionRecord | None:
        for record in self._backlog.snapshot():
            if record.decision_id == decision_id:
                return record
        self.writer.suffer_fault()
        return self._store.find(decision_id)

    def stats(self) -> LogStats:
        """A snapshot."""
        return LogStats(
            queued=len(self._backlog),
            written_total=self._lane.written_total,
            dropped_total=self._lane.dropped_total,
            state=self.writer.state,
            last_error=self.writer.last_error,
            last_commit_ns=self.writer.last_commit_ns,
        )
