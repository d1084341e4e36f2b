"""Commands and journals for tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from budgets.clock import SystemClock
from router.log import Entry, EventRow, GroupJournal, GroupLog, SqliteStore
from tests.log_records import settings

if TYPE_CHECKING:
    from router.log import Journal, LogSettings, Recovered

AT_NS = 1_700_000_000_000_000_000


def event(position: int, number: int, subject: str, seq: int) -> EventRow:
    """An event that differs from others."""
    return EventRow(subject, seq, number, f"{position}-{number}".encode())


def entry(position: int, *events: EventRow, epoch: int = 1, at_ns: int = AT_NS, command: bytes = b"") -> Entry:
    """A command that differs from others by its position."""
    return Entry(position, at_ns, epoch, command or b"command %d" % position, events)


def told(position: int, epoch: int = 1) -> Entry:
    """A command on task `t` with two events."""
    return entry(
        position, event(position, 0, "t", position * 2 - 1), event(position, 1, "t", position * 2), epoch=epoch
    )


class OnDisk:
    """A server's log and journal on one file."""

    def __init__(self, path: Path, chosen: LogSettings | None = None, store: SqliteStore | None = None) -> None:
        chosen = chosen or settings(path)
        self.store = store or SqliteStore(chosen, SystemClock())
        self.log = GroupLog(self.store, chosen, SystemClock())
        self.journal: Journal = GroupJournal(self.log.writer, self.store.commands)

    async def start(self) -> Recovered:
        """Both."""
        await self.log.start()
        return await self.journal.start()

    async def close(self) -> None:
        """Both."""
        await self.journal.close()
        await self.log.close()
