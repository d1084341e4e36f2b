"""The port of the command journal: every command is in it before its 2xx; the state is a checkpoint and a replay.

step ──► append (never waits) ──► commit() resolves: durable ──► answer, publish the events
now and then: checkpoint, the rows that changed since the last one; a start reads those and replays the rest
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

EVENTS_A_COMMAND = 1 << 20
"""An event's number is less than this."""


class EventRow(NamedTuple):
    """An event as the log keeps it."""

    subject: str
    seq: int
    """Consecutive for each subject."""
    number: int
    """0 to `EVENTS_A_COMMAND` - 1, rising within its command."""
    body: bytes


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One command that was accepted, with the events it caused."""

    position: int
    """1, 2, ... without a gap."""
    at_ns: int
    """UTC, ns since 1970: the time the core was told."""
    epoch: int
    command: bytes
    events: tuple[EventRow, ...] = ()
    """Empty in what recovery and `history` give: a replay tells them again."""


class Row(NamedTuple):
    """One thing of the state as it is at a checkpoint."""

    kind: str
    id: str
    body: bytes | None
    """None: it is gone."""
    is_kept: bool = False
    """It is no longer part of the state (no recovery gives it), but `find` does, until its retention is over."""


class Checkpoint(msgspec.Struct, frozen=True, gc=False):
    """What changed since the checkpoint before; with all rows before it, the whole state at `position`.

    It is written in one transaction, so commits behind it wait: some thousand rows are about 20 ms.
    """

    position: int
    """Of the last command whose effects are in the rows; 0: none yet."""
    rows: tuple[Row, ...]


class SideRows(msgspec.Struct, frozen=True, gc=False):
    """Rows beside the state, of who follows the events: no checkpoint, recovery or retention touches them."""

    rows: tuple[Row, ...]


Step = Entry | Checkpoint | SideRows


class Recovered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a start finds."""

    epoch: int
    """This writer's, one more than the last: durable already, and every older writer is refused from now on."""
    position: int
    """Of the last checkpoint; 0: there is none."""
    rows: list[tuple[str, str, bytes]]
    """(kind, id, body) at that position, in no order."""
    entries: list[Entry]
    """What came after, in order, without events."""


class PlacedEvent(NamedTuple):
    """An event and its cursor."""

    position: int
    number: int
    body: bytes


class JournalStats(msgspec.Struct, frozen=True, kw_only=True):
    """How the journal is doing; counters are since `start`."""

    queued: int
    """Commands, checkpoints and groups of side rows accepted and not yet durable."""
    written_total: int
    """Of them durable."""
    refused_total: int
    """Commands not taken."""
    state: Literal["ok", "failing", "fenced"] = "ok"
    """fenced: another process has taken over; this one can write nothing more."""
    last_error: str = ""
    """Why it last failed, in words; kept after recovery."""
    last_commit_ns: int = 0
    """How long the last group took to become durable."""


class Journal(Protocol):
    """Keeps commands, their events and the state's rows, for one writer at a time.

    Readers (`events`, `events_since`, `find`, `history`) see what is durable, and `find` what waits to be, too.
    They raise LogUnavailable when the store can't be read now.

    Safety: called from one event loop.
    """

    async def start(self) -> Recovered:
        """Take the journal over from whoever had it, and read what there is. Once, before all else.

        Raises: LogRefused: it can't be used as it is, and what to do. LogUnavailable: not now.
        """

    async def close(self) -> None:
        """Write what waits, within a bounded time, and stop; what is left over was never promised to anyone."""

    def has_room(self) -> bool:
        """Whether the next `append` will be taken. Ask before the core steps: it can't step back."""

    def append(self, entry: Entry) -> bool:
        """Take a command without waiting; False, and counted, when `has_room` is False or its epoch is not ours.

        A command that was taken is never dropped while the process lives: it waits until the store can be written.

        Raises: ValueError: its position is not the next one.
        """

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take the changed rows, in order with the commands; dropped where `append` would be for another reason
        than room.
        """

    def commit(self) -> Awaitable[None]:
        """Resolve when all appended so far is durable; the caller brings the deadline.

        Raises: LogUnavailable: closed first, or (LogFenced) another process has taken over.
        """

    async def events(self, subject: str, after_seq: int, most: int) -> list[bytes]:
        """A subject's events behind a sequence number, in order."""

    async def events_since(self, cursor: tuple[int, int], most: int) -> list[PlacedEvent]:
        """All events behind a cursor (position, number), in order; (0, 0): from the oldest that is kept."""

    async def find(self, kind: str, id_: str) -> bytes | None:
        """A row as of the last checkpoint that was appended, kept ones included."""

    async def side_rows(self, kind: str) -> list[tuple[str, bytes]]:
        """(id, body) of the rows of a kind beside the state, in no order."""

    async def write_side_rows(self, rows: Sequence[Row]) -> None:
        """Put rows beside the state in one transaction (body None: delete), and wait until it is durable.

        Raises: LogUnavailable: as `commit`.
        """

    def history(self, from_position: int = 1) -> AsyncIterator[Entry]:
        """The commands from a position on, without events, as far as they are durable when reading gets there."""

    def stats(self) -> JournalStats:
        """A snapshot; never waits."""


class CommandHistory(Protocol):
    """Reads commands beside a journal that is written, or without one; blocks."""

    def entries(self, from_position: int = 1) -> Iterator[Entry]:
        """As `Journal.history`.

        Raises: LogUnavailable: the store can't be read now. LogRefused: it is none.
        """
