"""The port to the log, by the command journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.assign.event import Event
from router.log import journal
from router.webhooks.delivery import order_of
from router.webhooks.store import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.webhooks.schedule import Row

_EVENT = msgspec.msgpack.Decoder(Event)
# Behind every event of a command: a cursor that is no event's.
_LAST = journal.EVENTS_A_COMMAND - 1


class JournalLog:
    """Implements `EventLog`."""

    def __init__(self, events: journal.Journal) -> None:
        self._journal = events

    async def page(self, cursor: str, most: int) -> Page:
        """Asks for the cursor's own event as well: where that is gone, so may be some that followed it."""
        position, number = order_of(cursor)
        if number == _LAST:
            return Page(
                [_EVENT.decode(each.body) for each in await self._journal.events_since((position, number), most)]
            )
        before = (position, number - 1) if number else (position - 1, _LAST)
        placed = await self._journal.events_since(before, most + 1)
        has_gap = bool(placed) and (placed[0].position, placed[0].number) != (position, number)
        return Page([_EVENT.decode(each.body) for each in placed[not has_gap :]][:most], has_gap)

    async def read_rows(self, kind: str) -> list[tuple[str, bytes]]:
        return await self._journal.side_rows(kind)

    async def write_rows(self, rows: Sequence[Row]) -> None:
        await self._journal.write_side_rows([journal.Row(row.kind, row.id, row.body) for row in rows])


def behind(position: int) -> str:
    """The cursor behind everything that the command at a position caused."""
    return f"{position}-{_LAST}"
