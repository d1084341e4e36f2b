"""The port to the log: events to tell, and rows in which a receiver's state survives a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.assign.event import Event
    from router.webhooks.schedule import Row


class Page(NamedTuple):
    """Events that follow a cursor. `has_gap`: some that followed directly are no longer kept."""

    events: Sequence[Event]
    has_gap: bool = False


class EventLog(Protocol):
    """What a dispatcher needs of the log. Any method raises LogUnavailable: try again later."""

    async def page(self, cursor: str, most: int) -> Page:
        """Up to `most` durable events after the cursor, in order."""

    async def read_rows(self, kind: str) -> list[tuple[str, bytes]]:
        """All rows of a kind, with their ids."""

    async def write_rows(self, rows: Sequence[Row]) -> None:
        """In one transaction; returns when they are durable."""
