"""Events, a log and receivers for the tests of webhooks and adapters."""

from __future__ import annotations

import asyncio
import hmac
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, NamedTuple

from router.assign.event import Event
from router.log.errors import LogUnavailable
from router.webhooks.delivery import order_of
from router.webhooks.store import Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.webhooks.delivery import Delivery
    from router.webhooks.message import Call
    from router.webhooks.schedule import Row

AT_NS = 1_763_800_000_123_456_789
SECRET = "whsec_" + b64encode(bytes(range(24))).decode()
OTHER_SECRET = "whsec_" + b64encode(bytes(range(100, 140))).decode()


def event(position: int, subject: str = "t1", kind: str = "task.queued", seq: int = 1, **data: Any) -> Event:
    return Event(
        id=f"{position}-0", type=kind, subject=subject, seq=seq, position=position, at_ns=AT_NS + position, data=data
    )


class MemoryEventLog:
    """An `EventLog` that keeps what is put into it, and what was written, across the dispatchers of a test."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rows: dict[tuple[str, str], bytes] = {}
        self.writes = 0
        self.is_down = False

    def put(self, *events: Event) -> None:
        self.events.extend(events)

    def forget(self, count: int) -> None:
        del self.events[:count]

    async def page(self, cursor: str, most: int) -> Page:
        await asyncio.sleep(0)
        self._check()
        after = order_of(cursor)
        kept = any(each.id == cursor for each in self.events) or after == (0, 0)
        later = [each for each in self.events if order_of(each.id) > after]
        return Page(later[:most], bool(later) and not kept)

    async def read_rows(self, kind: str) -> list[tuple[str, bytes]]:
        self._check()
        return [(id_, body) for (each, id_), body in self.rows.items() if each == kind]

    async def write_rows(self, rows: Sequence[Row]) -> None:
        await asyncio.sleep(0)
        self._check()
        self.writes += 1
        for row in rows:
            if row.body is None:
                del self.rows[row.kind, row.id]  # whoever deletes what there never was is wrong
            else:
                self.rows[row.kind, row.id] = row.body

    def _check(self) -> None:
        if self.is_down:
            raise LogUnavailable("down")


class Seen(NamedTuple):
    """A call at the other side."""

    at_s: float
    call: Call


def verify(headers: Mapping[str, str], body: bytes, secret: str, now_s: int) -> bool:
    """As a receiver does it, written from the specification and not from router/webhooks/signature.py."""
    message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(now_s - int(timestamp)) > 300:
        return False
    key = b64decode(secret.partition("_")[2])
    expected = hmac.new(key, b".".join((message_id.encode(), timestamp.encode(), body)), "sha256").digest()
    for each in headers["webhook-signature"].split(" "):
        version, _, signature = each.partition(",")
        if version == "v1" and hmac.compare_digest(b64decode(signature), expected):
            return True
    return False


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.event.id for delivery in deliveries]
