"""GroupJournal: the journal's port over a `Writer`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import closing
from itertools import islice
from typing import ParamSpec, Protocol, TypeVar

from router.log.errors import LogFenced, LogUnavailable
from router.log.journal import Checkpoint, Entry, JournalStats, PlacedEvent, Recovered, Row, SideRows, Step
from router.log.writer import Writer

_ENTRIES_A_PAGE = 1_000
_CLOSE_WITHIN_S = 5.0
P = ParamSpec("P")
R = TypeVar("R")


class CommandStore(Protocol):
    """What is durable of a journal. Called from the reader thread; errors are those of `Journal`."""

    def take_over(self) -> Recovered:
        """Raise the epoch, durably, then read what there is."""

    def events(self, subject: str, after_seq: int, most: int) -> list[bytes]:
        """As `Journal.events`."""

    def events_since(self, cursor: tuple[int, int], most: int) -> list[PlacedEvent]:
        """As `Journal.events_since`."""

    def find(self, kind: str, id_: str) -> bytes | None:
        """As `Journal.find`."""

    def side_rows(self, kind: str) -> list[tuple[str, bytes]]:
        """As `Journal.side_rows`."""

    def entries(self, from_position: int = 1) -> Generator[Entry, None, None]:
        """As `CommandHistory.entries`."""


class GroupJournal:
    """Implements `Journal`. The writer, which it shares with the log, is started before it and closed after it.

    Safety: one event loop.
    """

    def __init__(self, writer: Writer, store: CommandStore) -> None:
        self._writer = writer
        self._store = store
        self._lane = writer.steps
        self._backlog = self._lane.backlog
        self._epoch = 0  # 0: not started, or closed
        self._position = 0

    async def start(self) -> Recovered:
        """Take over in the reader thread. Cost: about 3 µs a row and a command."""
        recovered = await self._read(self._store.take_over)
        self._position = recovered.entries[-1].position if recovered.entries else recovered.position
        self._epoch = recovered.epoch
        return recovered

    async def close(self) -> None:
        """Take no more and wait until all is written, at most 5 s."""
        if not self._epoch:
            return
        self._epoch = 0
        written = self._writer.commit(self._lane)
        await asyncio.wait([written], timeout=_CLOSE_WITHIN_S)
        self._lane.stop(LogUnavailable("the journal is closed"))
        if written.done():
            written.exception()  # whom it concerns waits for a future of its own

    def has_room(self) -> bool:
        """Whether the next command will be taken."""
        return self._is_open() and len(self._backlog) < self._backlog.bound

    def append(self, entry: Entry) -> bool:
        """Take a command. Cost: about 1 µs; some µs for the one that wakes the writer."""
        if not self.has_room() or entry.epoch != self._epoch:
            self._backlog.refused_total += 1
            return False
        self._check_position(entry.position, self._position + 1)
        self._position = entry.position
        self._take(entry)
        return True

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take rows. They have no bound of their own: without commands nothing changes."""
        if not self._is_open():
            return
        self._check_position(checkpoint.position, self._position)
        self._take(checkpoint)

    def commit(self) -> Awaitable[None]:
        """Resolve when all appended so far is durable; the writer doesn't gather while someone waits."""
        return self._writer.commit(self._lane)

    async def events(self, subject: str, after_seq: int, most: int) -> list[bytes]:
        """A subject's durable events."""
        return await self._read(self._store.events, subject, after_seq, most)

    async def events_since(self, cursor: tuple[int, int], most: int) -> list[PlacedEvent]:
        """All durable events behind a cursor."""
        return await self._read(self._store.events_since, cursor, most)

    async def find(self, kind: str, id_: str) -> bytes | None:
        """Look among the queued, then in the store: a row moves that way only, so none is missed."""
        return await self._writer.read(self._find, kind, id_)

    async def side_rows(self, kind: str) -> list[tuple[str, bytes]]:
        """Those that are durable."""
        return await self._read(self._store.side_rows, kind)

    async def write_side_rows(self, rows: Sequence[Row]) -> None:
        """Put them in order with the commands. They have no bound of their own: who writes them waits."""
        if not self._is_open():
            raise self._lane.error or LogUnavailable("the journal is closed")
        self._take(SideRows(tuple(rows)))
        await self.commit()

    async def history(self, from_position: int = 1) -> AsyncIterator[Entry]:
        """Durable commands, page by page."""
        while page := await self._read(self._page, from_position):
            for entry in page:
                yield entry
            from_position = page[-1].position + 1

    def stats(self) -> JournalStats:
        """A snapshot."""
        return JournalStats(
            queued=len(self._backlog),
            written_total=self._lane.written_total,
            refused_total=self._backlog.refused_total,
            state="fenced" if isinstance(self._lane.error, LogFenced) else self._writer.state,
            last_error=str(self._lane.error or self._writer.last_error),
            last_commit_ns=self._writer.last_commit_ns,
        )

    def _is_open(self) -> bool:
        return self._epoch != 0 and self._lane.error is None

    def _take(self, step: Step) -> None:
        self._backlog.force(step)
        if self._writer.is_asleep:
            self._writer.wake.set()

    async def _read(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        def suffer_and_call() -> R:
            self._writer.suffer_fault()
            return call(*args, **kwargs)

        return await self._writer.read(suffer_and_call)

    def _find(self, kind: str, id_: str) -> bytes | None:
        for step in reversed(self._backlog.snapshot()):
            if isinstance(step, Checkpoint):
                for row in step.rows:
                    if row.id == id_ and row.kind == kind:
                        return row.body
        self._writer.suffer_fault()
        return self._store.find(kind, id_)

    def _page(self, from_position: int) -> list[Entry]:
        with closing(self._store.entries(from_position)) as entries:
            return list(islice(entries, _ENTRIES_A_PAGE))

    @staticmethod
    def _check_position(given: int, expected: int) -> None:
        if given != expected:
            message = f"position {given}: must be {expected}"
            raise ValueError(message)
