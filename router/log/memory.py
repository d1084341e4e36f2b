"""Logs that live and die with the process: `takt route` without a server, and tests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from dataclasses import dataclass, field

from router.log.base import LogStats
from router.log.errors import LogFenced, LogUnavailable
from router.log.journal import Checkpoint, Entry, JournalStats, PlacedEvent, Recovered, Row
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
        return _settled(LogUnavailable("the log is closed") if self._closed else None)

    async def get(self, decision_id: str) -> DecisionRecord | None:
        """The record of an id, if it is among the newest."""
        return self._records.get(decision_id)

    def newest(self) -> Iterator[DecisionRecord]:
        """The records there are now."""
        return iter(list(self._records.values())[::-1])

    def stats(self) -> LogStats:
        """A snapshot."""
        return LogStats(queued=0, written_total=self._written_total, dropped_total=self._dropped_total)


@dataclass(slots=True)
class JournalMemory:
    """What a `MemoryJournal` keeps: one that is made with the memory of another takes over from it."""

    epoch: int = 0
    position: int = 0
    """Of the last checkpoint."""
    entries: deque[Entry] = field(default_factory=deque)
    rows: dict[tuple[str, str], bytes] = field(default_factory=dict)
    ended: dict[tuple[str, str], bytes] = field(default_factory=dict)
    side: dict[tuple[str, str], bytes] = field(default_factory=dict)


class MemoryJournal:
    """Implements `Journal` and `CommandHistory`. Keeps the newest `most` commands, and all since a checkpoint."""

    def __init__(self, memory: JournalMemory | None = None, most: int = 10_000) -> None:
        self._memory = memory or JournalMemory()
        self._most = most
        self._epoch = 0
        self._position = 0
        self._written_total = 0
        self._refused_total = 0

    async def start(self) -> Recovered:
        """Take over."""
        memory = self._memory
        memory.epoch += 1
        self._epoch = memory.epoch
        entries = list(self.entries(memory.position + 1))
        self._position = entries[-1].position if entries else memory.position
        rows = [(kind, id_, body) for (kind, id_), body in memory.rows.items()]
        return Recovered(epoch=self._epoch, position=memory.position, rows=rows, entries=entries)

    async def close(self) -> None:
        """Take no more commands."""
        self._epoch = 0

    def has_room(self) -> bool:
        """Whether it is open and nobody has taken over."""
        return self._error() is None

    def append(self, entry: Entry) -> bool:
        """Keep a command in place of the oldest one that no recovery needs."""
        if not self.has_room() or entry.epoch != self._epoch:
            self._refused_total += 1
            return False
        if entry.position != self._position + 1:
            message = f"position {entry.position}: must be {self._position + 1}"
            raise ValueError(message)
        self._position = entry.position
        self._written_total += 1
        kept = self._memory.entries
        kept.append(entry)
        while len(kept) > self._most and kept[0].position <= self._memory.position:
            kept.popleft()
        return True

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep the rows, and the newest `most` that ended."""
        if not self.has_room():
            return
        if checkpoint.position != self._position:
            message = f"position {checkpoint.position}: must be {self._position}"
            raise ValueError(message)
        memory = self._memory
        memory.position = checkpoint.position
        self._written_total += 1
        for row in checkpoint.rows:
            key = row.kind, row.id
            memory.rows.pop(key, None)
            if row.body is not None:
                (memory.ended if row.is_kept else memory.rows)[key] = row.body
        while len(memory.ended) > self._most:
            del memory.ended[next(iter(memory.ended))]

    def commit(self) -> Awaitable[None]:
        """Resolved already."""
        return _settled(self._error())

    async def events(self, subject: str, after_seq: int, most: int) -> list[bytes]:
        """Cost: O(all events)."""
        of_it = (row for entry in self._memory.entries for row in entry.events if row.subject == subject)
        return [row.body for row in of_it if row.seq > after_seq][:most]

    async def events_since(self, cursor: tuple[int, int], most: int) -> list[PlacedEvent]:
        """Cost: O(all events)."""
        placed = (PlacedEvent(e.position, row.number, row.body) for e in self._memory.entries for row in e.events)
        return [event for event in placed if event[:2] > cursor][:most]

    async def find(self, kind: str, id_: str) -> bytes | None:
        """A row of the state, or one that has ended."""
        key = kind, id_
        return self._memory.rows.get(key, self._memory.ended.get(key))

    async def side_rows(self, kind: str) -> list[tuple[str, bytes]]:
        """All of the kind."""
        return [(id_, body) for (of, id_), body in self._memory.side.items() if of == kind]

    async def write_side_rows(self, rows: Sequence[Row]) -> None:
        """At once."""
        await self.commit()
        for row in rows:
            self._memory.side.pop((row.kind, row.id), None)
            if row.body is not None:
                self._memory.side[row.kind, row.id] = row.body

    async def history(self, from_position: int = 1) -> AsyncIterator[Entry]:
        """The commands there are now."""
        for entry in self.entries(from_position):
            yield entry

    def entries(self, from_position: int = 1) -> Iterator[Entry]:
        """The commands there are now."""
        there = [entry for entry in self._memory.entries if entry.position >= from_position]
        return (Entry(entry.position, entry.at_ns, entry.epoch, entry.command) for entry in there)

    def stats(self) -> JournalStats:
        """A snapshot."""
        error = self._error()
        return JournalStats(
            queued=0,
            written_total=self._written_total,
            refused_total=self._refused_total,
            state="fenced" if isinstance(error, LogFenced) else "ok",
            last_error=str(error or ""),
        )

    def _error(self) -> LogUnavailable | None:
        if self._epoch == 0:
            return LogUnavailable("the journal is closed")
        if self._epoch != self._memory.epoch:
            return LogFenced("another writer has taken the commands over")
        return None


def _settled(error: LogUnavailable | None) -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
    return future
