"""A server with queues, and clients for its tasks: over HTTP, and on streams."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.http_server import JSON_TYPE, PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.http_server import Reply, Running

LINES = 300
QUEUES = (
    """\
skills = ["german", "french"]
[lease]
ttl_s = 600
[queues.cards]
description = "lost ones"
[queues.desk]
[queues.humans]
[queues.small]
most = 1
[queues.race]
parallel = 10
"""
    + "".join(f"[queues.line{number}]\n" for number in range(LINES))
)  # fmt: skip
SECRET = "a-secret-of-agents-0123456789-abcdef"


class Floor:
    """A server whose agents and queues are a test's own: nothing of another test gets in between."""

    def __init__(self, running: Running, numbers: count[int], token: str | None = None) -> None:
        self.running = running
        self.line = f"line{next(numbers)}"
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, value: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        body = None if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.running.ask(method, path, body, {**JSON_TYPE, **self.headers, **(headers or {})})

    def do(self, method: str, path: str, value: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """What has to be a 200 or a 201."""
        reply = self.ask(method, path, value, headers)
        assert reply.status in {200, 201}, reply.body
        return reply.json()

    def post(self, path: str, value: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        return self.do("POST", path, {} if value is None else value, headers)

    def task(self, **fields: Any) -> Any:
        return self.post("/v1/tasks", {"queue": self.line, **fields})

    def agent(self, name: str, presence: str = "available", **fields: Any) -> str:
        """Signed in, for this test's queue; returns the id."""
        name = f"{name}.{self.line}"
        wanted = {"queues": [self.line], "channels": {"chat": {}}, "capacity": 3, **fields}
        self.do("PUT", f"/v1/resources/{name}", wanted)
        if presence != "offline":
            self.post(f"/v1/resources/{name}/presence", {"presence": presence})
        return name

    def offered(self, **fields: Any) -> tuple[Any, str]:
        """A task and its only pending offer."""
        task = self.task(**fields)
        (offer,) = (each["id"] for each in task["offers"] if each["state"] == "pending")
        return task, offer

    def assigned(self, **fields: Any) -> Any:
        """A task that somebody has."""
        _, offer = self.offered(**fields)
        return self.post(f"/v1/offers/{offer}/accept")["task"]


class Stream:
    """The client's end of a WebSocket."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self._kept: list[Any] = []
        self._refs = count(1)

    async def next(self, *types: str) -> Any:
        """The next message of one of these types; others are kept for later."""
        for number, kept in enumerate(self._kept):
            if kept["type"] in types:
                return self._kept.pop(number)
        while True:
            message = await asyncio.wait_for(self.ws.receive(), PATIENCE_S)
            assert message.type is aiohttp.WSMsgType.TEXT, (message, self.ws.close_code)
            found = json.loads(message.data)
            if found["type"] in types:
                return found
            self._kept.append(found)

    async def ask(self, kind: str, **fields: Any) -> tuple[int, Any]:
        """Status and body of the reply."""
        ref = f"r{next(self._refs)}"
        await self.ws.send_str(json.dumps({"type": kind, "ref": ref, **fields}))
        reply = await self.next("reply")
        assert reply["ref"] == ref
        return reply["status"], reply["body"]

    async def closed(self) -> int | None:
        """Read on until the server closes; returns its code."""
        while True:
            message = await asyncio.wait_for(self.ws.receive(), PATIENCE_S)
            if message.type is not aiohttp.WSMsgType.TEXT:
                # aiohttp's client calls it abnormal where the server has gone before it could say goodbye itself.
                return int(message.data) if message.type is aiohttp.WSMsgType.CLOSE else self.ws.close_code

    async def flood(self, *messages: str) -> None:
        """Send what the server may close upon."""
        with suppress(ConnectionError):
            for message in messages:
                await self.ws.send_str(message)


@asynccontextmanager
async def connected(running: Running, path: str, **options: Any) -> AsyncIterator[Stream]:
    url = f"http://127.0.0.1:{running.port}{path}"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, **options) as ws:
        yield Stream(ws)


async def refused(running: Running, path: str, **options: Any) -> int:
    """The status of a handshake that must fail."""
    try:
        async with connected(running, path, **options):
            raise AssertionError("the handshake went through")
    except aiohttp.WSServerHandshakeError as error:
        return error.status
