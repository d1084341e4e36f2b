"""From a freed agent to the oldest eligible task on his screen: many agents signed in, many tasks waiting.

    python -m tests.bench.assign_offer [--agents 10000] [--waiting 20000] [--rounds 2000] [--json]

A real server, its journal on disk. Some agents hold a stream; one after the other completes what he has (no wrap-up).
The time runs from just before his request is sent until the offer is read from his stream: two passages of the network,
the engine, and a flush of the disk are in it. Each offer must be the oldest task that the agent may have.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
import uvloop

from tests.bench import report
from tests.bench.assign_server import Server

if TYPE_CHECKING:
    import argparse

_QUEUES, _WATCHED, _AT_ONCE = 50, 20, 64
_GOAL_MS, _PATIENCE_S = 50.0, 3.0
QUEUES_TOML = "[lease]\nttl_s = 600\n[channels.chat]\nwrap_s = 0\noffer_s = 900\n" + "".join(
    f"[queues.{name}]\nmost = 1000000\ntarget_s = 86400\n"
    for name in ("cards", "humans", "desk", *(f"q{number}" for number in range(_QUEUES)))
)


class Center:
    """The clients' side of it."""

    def __init__(self, http: aiohttp.ClientSession, base: str, rng: Random) -> None:
        self._http, self._base, self._rng = http, base, rng
        self._streams: dict[str, aiohttp.ClientWebSocketResponse] = {}
        self._holds: dict[str, str] = {}
        self._queues: dict[str, tuple[str, ...]] = {}
        self._created: dict[str, list[str]] = {f"q{number}": [] for number in range(_QUEUES)}
        self.wrong: list[str] = []

    async def ask(self, method: str, path: str, value: Any = None) -> Any:
        async with self._http.request(method, f"{self._base}{path}", json=value) as answer:
            body = await answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {body[:300]!r}")
            return json.loads(body)

    async def each(self, count: int, job: Any) -> None:
        """So many jobs, some at once."""
        numbers = iter(range(count))

        async def work() -> None:
            for number in numbers:
                await job(number)

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))

    async def sign_in(self, number: int) -> None:
        name = f"a{number}"
        self._queues[name] = tuple(f"q{each}" for each in self._rng.sample(range(_QUEUES), 3))
        wanted = {"queues": self._queues[name], "channels": {"chat": {"most": 1}}, "capacity": 1}
        await self.ask("PUT", f"/v1/resources/{name}", wanted)
        await self.ask("POST", f"/v1/resources/{name}/presence", {"presence": "available", "session": f"s-{name}"})

    async def create(self, number: int) -> None:
        queue = f"q{self._rng.randrange(_QUEUES)}"
        task = await self.ask("POST", "/v1/tasks", {"id": f"t{number:07d}", "queue": queue})
        self._created[queue].append(task["id"])
        for offer in task["offers"]:  # everybody else is busy with something, and nobody with nothing
            await self.ask("POST", f"/v1/offers/{offer['id']}/accept")
            self._created[queue].remove(task["id"])
            self._holds[offer["resource_id"]] = task["id"]

    async def watch(self, name: str) -> None:
        ws = self._base.replace("http", "ws")
        stream = await self._http.ws_connect(f"{ws}/v1/agents/{name}/stream?session=s-{name}")
        await stream.receive()  # hello
        self._streams[name] = stream

    async def round(self, name: str, number: int) -> float:
        """One agent completes and is offered the next. Returns ms."""
        began_ns = time.monotonic_ns()
        done = asyncio.ensure_future(self.ask("POST", f"/v1/tasks/{self._holds[name]}/complete", {"outcome": "done"}))
        told: dict[str, Any] = {"type": ""}
        while told["type"] != "offer":
            told = json.loads((await self._streams[name].receive(timeout=_PATIENCE_S)).data)
        took_ms = (time.monotonic_ns() - began_ns) / 1e6
        await done
        task, offer = told["task"], told["offer"]
        # Ids are given in the order of asking, which is that of arriving but for those on the way at the same time.
        oldest = min(self._created[queue][0] for queue in self._queues[name] if self._created[queue])
        if int(task["id"][1:]) - int(oldest[1:]) > 2 * _AT_ONCE:
            self.wrong.append(f"{name} was offered {task['id']}, but {oldest} is older")
        self._created[task["queue"]].remove(task["id"])
        await self.ask("POST", f"/v1/offers/{offer['id']}/accept")
        self._holds[name] = task["id"]
        await self.create(number)  # in place of it
        return took_ms

    def busy(self) -> list[str]:
        return sorted(self._holds)


async def measure(base: str, given: argparse.Namespace) -> tuple[list[float], list[str]]:
    """Times in ms, and what was not the oldest."""
    rng, agents, waiting, rounds = Random(given.seed), given.agents, given.waiting, given.rounds
    connector = aiohttp.TCPConnector(limit=_AT_ONCE + _WATCHED + 8)
    async with aiohttp.ClientSession(connector=connector) as http:
        center = Center(http, base, rng)
        began_s = time.monotonic()
        await center.each(agents, center.sign_in)
        report.pace(f"{agents:,} agents signed in", began_s)
        await center.each(agents + waiting, center.create)
        report.pace(f"{agents + waiting:,} tasks created", began_s)
        watched = center.busy()[:_WATCHED]
        for name in watched:
            await center.watch(name)
        took_ms = [await center.round(watched[at % len(watched)], agents + waiting + at) for at in range(rounds)]
        return took_ms, center.wrong


def main() -> None:
    """Sign in, fill the queues, then round after round."""
    parser = report.parser(__doc__)
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--waiting", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2_000)
    given: argparse.Namespace = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder, "project"), QUEUES_TOML) as server:
        base = f"http://127.0.0.1:{server.port}"
        took_ms, wrong = uvloop.run(measure(base, given))
    took_ms.sort()
    at = {share: took_ms[min(len(took_ms) - 1, int(share * len(took_ms)))] for share in (0.5, 0.9, 0.99, 0.999)}
    report.table(("agents", "waiting", "rounds", *(f"p{share * 100:g} ms" for share in at)),
                 [(given.agents, given.waiting, len(took_ms), *at.values())])  # fmt: skip
    print(*wrong[:10], sep="\n")
    is_met = report.verdict(f"freed to offered: p99 <= {_GOAL_MS:g} ms", is_met=at[0.99] <= _GOAL_MS)
    is_met &= report.verdict("each was offered the oldest", is_met=not wrong)
    report.write_json("assign-offer", given, {"ms": {str(share): ms for share, ms in at.items()}, "wrong": wrong})
    raise SystemExit(not is_met)


if __name__ == "__main__":
    main()
