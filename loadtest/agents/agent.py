"""One simulated agent: accepts after a moment, talks for a while, completes; comes back when the line breaks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from loadtest.agents.book import Hands, Offer, Task
from loadtest.errors import Unreachable
from loadtest.quantity import S

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from random import Random

    from loadtest.agents.book import Book
    from loadtest.agents.stream import Door, Stream
    from loadtest.scenario.spec import AgentsSpec

_AGAIN_S = 1.0
_OK = 200


class Resource(msgspec.Struct, frozen=True):
    used: int
    capacity: int


class Body(msgspec.Struct, frozen=True):
    """What a reply holds, of what is read here."""

    task: Task | None = None


class OfferedTask(msgspec.Struct, frozen=True):
    offer: Offer
    task: Task


class Message(msgspec.Struct, frozen=True):
    """What the server says: hello, offer, resource and reply are read."""

    type: str
    session: str = ""
    heartbeat_s: float = 5.0
    offers: list[OfferedTask] = []
    offer: Offer | None = None
    task: Task | None = None
    resource: Resource | None = None
    ref: str | None = None
    status: int = _OK
    body: msgspec.Raw = msgspec.Raw()


_MESSAGE = msgspec.json.Decoder(Message)
_ANSWER = msgspec.json.Decoder(Body)
_TASK = msgspec.json.Decoder(Task)


class SimulatedAgent:
    """Signs in when it is run, and stays until it is canceled."""

    def __init__(self, name: str, spec: AgentsSpec, door: Door, book: Book, rng: Random) -> None:
        self._name, self._spec, self._door, self._book, self._rng = name, spec, door, book, rng
        self._hands = Hands(spec.capacity)
        self._seen: set[str] = set()
        self._doing: set[asyncio.Task[None]] = set()
        self._session = ""
        self._stream: Stream | None = None

    async def run(self) -> None:
        """Sign in, work, and connect again when the connection ends."""
        try:
            while True:
                self._stream = await self._connect()
                await self._work(self._stream)
                self._book.counts["reconnected"] += 1
                await asyncio.sleep(_AGAIN_S)
        finally:
            for task in self._doing:
                task.cancel()
            await asyncio.gather(*self._doing, return_exceptions=True)
            if self._stream is not None:
                await self._stream.close()

    async def _connect(self) -> Stream:
        while True:
            try:
                return await self._door.stream(self._name, self._session)
            except Unreachable:
                await asyncio.sleep(_AGAIN_S)

    async def _work(self, stream: Stream) -> None:
        """Until the connection ends."""
        heart: asyncio.Task[None] | None = None
        try:
            async for raw in stream.messages():
                message = _MESSAGE.decode(raw)
                if message.type == "hello":
                    self._session = message.session
                    heart = asyncio.create_task(_beat(stream, message.heartbeat_s))
                    await stream.send("presence", presence="available")
                    for each in message.offers:
                        self._meet(each.offer, each.task)
                elif message.type == "offer" and message.offer is not None and message.task is not None:
                    self._meet(message.offer, message.task)
                elif message.type == "resource" and message.resource is not None:
                    self._book.counts["over_capacity"] += message.resource.used > message.resource.capacity
                elif message.type == "reply":
                    self._answered(message)
        finally:
            if heart is not None:
                heart.cancel()

    def _meet(self, offer: Offer, task: Task) -> None:
        if offer.id in self._seen:  # told again after a reconnect
            return
        self._seen.add(offer.id)
        self._book.offer(offer, task, datetime.now(UTC))
        self._do(self._accept(offer))

    async def _accept(self, offer: Offer) -> None:
        await asyncio.sleep(self._rng.expovariate(1) * self._spec.reaction / S)
        await self._send("accept", f"accept {offer.id}", offer_id=offer.id, fence=offer.fence)

    def _answered(self, message: Message) -> None:
        """Of an accept: the talk begins. Of a first complete: the wrap-up is over, too."""
        what, _, name = (message.ref or "").partition(" ")
        if what == "accept":
            task = _ANSWER.decode(message.body).task if message.status == _OK else None
            if task is None:
                self._book.refused(message.status)
            elif task.id not in self._hands:
                self._book.accepted(task)
                weight = task.weight if task.assignment is None else task.assignment.weight
                self._book.counts["over_capacity"] += self._hands.take(task.id, weight)
                self._do(self._talk(task.id))
        elif what == "complete" and message.status == _OK and _TASK.decode(message.body).state == "wrapping":
            self._do(self._send("complete", f"wrapped {name}", task_id=name))
        elif what in {"complete", "wrapped"} and message.status == _OK:
            self._book.counts["completed"] += 1

    async def _talk(self, task_id: str) -> None:
        await asyncio.sleep(self._rng.expovariate(1) * self._spec.handling / S)
        self._hands.give_back(task_id)  # before it is asked for: our count is never ahead of the server's
        await self._send("complete", f"complete {task_id}", task_id=task_id)

    async def _send(self, kind: str, ref: str, **fields: str | int) -> None:
        if self._stream is not None:
            await self._stream.send(kind, ref, **fields)

    def _do(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)


async def _beat(stream: Stream, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await stream.send("heartbeat")
