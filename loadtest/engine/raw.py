"""The engine for numbers: its own asyncio protocol, N keep-alive connections, one request at a time on each.

No request is ever left out because all connections are busy: it waits for the next free one, and its latency counts
from when it was meant to be sent. What waited is told in the report, for a real crowd would have brought connections.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from loadtest.errors import Unreachable
from loadtest.sample import BAD_HTTP, GAVE_UP, NEVER, REFUSED, RESET
from loadtest.wire import BadHttp, ResponseReader

if TYPE_CHECKING:
    from loadtest.record import Recorder
    from loadtest.request import Requests

_NO_ROW = -1
_OPENED_AT_ONCE = 64
_CONNECT_WITHIN_S = 5.0
_SWEEP_S = 0.05
# Who lost a connection tries again after so long, doubled up to the last.
_FIRST_RETRY_S, _LAST_RETRY_S = 0.05, 1.0


class RawEngine:
    """See engine/base.py.

    Args:
        connections: how many; all are opened before the first request.
        timeout_ns: from the intended time; then the client hangs up.
    """

    def __init__(self, requests: Requests, recorder: Recorder, url: str, connections: int, timeout_ns: int) -> None:
        self._requests, self.recorder = requests, recorder
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._wanted, self._timeout_ns = connections, timeout_ns
        self._connections: set[_Connection] = set()
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[int] = deque()
        self._sent: deque[tuple[int, _Connection]] = deque()  # in the order in which they time out
        self._in_flight = 0
        self._reconnecting: set[asyncio.Task[None]] = set()
        self._is_open = False
        self._is_refused = False  # no connection is left, and the server gives none
        self.waited_total = self.connected_total = 0

    @property
    def pending(self) -> int:
        return self._in_flight + len(self._waiting)

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        for opened in range(0, self._wanted, _OPENED_AT_ONCE):
            count = min(_OPENED_AT_ONCE, self._wanted - opened)
            found = await asyncio.gather(*(self._connect() for _ in range(count)), return_exceptions=True)
            for error in found:
                if isinstance(error, OSError | TimeoutError):
                    reason = str(error) or type(error).__name__
                    raise Unreachable(
                        f"{self._host}:{self._port}: {reason}; connection {len(self._connections) + 1} of "
                        f"{self._wanted} could not be opened (target.connections)"
                    ) from error
                if error is not None:
                    raise error
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)

    def send(self, row: int) -> None:
        self.recorder.paced(row)
        if self._idle:
            self._write(self._idle.popleft(), row)
        elif self._is_refused:
            self.recorder.failed(row, REFUSED)
        else:
            self.waited_total += 1
            self._waiting.append(row)

    async def close(self) -> None:
        self._is_open = False
        self._sweeper.cancel()
        for task in self._reconnecting:
            task.cancel()
        for connection in list(self._connections):
            connection.abort()

    def answered(self, connection: _Connection, *, keeps_alive: bool) -> None:
        """A connection is free, or has said that it will close."""
        self._in_flight -= 1
        if not keeps_alive:
            connection.abort()  # its loss brings a new one
        else:
            self._free(connection)

    def broke(self, connection: _Connection, row: int, error: int) -> None:
        """The request of a connection has ended without an answer."""
        self._in_flight -= 1
        if self._is_open:  # else it was we who hung up, and the request stays unfinished
            self.recorder.failed(row, error)
        connection.abort()

    def lost(self, connection: _Connection) -> None:
        """A connection is gone; another takes its place, as soon as the server lets it."""
        self._connections.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)
        if self._is_open:
            task = self._loop.create_task(self._reconnect())
            self._reconnecting.add(task)
            task.add_done_callback(self._reconnecting.discard)

    def _free(self, connection: _Connection) -> None:
        if self._waiting:
            self._write(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _write(self, connection: _Connection, row: int) -> None:
        self._in_flight += 1
        self._sent.append((row, connection))
        self.recorder.sent(row)
        connection.ask(row, self._requests.http(row))

    def _sweep(self) -> None:
        """Hang up on answers, and drop requests from the queue, that nobody would wait for any longer."""
        intended_ns, overdue_ns = self._requests.intended_ns, self.recorder.now_ns() - self._timeout_ns
        while self._waiting and intended_ns[self._waiting[0]] < overdue_ns:
            self._waiting.popleft()  # was never sent, and stays so
        while self._sent and intended_ns[self._sent[0][0]] < overdue_ns:
            row, connection = self._sent.popleft()
            if connection.row == row:
                connection.give_up(GAVE_UP)
        while self._sent and self._sent[0][1].row != self._sent[0][0]:  # has ended
            self._sent.popleft()
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)

    async def _connect(self) -> None:
        async with asyncio.timeout(_CONNECT_WITHIN_S):
            _, connection = await self._loop.create_connection(
                lambda: _Connection(self), self._host, self._port, ssl=self._tls
            )
        self.connected_total += 1
        self._is_refused = False
        self._connections.add(connection)
        self._free(connection)

    def _refuse(self) -> None:
        """Whoever asks now is told at once that there is no server, as any client would be."""
        self._is_refused = True
        while self._waiting:
            self.recorder.failed(self._waiting.popleft(), REFUSED)

    async def _reconnect(self) -> None:
        pause_s = _FIRST_RETRY_S
        while self._is_open:
            with suppress(OSError, TimeoutError):
                await self._connect()
                return
            if not self._connections:
                self._refuse()
            await asyncio.sleep(pause_s)
            pause_s = min(_LAST_RETRY_S, 2 * pause_s)


class _Connection(asyncio.Protocol):
    """One keep-alive connection, with at most one request on it: `row`."""

    __slots__ = ("_engine", "_first_ns", "_reader", "_transport", "row")

    def __init__(self, engine: RawEngine) -> None:
        self._engine = engine
        self._reader = ResponseReader()
        self._first_ns = NEVER
        self.row = _NO_ROW

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment] # TCP's is one

    def ask(self, row: int, request: bytes) -> None:
        self.row, self._first_ns = row, NEVER
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        recorder = self._engine.recorder
        now_ns = recorder.now_ns()
        if self.row == _NO_ROW:  # nobody asked
            self.abort()
            return
        if self._first_ns == NEVER:
            self._first_ns = now_ns
        try:
            response = self._reader.feed(data)
        except BadHttp:
            self.give_up(BAD_HTTP)
            return
        if response is None:
            return
        row, self.row = self.row, _NO_ROW
        recorder.answered(row, self._first_ns, now_ns, response.status, response.body)
        self._engine.answered(self, keeps_alive=response.keeps_alive)

    def give_up(self, error: int) -> None:
        """End the request that is on this connection, and the connection."""
        row, self.row = self.row, _NO_ROW
        self._engine.broke(self, row, error)

    def connection_lost(self, _error: Exception | None) -> None:
        if self.row != _NO_ROW:
            self.give_up(RESET)
        self._engine.lost(self)

    def abort(self) -> None:
        self._transport.abort()
