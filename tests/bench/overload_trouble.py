"""Troubles that the load tester knows nothing of: bad clients, a choked process, new models, dead collectors."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.bench.swaps import _activate
from tests.bench.traffic import unseen_requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from contextlib import AbstractAsyncContextManager

    from tests.bench.server_process import ServerProcess

_READERS, _READER_EVERY_S, _READER_BUFFER = 16, 0.1, 4_096
_LEAVE_EVERY_S, _LEAVE_AFTER_S = 0.01, 0.002
_CHOKE_S = 0.005
_BACKLOG = 128
_PAGE = b"GET /openapi.json HTTP/1.1\r\nHost: bench\r\n\r\n"


@asynccontextmanager
async def _beside(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def slow_readers(process: ServerProcess) -> AsyncIterator[None]:
    """Sixteen clients that ask for a page ten times a second each and never read an answer."""
    address = _address(process.url)
    readers = []
    for _ in range(_READERS):
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _READER_BUFFER)
        reader.setblocking(False)
        with suppress(BlockingIOError):
            reader.connect(address)
        readers.append(reader)

    async def ask() -> None:
        while True:
            await asyncio.sleep(_READER_EVERY_S)
            for reader in readers:
                with suppress(OSError):
                    reader.send(_PAGE)

    async with _beside(ask()):
        yield
    for reader in readers:
        reader.close()


@asynccontextmanager
async def leavers(process: ServerProcess) -> AsyncIterator[None]:
    """A hundred clients a second that send a request and break the connection 2 ms later."""
    host, port = _address(process.url)
    requests = unseen_requests(99)

    async def leave() -> None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.write(next(requests))
            await asyncio.sleep(_LEAVE_AFTER_S)
            writer.transport.abort()

    async def storm() -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(leave())
                await asyncio.sleep(_LEAVE_EVERY_S)

    async with _beside(storm()):
        yield


@asynccontextmanager
async def half_quota(process: ServerProcess) -> AsyncIterator[None]:
    """The process is stopped for 5 ms of every 10, as by a quota of half a core with that period."""

    async def choke() -> None:
        try:
            while True:
                os.kill(process.pid, signal.SIGSTOP)
                await asyncio.sleep(_CHOKE_S)
                os.kill(process.pid, signal.SIGCONT)
                await asyncio.sleep(_CHOKE_S)
        finally:
            os.kill(process.pid, signal.SIGCONT)

    async with _beside(choke()):
        yield


@asynccontextmanager
async def terminate(process: ServerProcess) -> AsyncIterator[None]:
    """SIGTERM."""
    os.kill(process.pid, signal.SIGTERM)
    yield


def swap_to(versions: Iterator[str]) -> Callable[[ServerProcess], AbstractAsyncContextManager[None]]:
    """The next version of the models is loaded, warmed up, tried on its canary texts, and takes over."""

    @asynccontextmanager
    async def swap(process: ServerProcess) -> AsyncIterator[None]:
        await asyncio.to_thread(_activate, process.url, next(versions))
        yield

    return swap


@contextmanager
def deaf_collector() -> Iterator[str]:
    """The URL of a collector of spans that lets everybody in and answers nobody."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(_BACKLOG)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces"


@contextmanager
def dead_collector() -> Iterator[str]:
    """The URL of one that is not there."""
    with deaf_collector() as url:
        pass
    yield url


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80
