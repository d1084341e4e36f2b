"""What every engine that uses sockets must do: the same cases, whichever client sends."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import uvloop

from budgets.clock import SystemClock
from loadtest.engine.raw import RawEngine
from loadtest.engine.session import SessionEngine
from loadtest.errors import Unreachable
from loadtest.record import Recorder
from loadtest.request import Requests
from loadtest.sample import BAD_ANSWER, BAD_HTTP, GAVE_UP, NEVER, NOTHING, REFUSED, RESET, RUNGS, empty
from loadtest.scenario.spec import TargetSpec
from tests.fabricated import MS, S, fabricate, scenario

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Engine = RawEngine | SessionEngine
    Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]

ANSWER = json.dumps({"rung": "small", "degraded": "none", "route": "cards", "decision_id": "0" * 31 + "7"}).encode()
PATIENCE_S = 20.0
COUNT = 12


def http(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Word", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Server:
    """Reads requests and does with each what the test says."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self.requests: list[tuple[bytes, bytes]] = []
        self.at_once = self.most_at_once = self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> str:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        self._listener.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                self.requests.append((head, await reader.readexactly(length)))
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    await self._handle(writer)
                finally:
                    self.at_once -= 1
        self._writers.discard(writer)
        writer.close()


class Bench(NamedTuple):
    """An engine that is open, and what it writes to."""

    engine: Engine
    recorder: Recorder
    samples: np.ndarray
    server: Server

    async def ended(self) -> None:
        """Wait until nothing is pending."""
        async with asyncio.timeout(PATIENCE_S):
            while self.engine.pending:
                await asyncio.sleep(0.005)


@pytest.fixture(params=[RawEngine, SessionEngine], ids=["raw", "aiohttp"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


class Setup:
    """Makes benches of one kind of engine."""

    def __init__(self, kind: type[Engine], path: Path) -> None:
        self._kind, self._path = kind, path

    @asynccontextmanager
    async def bench(self, handle: Handler, connections: int = 4, timeout_s: float = 10) -> AsyncIterator[Bench]:
        server = Server(handle)
        url = await server.start()
        target = TargetSpec(url=url, headers={"X-Tenant": "blue"})
        run = fabricate(self._path / "run", np.zeros(COUNT), intended_ns=np.zeros(COUNT), of=scenario(target=target))
        samples, clock = empty(COUNT), SystemClock()
        recorder = Recorder(samples, clock.now_ns)
        engine = self._kind(Requests(run), recorder, url, connections, round(timeout_s * S))
        await engine.open()
        recorder.origin_ns = clock.now_ns()
        try:
            yield Bench(engine, recorder, samples, server)
        finally:
            await engine.close()
            server.stop()
            await asyncio.sleep(0.02)  # let every connection hear that it is closed

    def one(self, handle: Handler, timeout_s: float = 10) -> Any:
        """What is written of one request."""

        async def main() -> Any:
            async with self.bench(handle, timeout_s=timeout_s) as bench:
                bench.engine.send(0)
                await bench.ended()
                assert bench.recorder.paced_total == 1
                return bench.samples[0].copy()

        return uvloop.run(main())


@pytest.fixture
def setup(kind: type[Engine], tmp_path: Path) -> Setup:
    return Setup(kind, tmp_path)


async def say(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def answer(writer: asyncio.StreamWriter) -> None:
    await say(writer, http(200, ANSWER))


def saying(data: bytes, *, then_close: bool = False) -> Handler:
    async def handle(writer: asyncio.StreamWriter) -> None:
        await say(writer, data)
        if then_close:
            writer.close()

    return handle


async def hang(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(PATIENCE_S)


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def test_an_answer_is_written_down(setup: Setup) -> None:
    row = setup.one(answer)
    assert row["status"] == 200
    assert RUNGS[row["rung"]] == "small"
    assert (row["decision_high"], row["decision_low"]) == (0, 7)
    assert 0 <= row["paced_ns"] <= row["sent_ns"] <= row["first_ns"] <= row["done_ns"] < PATIENCE_S * S


@pytest.mark.parametrize("status", [400, 429, 500, 503, 504])
def test_a_status_is_written_as_it_is(setup: Setup, status: int) -> None:
    row = setup.one(saying(http(status, b'{"status":1}')))
    assert row["status"] == status
    assert row["first_ns"] != NEVER


def test_a_redirect_is_not_followed(setup: Setup) -> None:
    assert setup.one(saying(http(307, b"", "Location: /else")))["status"] == 307


def test_a_200_that_is_no_answer_is_none(setup: Setup) -> None:
    assert setup.one(saying(http(200, b"<html>")))["status"] == BAD_ANSWER


@pytest.mark.parametrize(
    ("handle", "status"),
    [
        (reset, RESET),
        (saying(b"", then_close=True), RESET),
        (saying(http(200, ANSWER)[:-5], then_close=True), RESET),
        (saying(b"HTTP/1.1 200 ", then_close=True), RESET),
        (saying(b"220 smtp.example ESMTP\r\n\r\n"), BAD_HTTP),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), BAD_HTTP),
    ],
    ids=["reset", "closed", "half a body", "half a head", "no HTTP", "no length"],
)
def test_what_breaks_is_written_down(setup: Setup, handle: Handler, status: int) -> None:
    row = setup.one(handle)
    assert row["status"] == status
    assert row["sent_ns"] != NEVER
    assert row["done_ns"] >= row["sent_ns"]
    assert row["first_ns"] == NEVER


def test_an_answer_in_chunks_is_whole_at_its_last(setup: Setup) -> None:
    async def handle(writer: asyncio.StreamWriter) -> None:
        await say(writer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await say(writer, b"%x\r\n%b\r\n" % (10, ANSWER[:10]))
        await asyncio.sleep(0.05)
        await say(writer, b"%x\r\n%b\r\n0\r\n\r\n" % (len(ANSWER) - 10, ANSWER[10:]))

    row = setup.one(handle)
    assert (row["status"], RUNGS[row["rung"]]) == (200, "small")
    assert row["done_ns"] - row["first_ns"] > 30 * MS


def test_who_waits_too_long_hangs_up(setup: Setup) -> None:
    row = setup.one(hang, timeout_s=1)
    assert row["status"] == GAVE_UP
    assert S - MS <= row["done_ns"] < PATIENCE_S * S


def test_requests_wait_for_a_connection_and_none_is_left_out(setup: Setup) -> None:
    async def slowly(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        await answer(writer)

    async def main() -> None:
        async with setup.bench(slowly, connections=2) as bench:
            for row in range(COUNT):
                bench.engine.send(row)
            assert bench.engine.pending == COUNT
            await bench.ended()
            assert bench.server.most_at_once == 2
            assert bench.engine.waited_total == COUNT - 2
            samples = bench.samples
            assert (samples["status"] == 200).all()
            # Who came first is served first; but two connections may be free at once.
            assert (np.diff(samples["sent_ns"]) >= -5 * MS).all()
            assert samples["sent_ns"][-1] - samples["paced_ns"][-1] > 60 * MS
            assert bench.recorder.answered_total == bench.recorder.sent_total == COUNT

    uvloop.run(main())


def test_connections_are_kept(setup: Setup) -> None:
    async def main() -> None:
        async with setup.bench(answer, connections=1) as bench:
            for row in range(COUNT):
                bench.engine.send(row)
            await bench.ended()
            assert bench.engine.connected_total == 1
            assert (bench.samples["status"] == 200).all()

    uvloop.run(main())


def test_a_server_that_closes_gets_another_connection(setup: Setup) -> None:
    closing = saying(http(200, ANSWER, "Connection: close"), then_close=True)

    async def main() -> None:
        async with setup.bench(closing, connections=1) as bench:
            for row in range(3):
                bench.engine.send(row)
            await bench.ended()
            assert bench.engine.connected_total >= 3
            assert (bench.samples["status"][:3] == 200).all()

    uvloop.run(main())


def test_after_a_reset_the_next_request_is_sent(setup: Setup) -> None:
    async def main() -> None:
        async with setup.bench(reset, connections=1) as bench:
            for row in range(3):
                bench.engine.send(row)
            await bench.ended()
            assert (bench.samples["status"][:3] == RESET).all()
            assert bench.recorder.failed_total == 3

    uvloop.run(main())


def test_nobody_there_is_told_at_once(kind: type[Engine], tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", np.zeros(COUNT))

    async def main() -> None:
        engine = kind(Requests(run), Recorder(empty(COUNT), SystemClock().now_ns), "http://127.0.0.1:1", 2, S)
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1:"):
            await engine.open()

    uvloop.run(main())


def test_when_the_server_is_gone_requests_are_refused(setup: Setup) -> None:
    async def main() -> None:
        async with setup.bench(answer, timeout_s=1.5) as bench:
            bench.engine.send(0)
            await bench.ended()
            bench.server.stop()
            await asyncio.sleep(0.05)
            for row in (1, 2, 3):
                bench.engine.send(row)
            await bench.ended()
            assert bench.samples["status"][:4].tolist() == [200, REFUSED, REFUSED, REFUSED]
            assert (bench.samples["sent_ns"][1:4] == NEVER).all()
            assert (bench.samples["paced_ns"][1:4] != NEVER).all()

    uvloop.run(main())


def test_what_has_not_ended_when_the_engine_closes_stays_unfinished(setup: Setup) -> None:
    async def main() -> tuple[Recorder, np.ndarray]:
        async with setup.bench(hang, connections=1) as bench:
            bench.engine.send(0)
            bench.engine.send(1)
            while not bench.server.requests:
                await asyncio.sleep(0.005)
        return bench.recorder, bench.samples

    recorder, samples = uvloop.run(main())
    assert (samples["status"] == NOTHING).all()
    assert (samples["done_ns"] == NEVER).all()
    assert (samples["sent_ns"][:2] != NEVER).tolist() == [True, False]
    assert recorder.failed_total == recorder.answered_total == 0


def test_both_send_the_same_request(tmp_path: Path) -> None:
    async def main(setup: Setup) -> tuple[bytes, bytes]:
        async with setup.bench(answer) as bench:
            bench.engine.send(5)
            await bench.ended()
            return bench.server.requests[0]

    heads, bodies = zip(
        *(uvloop.run(main(Setup(kind, tmp_path / kind.__name__))) for kind in (RawEngine, SessionEngine)), strict=True
    )
    assert bodies[0] == bodies[1]
    first, second = (sorted(line for line in head.split(b"\r\n") if not line.startswith(b"Host")) for head in heads)
    assert first == second
    assert b"X-Tenant: blue" in first
