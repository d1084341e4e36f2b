"""A TCP proxy that makes the network bad on demand: `python -m loadtest.fault.proxy HOST PORT`.

A process of its own, so that it takes no time from the generator. It prints its port, then reads faults from its
standard input, one JSON object a line (`link.ProxyFault`), and answers each with `ok` or `error: …`. It ends when its
standard input does.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
from typing import Final, cast

import msgspec
import numpy as np
import uvloop

from loadtest.fault.link import END, NO_FAULT, Link, ProxyFault
from loadtest.quantity import S

_HOST = "127.0.0.1"
_CONNECT_S: Final = 10.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST and drops what is unsent
_BACKLOG: Final = 1_024


class Proxy:
    """The connections that go through, and what is wrong with them all."""

    def __init__(self, host: str, port: int, rng: np.random.Generator) -> None:
        self.host, self.port, self.rng = host, port, rng
        self.fault = NO_FAULT
        self.sides: set[Side] = set()
        self.opening: set[asyncio.Task[None]] = set()

    def accept(self) -> Side:
        """A protocol for a connection from the client, which opens the one to the server."""
        client, server = Side(self), Side(self)
        client.peer, server.peer = server, client
        client.opens_peer = True
        return client

    def set(self, fault: ProxyFault) -> None:
        self.fault = fault
        for side in tuple(self.sides):
            side.link.set(fault, time.monotonic_ns())
            side.pump()


class Side(asyncio.Protocol):
    """One of the two ends of a connection; its link holds what this end has sent to the other."""

    peer: Side

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.link = Link(proxy.fault, proxy.rng)
        self.opens_peer = False
        self._transport: asyncio.Transport | None = None
        self._is_lost = self._is_crowded = self._is_paused = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._proxy.sides.add(self)
        self.link.set(self._proxy.fault, time.monotonic_ns())  # it may have changed while this end was opened
        if self.opens_peer:
            task = self._loop.create_task(self._open_peer())
            self._proxy.opening.add(task)
            task.add_done_callback(self._proxy.opening.discard)
        elif self.peer._is_lost:  # noqa: SLF001 - the client left before the server had answered the door
            self._transport.close()
        else:
            self.peer.pump()

    async def _open_peer(self) -> None:
        proxy = self._proxy
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._loop.create_connection(lambda: self.peer, proxy.host, proxy.port)
        except OSError:  # TimeoutError is one
            self.reset()

    def data_received(self, data: bytes) -> None:
        if self.link.receive(data, time.monotonic_ns()):
            self.pump()
        else:
            self.reset()
            self.peer.reset()

    def eof_received(self) -> bool:
        self.link.receive(END, time.monotonic_ns())
        self.pump()
        return True  # the other direction stays open

    def pause_writing(self) -> None:
        self._is_crowded = True

    def resume_writing(self) -> None:
        self._is_crowded = False
        self.peer.pump()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        if error is not None:
            self.peer.reset()
        elif not self.peer._is_lost:  # noqa: SLF001 - its other half
            self.link.receive(END, time.monotonic_ns())
            self.pump()
        self._leave_if_idle()

    def reset(self) -> None:
        """Break this end with a TCP reset, now."""
        if self._transport is None or self._is_lost:
            self._is_lost = True
            return
        connection: socket.socket = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def pump(self) -> None:
        """Hand over what may leave, and come back when more may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        out = self.peer._transport  # noqa: SLF001 - its other half
        if out is None or self.peer._is_crowded:  # noqa: SLF001
            self._hold_back()
            return
        now_ns = time.monotonic_ns()
        self._write(out, self.link.due(now_ns))
        if (next_ns := self.link.next_ns()) is not None:
            self._timer = self._loop.call_later(max(0, next_ns - now_ns) / S, self.pump)
        self._hold_back()
        self._leave_if_idle()

    def _write(self, out: asyncio.Transport, packets: list[bytes]) -> None:
        if not packets or self.peer._is_lost:  # noqa: SLF001
            return
        if data := b"".join(packets):
            out.write(data)
        if packets[-1] == END:
            if self._is_lost:
                out.close()
            elif out.can_write_eof():
                out.write_eof()

    def _hold_back(self) -> None:
        """Let this end's sender wait while its link is full."""
        if self._transport is None or self._is_lost or self._is_paused == self.link.is_full:
            return
        self._is_paused = self.link.is_full
        (self._transport.pause_reading if self._is_paused else self._transport.resume_reading)()

    def _leave_if_idle(self) -> None:
        if self._is_lost and (self.link.is_empty or self.peer._is_lost):  # noqa: SLF001
            self._proxy.sides.discard(self)
            if self._timer is not None:
                self._timer.cancel()


async def serve(host: str, port: int, seed: int) -> None:
    """Run until the standard input ends."""
    proxy = Proxy(host, port, np.random.default_rng(seed))
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(proxy.accept, _HOST, 0, backlog=_BACKLOG)
    print(listener.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - it is what the parent reads
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        try:
            proxy.set(msgspec.json.decode(line, type=ProxyFault))
        except msgspec.DecodeError as error:
            print(f"error: {error}", flush=True)  # noqa: T201
        else:
            print("ok", flush=True)  # noqa: T201
    listener.close()


def main(host: str, port: str, seed: str = "1") -> None:
    uvloop.run(serve(host, int(port), int(seed)))


if __name__ == "__main__":
    main(*sys.argv[1:])
