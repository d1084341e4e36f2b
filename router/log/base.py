"""The port: what the rest of the product knows of a log."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator
from typing import Literal, Protocol

import msgspec

from router.log.record import DecisionRecord


class LogStats(msgspec.Struct, frozen=True, kw_only=True):
    """How the log is doing; counters are since `start`."""

    queued: int
    """Records accepted and not yet durable."""
    written_total: int
    dropped_total: int
    """Records that will never be durable: queue full, not encodable, or left over at close."""
    state: Literal["ok", "failing"] = "ok"
    last_error: str = ""
    """Why it last failed, in words; kept after recovery."""
    last_commit_ns: int = 0
    """How long the last group took to become durable."""


class Log(Protocol):
    """Keeps decision records. The id is the key: the first record of an id stays, others are ignored.

    Safety: called from one event loop.
    """

    async def start(self) -> None:
        """Open the log.

        Raises: LogRefused: it can't be used as it is, and what to do.
        """

    async def close(self) -> None:
        """Write what waits, within a bounded time, and stop; what is left over counts as dropped."""

    def append(self, record: DecisionRecord) -> bool:
        """Take a record without waiting; False, and counted, when the queue is full or the log closed."""

    def commit(self) -> Awaitable[None]:
        """Resolve when every record appended so far is durable; the caller brings the deadline.

        Raises: LogUnavailable: the log was closed first.
        """

    async def get(self, decision_id: str) -> DecisionRecord | None:
        """The record of an id, those still queued included.

        Raises: LogUnavailable: the store can't be read now. LogRefused: this record can't be read.
        """

    def stats(self) -> LogStats:
        """A snapshot; never waits."""


_MANY = 1_000


def since(records: Iterable[DecisionRecord], from_ns: int) -> Iterator[DecisionRecord]:
    """Those of a time (UTC, ns since 1970) and later, of records that come last written first.

    A clock that was set back puts older times before newer ones, so it takes many old records to end the search.
    """
    too_old = 0
    for record in records:
        if record.at_ns >= from_ns:
            too_old = 0
            yield record
        elif (too_old := too_old + 1) == _MANY:
            return


class History(Protocol):
    """Reads many records, however many there are: beside a log that is written, or without one."""

    def newest(self) -> Iterator[DecisionRecord]:
        """Every record there is when reading begins, the last written first; what is deleted meanwhile may be missing.

        Raises: LogUnavailable: the store can't be read now. LogRefused: it is none, or a record can't be read.
        """
