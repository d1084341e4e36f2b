"""The engine on aiohttp: another client that sends the same requests, as a cross-check of our own.

It costs several times the CPU time of the raw engine, and connects when a request needs it, in that request's time:
aiohttp has no other way. The only importer of aiohttp in this package.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from loadtest.errors import Unreachable
from loadtest.quantity import S
from loadtest.sample import BAD_HTTP, GAVE_UP, REFUSED, RESET

if TYPE_CHECKING:
    from loadtest.record import Recorder
    from loadtest.request import Requests

_CONNECT_WITHIN_S = 5.0
_OWN = {"host", "content-length"}  # aiohttp writes them
_NOT_OURS = ("Accept", "Accept-Encoding", "User-Agent")  # aiohttp would add them


class SessionEngine:
    """See engine/base.py; constructed as the raw engine is, with the same meanings."""

    def __init__(self, requests: Requests, recorder: Recorder, url: str, connections: int, timeout_ns: int) -> None:
        self._requests, self.recorder = requests, recorder
        self._url, self._connections, self._timeout_ns = url.rstrip("/"), connections, timeout_ns
        self._turn = asyncio.Semaphore(connections)
        self._tasks: set[asyncio.Task[None]] = set()
        self.waited_total = self.connected_total = 0

    @property
    def pending(self) -> int:
        return len(self._tasks)

    async def open(self) -> None:
        at = urlsplit(self._url)
        port = at.port or (443 if at.scheme == "https" else 80)
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                _, writer = await asyncio.open_connection(at.hostname, port)
        except OSError as error:  # TimeoutError is one
            raise Unreachable(f"{at.hostname}:{port}: {error or 'no connection in time'}; is the server up?") from error
        writer.close()
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._connected)
        trace.on_request_headers_sent.append(self._sent)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_WITHIN_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_OURS,
            auto_decompress=False,
            trace_configs=[trace],
        )

    def send(self, row: int) -> None:
        self.recorder.paced(row)
        self.waited_total += len(self._tasks) >= self._connections
        task = asyncio.get_running_loop().create_task(self._ask(row))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    async def _ask(self, row: int) -> None:
        """One request, from its turn to its end."""
        progress = SimpleNamespace(row=row, is_sent=False)
        left_ns = self._requests.intended_ns[row] + self._timeout_ns - self.recorder.now_ns()
        try:
            async with asyncio.timeout(left_ns / S), self._turn:
                await self._exchange(row, progress)
        except TimeoutError:
            if progress.is_sent:  # else it was never sent, and stays so
                self.recorder.failed(row, GAVE_UP)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            self.recorder.failed(row, REFUSED)
        except aiohttp.ClientResponseError:
            self.recorder.failed(row, BAD_HTTP)
        except aiohttp.ClientError:
            self.recorder.failed(row, RESET)

    async def _exchange(self, row: int, progress: SimpleNamespace) -> None:
        recorder = self.recorder
        path, headers, body = _parts(self._requests.http(row))
        url = URL(self._url + path, encoded=True)
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=progress
        ) as response:
            first_ns = recorder.now_ns()
            answer = await response.read()
            recorder.answered(row, first_ns, recorder.now_ns(), response.status, answer)

    async def _connected(self, *_: object) -> None:
        self.connected_total += 1

    async def _sent(self, _session: aiohttp.ClientSession, context: SimpleNamespace, _: object) -> None:
        progress = context.trace_request_ctx
        progress.is_sent = True
        self.recorder.sent(progress.row)


def _parts(request: bytes) -> tuple[str, dict[str, str], bytes]:
    """Path, headers and body of a rendered request: what the raw engine sends, and nothing else."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    named = (line.partition(": ") for line in lines)
    return first.split(" ")[1], {name: value for name, _, value in named if name.lower() not in _OWN}, body
