"""Events on their way out: told in order, and only once they are durable."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from router.assign.event import Event

if TYPE_CHECKING:
    from collections.abc import Awaitable

_LOGGER = logging.getLogger("takt.assign")

Subscriber = Callable[[tuple[Event, ...]], None]
"""Called on the event loop with the events of one command. It must not wait: whoever has more to do queues them."""


class _Parcel(NamedTuple):
    """What one command told."""

    events: tuple[Event, ...]
    durable: asyncio.Future[None]
    told: asyncio.Future[None]


class Outbox:
    """Holds the events of each command until the journal has it. Safety: one event loop."""

    def __init__(self) -> None:
        self._parcels: deque[_Parcel] = deque()
        self._subscribers: dict[int, Subscriber] = {}
        self._subscriptions = 0

    def __len__(self) -> int:
        return len(self._parcels)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """From now on it is told of all events; returns how to end that."""
        self._subscriptions += 1
        number = self._subscriptions
        self._subscribers[number] = subscriber
        return lambda: self._subscribers.pop(number, None) and None

    def put(self, events: tuple[Event, ...], durable: Awaitable[None]) -> None:
        """Tell these when `durable` resolves and all before them were told. Where it fails they are never told."""
        waits = asyncio.ensure_future(durable)
        told = asyncio.get_running_loop().create_future()
        told.add_done_callback(_hear)
        self._parcels.append(_Parcel(events, waits, told))
        waits.add_done_callback(self._send)

    def settled(self) -> Awaitable[None]:
        """Resolve when all that was put so far was told. Raises: LogUnavailable: it never will be."""
        if self._parcels:
            # Others wait for the same: who gives up waiting must not take it from them.
            return asyncio.shield(self._parcels[-1].told)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def _send(self, _: asyncio.Future[None]) -> None:
        while self._parcels and self._parcels[0].durable.done():
            events, durable, told = self._parcels.popleft()
            if durable.cancelled():
                told.cancel()
            elif (error := durable.exception()) is not None:
                told.set_exception(error)
            else:
                self._tell(events)
                told.set_result(None)

    def _tell(self, events: tuple[Event, ...]) -> None:
        if not events:
            return
        for subscriber in list(self._subscribers.values()):
            try:
                subscriber(events)
            except Exception:
                _LOGGER.exception("subscriber_failed", extra={"position": events[0].position})


def _hear(told: asyncio.Future[None]) -> None:
    """An error that nobody waits for is no news: it is that of the journal, which tells it."""
    if not told.cancelled():
        told.exception()
