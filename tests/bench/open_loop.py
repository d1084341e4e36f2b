"""A small load generator: a precomputed schedule that does not wait for answers, or as fast as answers come.

    python -m tests.bench.open_loop --url http://127.0.0.1:8080 --rate 200 --seconds 10

Open loop: requests are due at Poisson times of a seed and each latency counts from when its request was *due*, so that
a stall of the server shows in every request that it delays. How late the generator itself was is kept apart.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple, Self, cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from tests.bench import report
from tests.bench.traffic import unseen_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NS_PER_S = 1_000_000_000
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_GRACE_S = 5.0
_CONNECT_AGAIN_S = 0.02


class Reply(NamedTuple):
    """One request's fate; status 0: the connection broke before an answer. Times are monotonic ns."""

    due_ns: int
    sent_ns: int
    done_ns: int
    status: int
    head: bytes
    body: bytes

    @property
    def latency_ns(self) -> int:
        return self.done_ns - self.due_ns

    @property
    def late_ns(self) -> int:
        """How late the generator was: busy, or waiting for a free connection."""
        return self.sent_ns - self.due_ns


class BudgetReport(msgspec.Struct):
    elapsed_ms: float
    total_ms: float
    stages_ms: dict[str, float]


class Answer(msgspec.Struct):
    """What the benches read of an answer."""

    decision_id: str
    route: str
    rung: str
    degraded: str
    budget: BudgetReport


decode = msgspec.json.Decoder(Answer).decode


class _Connection(asyncio.Protocol):
    """Keep-alive HTTP/1.1, one request at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._transport: asyncio.Transport
        self._buffer = b""
        self._due_ns = self._sent_ns = 0
        self._is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._client.is_free(self)

    def send(self, due_ns: int, request: bytes) -> None:
        self._due_ns, self._sent_ns, self._is_waiting = due_ns, time.monotonic_ns(), True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        found = _LENGTH.search(head) if end else None
        if found is None or len(body) < int(found[1]):
            return
        self._buffer = b""
        self._tell(int(head[9:12]), head, body)
        if b"connection: close" not in head.lower():
            self._client.is_free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_waiting:
            self._tell(0, b"", b"")
        self._client.lost(self)

    def close(self) -> None:
        self._transport.close()

    def _tell(self, status: int, head: bytes, body: bytes) -> None:
        self._is_waiting = False
        self._client.on_reply(Reply(self._due_ns, self._sent_ns, time.monotonic_ns(), status, head, body))


class Client:
    """A pool of connections. A request that finds none free waits for one, which is part of its latency."""

    def __init__(self, url: str, connections: int, on_reply: Callable[[Reply], None]) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._free: list[_Connection] = []
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._wanted = connections
        self._tell = on_reply
        self._open: set[_Connection] = set()
        self._closing = False
        self.unanswered = 0

    async def __aenter__(self) -> Self:
        for _ in range(self._wanted):
            await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        until_s = time.monotonic() + _GRACE_S
        while self.unanswered and time.monotonic() < until_s:
            await asyncio.sleep(0.01)
        self._closing = True
        for connection in tuple(self._open):
            connection.close()
        await asyncio.sleep(0)

    def send(self, due_ns: int, request: bytes) -> None:
        self.unanswered += 1
        if self._free:
            self._free.pop().send(due_ns, request)
        else:
            self._waiting.append((due_ns, request))

    def is_free(self, connection: _Connection) -> None:
        self._open.add(connection)
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._free.append(connection)

    def on_reply(self, reply: Reply) -> None:
        self.unanswered -= 1
        self._tell(reply)

    def lost(self, connection: _Connection) -> None:
        """Connect again, for as long as it takes: the server may be restarting."""
        self._open.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if not self._closing:
            asyncio.get_running_loop().call_later(_CONNECT_AGAIN_S, self._connect_again)

    def _connect_again(self) -> None:
        if not self._closing:
            task = asyncio.ensure_future(self._connect())
            task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None and not self._closing:
            asyncio.get_running_loop().call_later(_CONNECT_AGAIN_S, self._connect_again)

    async def _connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: _Connection(self), self._host, self._port)


async def open_loop(  # noqa: PLR0917 - what a load is
    url: str,
    requests: Iterator[bytes],
    rate: float,
    seconds: float,
    on_reply: Callable[[Reply], None],
    connections: int = 64,
    seed: int = 1,
) -> None:
    """Send `rate` requests a second, at Poisson times, whatever becomes of them."""
    rng = random.Random(seed)
    async with Client(url, connections, on_reply) as client:
        due_ns = time.monotonic_ns()
        end_ns = due_ns + int(seconds * NS_PER_S)
        while (due_ns := due_ns + int(rng.expovariate(rate) * NS_PER_S)) < end_ns:
            request = next(requests)
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                # Timers have a grain of 1 ms; the rest of the way is spun, which others' callbacks may interleave.
                await asyncio.sleep((left_ns - 1_500_000) / 1e9 if left_ns > 2_500_000 else 0)
            client.send(due_ns, request)


async def closed_loop(
    url: str, requests: Iterator[bytes], seconds: float, on_reply: Callable[[Reply], None], connections: int = 16
) -> None:
    """Keep every connection busy: the next request goes out when an answer has come in."""
    end_ns = time.monotonic_ns() + int(seconds * NS_PER_S)

    def again(reply: Reply) -> None:
        on_reply(reply)
        if reply.done_ns < end_ns:
            client.send(time.monotonic_ns(), next(requests))

    async with Client(url, connections, again) as client:
        for _ in range(connections):
            client.send(time.monotonic_ns(), next(requests))
        await asyncio.sleep(seconds)


def quantiles_ms(values_ns: list[int], *shares: float) -> list[float]:
    """Exact sample quantiles in ms."""
    ordered = sorted(values_ns)
    return [ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6 for share in shares]


def main() -> None:
    """Load a server that runs already."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--url", default="http://127.0.0.1:8080")
    arguments.add_argument("--rate", type=float, default=200)
    arguments.add_argument("--seconds", type=float, default=10)
    given = arguments.parse_args()
    replies: list[Reply] = []
    requests = unseen_requests(given.seed)
    uvloop.run(open_loop(given.url, requests, given.rate, given.seconds, replies.append, seed=given.seed))
    kinds = Counter(_kind(reply) for reply in replies)
    report.table(("answer", "count"), [(kind, str(count)) for kind, count in kinds.most_common()])
    shares = (0.5, 0.99, 0.999, 1.0)
    rows = [
        ("latency from when it was due", *quantiles_ms([reply.latency_ns for reply in replies], *shares)),
        ("of it the generator's lateness", *quantiles_ms([reply.late_ns for reply in replies], *shares)),
    ]
    report.table(("ms", "p50", "p99", "p99.9", "max"), rows)
    report.write_json("open_loop", given, {"answers": kinds, "ms": rows})


def _kind(reply: Reply) -> str:
    if reply.status != 200:
        return f"status {reply.status}"
    answer = decode(reply.body)
    return f"200 {answer.rung}, degraded: {answer.degraded}"


if __name__ == "__main__":
    main()
