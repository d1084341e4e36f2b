"""One WebSocket: bounded both ways, so that neither a slow reader nor a flood costs more than its share.

What is sent is queued and written by a task of its own: whoever sends never waits. A reader who is too slow is
disconnected (1013) and gets all anew when it comes back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from router.http.access import SUBPROTOCOL
from router.http.errors import Malformed, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MOST_MESSAGES, MOST_BYTES = 2_048, 4_194_304
"""Of one socket that wait to be written."""
MAX_MESSAGE_BYTES = 65_536
PING_S = 15.0
_CLOSE_S = 1.0
"""How long the other side may take to say goodbye."""
_MAX_REASON_BYTES = 120  # RFC 6455, 5.5
RESTART, TRY_AGAIN, NO_REQUESTS, INTERNAL, REPLACED = 1012, 1013, 1008, 1011, 4001


class Sockets:
    """All that are open, for the end."""

    def __init__(self) -> None:
        self._open: set[Socket] = set()
        self._is_draining = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, socket: Socket) -> None:
        """Raises: Unavailable: the server is shutting down."""
        if self._is_draining:
            raise Unavailable("draining")
        self._open.add(socket)

    def remove(self, socket: Socket) -> None:
        self._open.discard(socket)

    def drain(self) -> None:
        """Ask all clients to connect elsewhere."""
        self._is_draining = True
        for socket in self._open:
            socket.finish(RESTART, "the server restarts: connect again")


class Socket:
    """The server's end. Safety: one event loop."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._ws = web.WebSocketResponse(
            timeout=_CLOSE_S, heartbeat=PING_S, protocols=(SUBPROTOCOL,), compress=False, max_msg_size=MAX_MESSAGE_BYTES
        )
        self._first: deque[bytes] = deque()  # bounded by who sends it
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._wake, self._idle = asyncio.Event(), asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    async def open(self) -> web.WebSocketResponse:
        """The handshake. Raises: Malformed."""
        request = self._request
        stated = [each.strip() for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if stated != [""] and SUBPROTOCOL not in stated:  # aiohttp would write those that were stated into its log
            raise Malformed(f"Sec-WebSocket-Protocol: {SUBPROTOCOL} has to be one of them")
        if request.method != "GET" or not self._ws.can_prepare(request).ok:
            raise Malformed("this is a WebSocket: send GET with `Upgrade: websocket` and what belongs to it (RFC 6455)")
        await self._ws.prepare(request)
        return self._ws

    def start(self, *first: bytes) -> None:
        """Begin to write: these, then all that was sent meanwhile."""
        self._first.extend(first)
        self._wake.set()
        self._writer = asyncio.get_running_loop().create_task(self._write())

    def send(self, message: bytes) -> None:
        """Never waits. Above the bounds, the socket is closed."""
        if self._ending is not None:
            return
        if len(self._queue) >= MOST_MESSAGES or self._bytes > MOST_BYTES:
            self.finish(TRY_AGAIN, "too slow: connect again")
            return
        self._queue.append(message)
        self._bytes += len(message)
        self._idle.clear()
        self._wake.set()

    async def written(self) -> bool:
        """Wait until all that was sent has been written; False: the socket ends."""
        if self._queue:
            await self._idle.wait()
        return self._ending is None

    def finish(self, code: int, reason: str) -> None:
        """Close soon; what waits is not sent."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end(code, reason))

    async def messages(self) -> AsyncIterator[str | None]:
        """What the client says, until the socket ends; None: something that is no text."""
        while True:
            message = await self._ws.receive()
            if message.type is WSMsgType.TEXT:
                yield message.data
            elif message.type is WSMsgType.BINARY:
                yield None
            else:
                return

    async def close(self) -> None:
        """Give all up that belongs to it."""
        if self._writer is not None:
            self._writer.cancel()
        if self._ending is not None:
            await asyncio.wait([self._ending])

    async def _write(self) -> None:
        with suppress(ConnectionError):  # the reading side hears of it, too
            while self._ending is None:
                await self._wake.wait()
                self._wake.clear()
                while self._first:
                    await self._ws.send_frame(self._first.popleft(), WSMsgType.TEXT)
                while self._queue:
                    message = self._queue.popleft()
                    self._bytes -= len(message)
                    await self._ws.send_frame(message, WSMsgType.TEXT)
                self._idle.set()

    async def _end(self, code: int, reason: str) -> None:
        self._first.clear()
        self._queue.clear()
        self._idle.set()
        self._wake.set()
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=_CLOSE_S)
            if not self._writer.done():  # the other side does not read: no goodbye would get through
                self._abort()
                return
        try:
            async with asyncio.timeout(2 * _CLOSE_S):
                await self._ws.close(code=code, message=reason.encode()[:_MAX_REASON_BYTES])
        except (TimeoutError, ConnectionError):
            self._abort()

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()
