"""One event on its way to one receiver, and how an attempt ended."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import NamedTuple

import msgspec

from router.assign.event import Event

_NS_PER_S = 1_000_000_000
_MOST_DIGITS = 9


class Delivery(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Also the durable format of what waits or was given up: new fields need a default."""

    event: Event
    taken_ns: int
    """When it was taken from the log; retries end so long after."""
    attempts: int = 0
    next_ns: int = 0
    """Not before."""
    status: int = 0
    """Of the last answer; 0: there was none."""
    error: str = ""
    is_dead: bool = False

    @property
    def order(self) -> tuple[int, int]:
        return order_of(self.event.id)


class Outcome(NamedTuple):
    """What became of an attempt. `status` 0: no answer, and `error` says why."""

    status: int = 0
    error: str = ""
    retry_after_ns: int = 0

    @property
    def is_delivered(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004 - the specification: any 2xx, and nothing else


def order_of(cursor: str) -> tuple[int, int]:
    """Where an event's id `{position}-{number}` stands among all."""
    position, _, number = cursor.partition("-")
    return int(position), int(number)


def retry_after_ns(header: str | None, now_ns: int) -> int:
    """RFC 9110, 10.2.3: seconds or a date. 0: nothing that can be read."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:_MOST_DIGITS]) * _NS_PER_S
    try:
        until_ns = int(parsedate_to_datetime(text).timestamp() * _NS_PER_S)
    except (TypeError, ValueError, OverflowError):
        return 0
    return max(0, until_ns - now_ns)
