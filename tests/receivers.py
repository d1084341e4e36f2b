"""A receiver of webhooks on a loopback socket, by aiohttp's server, on the event loop of the servers under test."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http_server import LoopThread

PATIENCE_S = 15.0


class Got(NamedTuple):
    """One request, as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """`answer` makes the answer to a request; whatever was asked is in `got`."""

    def __init__(self, thread: LoopThread) -> None:
        self.got: list[Got] = []
        self.answer: Callable[[Got], web.Response] = lambda _: web.Response(status=204)
        self._thread = thread
        self.port: int = thread.run(self._open())

    async def _open(self) -> int:
        self._server = web.Server(self._take, access_log=None)
        self._listener = await asyncio.get_running_loop().create_server(self._server, "127.0.0.1", 0)
        return int(self._listener.sockets[0].getsockname()[1])

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        got = Got(request.method, request.raw_path, headers, await request.read())
        self.got.append(got)
        return self.answer(got)

    def close(self) -> None:
        async def close() -> None:
            self._listener.close()
            await self._server.shutdown(0.1)

        self._thread.run(close())

    def wait(self, is_enough: Callable[[list[Got]], bool]) -> list[Got]:
        """Until enough has come; fails when it doesn't."""
        until = time.monotonic() + PATIENCE_S
        while not is_enough(self.got):
            assert time.monotonic() < until, [each.body for each in self.got]
            time.sleep(0.01)
        return list(self.got)
