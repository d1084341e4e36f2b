"""A log that lives and dies with the process: `takt route` without a server, and tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator

from router.log.base import LogStats
from router.log.errors import LogUnavailable
from router.log.record import DecisionRecord


class MemoryLog:
    """Keeps the newest `most` records. Implements `Log` and `History`; nothing survives the process."""

    def __init__(self, most: int = 10_000) -> None:
        self._records: dict[str, DecisionRecord] = {}
        self._most = most
        self._closed = False
        self._written_total = 0
        self._dropped_total = 0

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Take no more records."""
        self._closed = True

    def append(self, record: DecisionRecord) -> bool:
        """Keep a record in place of the oldest one."""
        if self._closed:
            self._dropped_total += 1
            return False
        self._records.setdefault(record.decision_id, record)
        if len(self._records) > self._most:
            del self._records[next(iter(self._records))]
        self._written_total += 1
        return True

    def commit(self) -> Awaitable[None]:
        """Resolved already."""
        future = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(LogUnavailable("the log is closed"))
        else:
            future.set_result(None)
        return future

    async def get(self, decision_id: str) -> DecisionRecord | None:
        """The record of an id, if it is among the newest."""
        return self._records.get(decision_id)

    def newest(self) -> Iterator[DecisionRecord]:
        """The records there are now."""
        return iter(list(self._records.values())[::-1])

    def stats(self) -> LogStats:
        """A snapshot."""
        return LogStats(queued=0, written_total=self._written_total, dropped_total=self._dropped_total)
