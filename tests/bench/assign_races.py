"""Accepts that race: over HTTP and WebSocket, from several processes, judged by what the clients were told.

    python -m tests.bench.assign_races [--accepts 1000000] [--processes 3] [--agents 32] [--json]

Each task is offered to three agents at once. For each offer two processes act at the same instant: the one that holds
the agent's stream, and another one over HTTP. They accept (both), decline, cancel the task, hang up, or do nothing, so
that the offer expires. Nobody may be told twice that he has a task, and no agent may hold more than three: from his 200
until a request that ends the task was sent. At the end the journal is played again, with a look at every step.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import msgspec
import uvloop

from tests.bench import report
from tests.bench.assign_server import MOST, Server, read_journal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
    from multiprocessing.synchronize import Barrier

_IN_FLIGHT = 40
"""Tasks of one process that have not ended."""
_ACCEPTS = 2.5
"""Of a task, at least on average: 2.8 were measured."""
_GONE = (404, 409, 410, 412)
_ENDS = ("task.completed", "task.canceled")


class Accepted(NamedTuple):
    """An answer that says: it is yours."""

    task_id: str
    leg: int
    resource_id: str
    at_ns: int


class Seen(msgspec.Struct):
    """What one client process did and was told."""

    accepted: list[Accepted] = []
    let_go: list[tuple[str, int]] = []
    """Task, and when a request that ends it was sent."""
    answers: dict[str, int] = msgspec.field(default_factory=Counter)
    strange: list[str] = []


class Verdict(msgspec.Struct, frozen=True):
    """What the clients' answers say together."""

    accepts: int
    tasks: int
    double: list[str]
    over: list[str]
    most_held: int


class Clients:
    """One process: streams of some agents, and HTTP for those of another process."""

    def __init__(self, port: int, number: int, processes: int, agents: Sequence[str], quota: int) -> None:
        self.seen = Seen()
        self._url = f"http://127.0.0.1:{port}"
        self._mine = agents[number::processes]
        self._theirs = set(agents[(number + 1) % processes :: processes])
        self._rng = Random(number)
        self._name = f"p{number}"
        self._quota = quota
        self._processes = processes
        self._ended = 0
        self._open: set[str] = set()
        self._wake = asyncio.Event()
        self._watches = asyncio.Event()
        self._work: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession

    async def run(self, ready: Barrier) -> Seen:
        """Create all, once everybody hears what happens, and see all of them end."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(self._url, connector=connector) as self._session:
            watching = asyncio.create_task(self._watch())
            streams = [asyncio.create_task(self._stream(agent)) for agent in self._mine]
            await self._watches.wait()
            await asyncio.get_running_loop().run_in_executor(None, ready.wait, 60)
            await self._create_all()
            while self._ended < self._quota * self._processes:  # the others need our agents
                await self._changed()
            for task in (watching, *streams, *self._work):
                task.cancel()
            await asyncio.gather(watching, *streams, *self._work, return_exceptions=True)
        return self.seen

    async def _changed(self) -> None:
        """Some task of ours has ended."""
        self._wake.clear()
        async with asyncio.timeout(120):
            await self._wake.wait()

    async def _create_all(self) -> None:
        for number in range(self._quota):
            while len(self._open) >= _IN_FLIGHT:
                await self._changed()
            task_id = f"{self._name}-{number}"
            self._open.add(task_id)
            self._spawn(self._post("/v1/tasks", {"queue": "race", "id": task_id}))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.seen.strange.append(repr(task.exception()))

    async def _watch(self) -> None:
        """Every offer of every process, and the end of tasks."""
        cursor = ""
        while True:
            path = f"/v1/supervisor/stream?topics=offer,task&cursor={cursor}"
            with suppress(aiohttp.ClientError):
                async with self._session.ws_connect(path, max_msg_size=0) as ws:
                    async for message in ws:
                        told = json.loads(message.data)
                        cursor = told.get("cursor") or cursor
                        self._watches.set()
                        if told["type"] == "event":
                            self._hear(told["event"])
            self.seen.answers["supervisor stream again"] += 1

    def _hear(self, event: Any) -> None:
        if event["type"] in _ENDS:
            self._open.discard(event["subject"])
            self._ended += 1
            self._wake.set()
        elif event["type"] == "offer.issued" and event["data"]["resource_id"] in self._theirs:
            self._spawn(self._race(event["data"]["offer_id"], event["subject"], event["data"]["resource_id"]))

    async def _race(self, offer_id: str, task_id: str, resource_id: str) -> None:
        """Over HTTP, for an agent whose stream is elsewhere."""
        roll = self._rng.random()
        if roll < 0.75:
            status, body = await self._post(f"/v1/offers/{offer_id}/accept", {"resource_id": resource_id})
            await self._accepted("http accept", status, body, resource_id)
        elif roll < 0.85:
            await self._post(f"/v1/offers/{offer_id}/decline", {"resource_id": resource_id})
        elif roll < 0.9:
            self.seen.let_go.append((task_id, time.monotonic_ns()))
            await self._post(f"/v1/tasks/{task_id}/cancel", {"reason": "abandoned"})

    async def _post(self, path: str, value: Any) -> tuple[int, Any]:
        async with self._session.post(path, json=value) as answer:
            body = await answer.json(content_type=None)
            kind = path.rsplit("/", 1)[1]
            self._count(f"http {kind}", answer.status, body)
            return answer.status, body

    def _count(self, what: str, status: int, body: Any) -> None:
        self.seen.answers[f"{what} {status}"] += 1
        if status not in {200, 201, *_GONE}:
            self.seen.strange.append(f"{what} {status} {body}")

    async def _accepted(self, what: str, status: int, body: Any, resource_id: str) -> None:
        """Told that it is his: note it, and be done with it at once or in a moment."""
        self.seen.answers["accepts"] += what != "hello"
        if status != 200:
            return
        task = body["task"]
        held = None if task is None else task["assignment"]
        if held is None or held["resource_id"] != resource_id or task["state"] != "assigned":
            self.seen.answers[f"{what}, ended since"] += 1  # a repeat, after the other one has completed it
            return
        self.seen.accepted.append(Accepted(task["id"], task["leg"], resource_id, time.monotonic_ns()))
        await asyncio.sleep(self._rng.choice((0, 0, 0.002)))  # the length of a talk
        self.seen.let_go.append((task["id"], time.monotonic_ns()))
        await self._post(f"/v1/tasks/{task['id']}/complete", {})

    async def _stream(self, agent: str) -> None:
        """An agent's end, which is cut now and then."""
        while True:
            with suppress(aiohttp.ClientError):
                async with self._session.ws_connect(
                    f"/v1/agents/{agent}/stream?session=s-{agent}", max_msg_size=0
                ) as ws:
                    await ws.send_json({"type": "presence", "presence": "available"})
                    async for message in ws:
                        if not await self._hear_stream(ws, agent, json.loads(message.data)):
                            break
            self.seen.answers["agent stream again"] += 1

    async def _hear_stream(self, ws: aiohttp.ClientWebSocketResponse, agent: str, told: Any) -> bool:
        """False: hang up."""
        if told["type"] == "hello":
            for task in told["tasks"]:  # whose acceptance he may not have heard of any more
                self._spawn(self._accepted("hello", 200, {"task": task}, agent))
            for each in told["offers"]:
                await self._answer(ws, each["offer"]["id"])
        elif told["type"] == "offer":
            return await self._answer(ws, told["offer"]["id"])
        elif told["type"] == "reply" and str(told["ref"]).startswith("accept"):
            self._count("ws accept", told["status"], told["body"])
            self._spawn(self._accepted("ws accept", told["status"], told["body"], agent))
        elif told["type"] == "reply" and told["ref"]:
            self._count("ws decline", told["status"], told["body"])
        return True

    async def _answer(self, ws: aiohttp.ClientWebSocketResponse, offer_id: str) -> bool:
        roll = self._rng.random()
        if roll < 0.85:
            await ws.send_json({"type": "accept", "ref": f"accept {offer_id}"[:64], "offer_id": offer_id})
        elif roll < 0.96:
            await ws.send_json({"type": "decline", "ref": "decline", "offer_id": offer_id})
        return roll < 0.99


def _client(port: int, number: int, ready: Barrier, agents: Sequence[str], quota: int, out: Path) -> None:
    async def run() -> Seen:
        return await Clients(port, number, ready.parties, agents, quota).run(ready)

    out.write_bytes(msgspec.msgpack.encode(uvloop.run(run())))


def judge(seen: Iterable[Seen]) -> Verdict:
    """From the outside: what was promised to whom, and for how long."""
    owners: dict[tuple[str, int], set[str]] = defaultdict(set)
    began: dict[tuple[str, str], int] = {}
    ended: dict[str, int] = {}
    accepts = 0
    for each in seen:
        accepts += each.answers.get("accepts", 0)
        for task_id, at_ns in each.let_go:
            ended[task_id] = min(at_ns, ended.get(task_id, at_ns))
        for got in each.accepted:
            owners[got.task_id, got.leg].add(got.resource_id)
            key = got.task_id, got.resource_id
            began[key] = min(got.at_ns, began.get(key, got.at_ns))
    moves: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for (task_id, agent), at_ns in began.items():
        until_ns = ended.get(task_id, 1 << 62)
        if until_ns > at_ns:
            moves[agent] += [(at_ns, 1, task_id), (until_ns, -1, task_id)]
    over, most = [], 0
    for agent, changes in moves.items():
        held = 0
        for _, change, task_id in sorted(changes):
            held += change
            most = max(most, held)
            if held > MOST:
                over.append(f"{agent} holds {held} with {task_id}")
    double = [f"{task} leg {leg}: {sorted(names)}" for (task, leg), names in owners.items() if len(names) > 1]
    return Verdict(accepts, len({task for task, _ in owners}), double, over, most)


def race(folder: Path, accepts: int, *, processes: int = 3, agents: int = 32) -> tuple[Verdict, list[Seen], Server]:
    """Tasks until there were about so many accepts; the server has stopped when it returns."""
    quota = max(1, int(accepts / _ACCEPTS) // processes)
    context = multiprocessing.get_context("spawn")
    with Server(folder / "project") as server:
        names = server.sign_in(agents)
        ready = context.Barrier(processes)
        outs = [folder / f"seen-{number}" for number in range(processes)]
        clients = [
            context.Process(target=_client, args=(server.port, number, ready, names, quota, outs[number]))
            for number in range(processes)
        ]
        for client in clients:
            client.start()
        began_s = time.monotonic()
        while any(client.is_alive() for client in clients):
            clients[0].join(20)
            if clients[0].is_alive():
                report.pace(f"racing; {server.ask('GET', '/v1/queues/race')['waiting']} tasks wait", began_s)
            else:
                for client in clients:
                    client.join(120)
        assert [client.exitcode for client in clients] == [0] * processes
    seen = [msgspec.msgpack.decode(out.read_bytes(), type=Seen) for out in outs]
    return judge(seen), seen, server


def main() -> None:
    """Race, judge, and play the journal again."""
    parser = report.parser(__doc__)
    parser.add_argument("--accepts", type=int, default=40_000)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--agents", type=int, default=32)
    given: argparse.Namespace = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        began_s = time.monotonic()
        verdict, seen, server = race(Path(name), given.accepts, processes=given.processes, agents=given.agents)
        report.pace("raced", began_s)
        journal = read_journal(server.folder)
    answers = sum((Counter(each.answers) for each in seen), Counter())
    report.table(("answer", "times"), sorted(answers.items()))
    strange = [text for each in seen for text in each.strange]
    print(f"{verdict.accepts:,} accepts of {verdict.tasks:,} tasks; an agent held {verdict.most_held} at most")
    print(*verdict.double[:5], *verdict.over[:5], *strange[:5], journal.broken[:2_000], sep="\n")
    met = [
        report.verdict("no task was given to two agents", is_met=not verdict.double),
        report.verdict(f"no agent held more than {MOST}", is_met=not verdict.over),
        report.verdict(
            f"no invariant is broken in the {journal.commands:,} commands of the journal", is_met=not journal.broken
        ),
        report.verdict("a recovery gives the state of a replay", is_met=journal.is_equal),
        report.verdict("every answer was one that can be", is_met=not strange),
    ]
    report.write_json("assign-races", given, {"verdict": verdict, "answers": answers, "strange": strange})
    raise SystemExit(not all(met))


if __name__ == "__main__":
    main()
