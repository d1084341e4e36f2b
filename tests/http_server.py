"""A whole server on a loopback socket, its event loop in a thread; and clients as blunt as a test needs them."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import msgpack  # type: ignore[import-untyped]
import uvloop

from router.assembly import build_app
from router.server import make_http

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping
    from email.message import Message
    from io import BufferedReader
    from typing import Self

    from router.assembly import App
    from router.config import Config
    from router.http.app import HttpServer

T = TypeVar("T")
PATIENCE_S = 20.0
PATH = "/v1/interactions"
JSON_TYPE = {"Content-Type": "application/json"}


class Reply(NamedTuple):
    """A complete answer."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int, code: str) -> str:
        """Check that this is a problem as the contract has it; returns its detail."""
        assert self.headers["Content-Type"] == "application/problem+json", (self.status, self.body)
        found = self.json()
        assert found.keys() <= {"type", "title", "status", "code", "detail"}
        assert (found["status"], found["code"]) == (self.status, code) == (status, code), found
        assert found["title"]
        assert "Traceback" not in found["detail"]
        if status >= 500:
            assert self.headers["X-Request-Dropped-Reason"] == code
        return str(found["detail"])


class Wire:
    """A socket that speaks whatever bytes it is given and understands HTTP answers."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def end(self) -> None:
        """Say that nothing more will be sent, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def makefile(self, _mode: str) -> BufferedReader:
        """For HTTPResponse: answers of one connection share one buffer."""
        return cast("BufferedReader", _Unclosed(self._file))

    def reply(self, method: str = "POST") -> Reply:
        """The next answer. Raises: HTTPException, OSError: there is none, or only half of one."""
        response = HTTPResponse(cast("socket.socket", self), method=method)
        response.begin()
        return Reply(response.status, response.headers, response.read())

    def line(self) -> bytes:
        return self._file.readline()

    def is_closed(self) -> bool:
        """Wait for the server to close; false if it says something instead."""
        try:
            return self._file.read(1) == b""
        except ConnectionError:
            return True


class _Unclosed:
    """A file that outlives the answers read from it."""

    def __init__(self, file: BufferedReader) -> None:
        self.read, self.readline, self.readinto = file.read, file.readline, file.readinto

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Running:
    """A started server."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: App, http: HttpServer, listener: asyncio.Server) -> None:
        self.app, self.http, self.listener = app, http, listener
        self._loop = loop
        self.port: int = listener.sockets[0].getsockname()[1]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        """One request on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def post(self, value: Any, headers: Mapping[str, str] | None = None, path: str = PATH) -> Reply:
        """POST something as JSON; bytes as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.ask("POST", path, body, {**JSON_TYPE, **(headers or {})})

    def decide(self, text: str, headers: Mapping[str, str] | None = None, /, **fields: Any) -> Any:
        """An answer that has to be a 200, decoded."""
        reply = self.post({"text": text, **fields}, headers)
        assert reply.status == 200, reply.body
        return reply.json()

    def wire(self) -> Wire:
        return Wire(self.port)


class LoopThread:
    """One event loop for the servers of a test session."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="test-servers", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    @contextmanager
    def serving(self, config: Config, *, allow_faults: bool = False, start: bool = True) -> Iterator[Running]:
        """A server; with `start` false, one that has not loaded its models yet."""
        running = self.run(_open(config, allow_faults=allow_faults, start=start))
        try:
            yield running
        finally:
            self.run(_close(running))


async def _open(config: Config, *, allow_faults: bool, start: bool) -> Running:
    app = build_app(config, allow_faults=allow_faults)
    http = make_http(app)
    http._kwargs["lingering_time"] = 0.1  # of aiohttp: how long the rest of a refused body is read
    listener = await asyncio.get_running_loop().create_server(http, "127.0.0.1", 0)
    if start:
        await app.start()
    return Running(asyncio.get_running_loop(), app, http, listener)


async def _close(running: Running) -> None:
    running.listener.close()
    running.http.pre_shutdown()
    await running.http.shutdown(0.1)
    await running.app.close()


def pack(value: Any) -> bytes:
    """MessagePack as a client's library writes it, not as ours does."""
    return cast("bytes", msgpack.packb(value))


def unpack(data: bytes) -> Any:
    return msgpack.unpackb(data)


def request(body: bytes, *headers: str, method: str = "POST", path: str = PATH, length: bool = True) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
