"""kill -9 of a server under load of commands, again and again on one project, and what its clients know afterwards.

    python -m tests.bench.assign_kills [--kills 200] [--open 100000] [--json]

What was acknowledged before a kill must be there after it: each created task, each acceptance, each end. No task is
given to two agents, and the whole log, played again with a look at every step, gives the state that a recovery gives.
`--open`: also how long a start takes with so many open tasks.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import uvloop

from tests.bench import report
from tests.bench.assign_server import MOST, QUEUES, Server, read_journal

if TYPE_CHECKING:
    import argparse

_AGENTS, _CLIENTS = 8, 24
_LEASE_S, _GRACE_S = 2, 2
_OVER = ("completed", "canceled")


class Known(msgspec.Struct):
    """What the clients were told, over all lives of the server."""

    created: set[str] = msgspec.field(default_factory=set)
    owners: dict[str, str] = {}
    """Of tasks: by a 200 to an acceptance. These tasks are never requeued."""
    ended: set[str] = msgspec.field(default_factory=set)
    wrong: list[str] = []


class Client:
    """Creates, accepts and completes, until the server is gone."""

    def __init__(self, session: aiohttp.ClientSession, known: Known, rng: Random, name: str) -> None:
        self._session, self._known, self._rng, self._name = session, known, rng, name

    async def _post(self, path: str, value: Any) -> Any:
        """The answer; None: not a 2xx. Raises: aiohttp.ClientError."""
        async with self._session.post(path, json=value) as answer:
            said = await answer.json(content_type=None)
            if answer.status >= 500:
                self._known.wrong.append(f"{path}: {said}")
            return said if answer.status in {200, 201} else None

    async def run(self) -> None:
        try:
            for number in range(1_000_000):
                await self._one(f"{self._name}-{number}")
        except (aiohttp.ClientError, OSError):
            return

    async def _one(self, task_id: str) -> None:
        known = self._known
        task = await self._post("/v1/tasks", {"queue": "race", "id": task_id})
        if task is None:
            known.wrong.append(f"{task_id} was not taken")
            return
        known.created.add(task_id)
        async with self._session.get(f"/v1/tasks?queue=race&state=offered&limit={_CLIENTS}") as answer:
            offered = (await answer.json())["tasks"]
        for brief in offered[:3]:
            await self._take(brief["id"])

    async def _take(self, task_id: str) -> None:
        """Accept somebody's offer, as several clients do at once, and complete it or keep it for the next life."""
        async with self._session.get(f"/v1/tasks/{task_id}") as answer:
            offers = [each for each in (await answer.json())["offers"] if each["state"] == "pending"]
        if not offers:
            return
        offer = self._rng.choice(offers)
        accepted = await self._post(f"/v1/offers/{offer['id']}/accept", {"resource_id": offer["resource_id"]})
        if accepted is None:
            return
        owner = self._known.owners.setdefault(task_id, offer["resource_id"])
        if owner != offer["resource_id"]:
            self._known.wrong.append(f"{task_id}: {owner} and {offer['resource_id']} were told that it is theirs")
        if self._rng.random() < 0.95:
            done = await self._post(f"/v1/tasks/{task_id}/complete", {})
            if done is not None and done["state"] == "completed":
                self._known.ended.add(task_id)


async def _load(server: Server, known: Known, rng: Random, name: str) -> None:
    """Load, and the kill in the middle of it."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        clients = [Client(session, known, Random(rng.random()), f"{name}-{number}") for number in range(_CLIENTS)]
        running = [asyncio.create_task(client.run()) for client in clients]
        await asyncio.sleep(rng.uniform(0.05, 0.8))
        await asyncio.to_thread(server.kill)
        await asyncio.gather(*running)


async def _check(server: Server, known: Known, some: list[str]) -> None:
    """Everything acknowledged is there, over the API of the next life."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:

        async def look(task_id: str) -> None:
            async with session.get(f"/v1/tasks/{task_id}") as answer:
                task = await answer.json()
                if answer.status != 200:
                    known.wrong.append(f"{task_id} was acknowledged and is lost: {task}")
                    return
            owner, held = known.owners.get(task_id), task["assignment"]
            if owner is not None and (held is None or held["resource_id"] != owner):
                known.wrong.append(f"{task_id} was {owner}'s and is {task['state']}, {held}")
            if task_id in known.ended and task["state"] not in _OVER:
                known.wrong.append(f"{task_id} was completed and is {task['state']}")

        for at in range(0, len(some), 64):
            await asyncio.gather(*(look(task_id) for task_id in some[at : at + 64]))


def free(server: Server) -> None:
    """Complete what agents of the life before hold, so that there is room again."""
    for task in server.ask("GET", "/v1/tasks?queue=race&state=assigned&limit=1000")["tasks"]:
        server.ask("POST", f"/v1/tasks/{task['id']}/complete", {})


def crash(folder: Path, kills: int, seed: int, *, every: int = 10) -> tuple[Known, list[float], list[str]]:
    """Kill and start so many times; what clients know, how long each start took, what the journal says."""
    rng, known, starts, journal = Random(seed), Known(), [], []
    server = Server(folder / "project")
    server.start()
    server.sign_in(_AGENTS)
    began_s = time.monotonic()
    try:
        for number in range(kills):
            before = set(known.created)
            uvloop.run(_load(server, known, rng, f"k{number}"))
            if number % every == every - 1 or number == kills - 1:
                found = read_journal(server.folder)
                journal += [found.broken] if found.broken else []
                journal += [] if found.is_equal else [f"after kill {number + 1} a recovery differs from a replay"]
            start_s = time.monotonic()
            server.start()
            starts.append(time.monotonic() - start_s)
            older = rng.sample(sorted(before), min(len(before), 200))
            uvloop.run(_check(server, known, [*(known.created - before), *older]))
            free(server)
            if number % every == every - 1:
                report.pace(f"{number + 1} kills, {len(known.created):,} tasks acknowledged", began_s)
    finally:
        server.kill()
    return known, starts, journal


async def _fill(server: Server, tasks: int) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:

        async def create(numbers: range) -> None:
            for number in numbers:
                async with session.post("/v1/tasks", json={"queue": "race", "id": f"open-{number}"}) as answer:
                    assert answer.status == 201, await answer.text()

        await asyncio.gather(*(create(range(first, tasks, 64)) for first in range(64)))


def recovery_s(folder: Path, tasks: int) -> tuple[float, float]:
    """How long the start takes with so many open tasks, after a kill; and one with none."""
    server = Server(folder / "open")
    server.start()
    server.kill()
    empty_s = time.monotonic()
    server.start()
    empty_s = time.monotonic() - empty_s
    uvloop.run(_fill(server, tasks))
    server.kill()
    began_s = time.monotonic()
    server.start()
    took_s = time.monotonic() - began_s
    waiting = server.ask("GET", "/v1/queues/race")["waiting"]
    server.kill()
    assert waiting == tasks, waiting
    return took_s, empty_s


def lost_s(folder: Path) -> float:
    """An agent with three tasks falls silent: how long after his lease and grace until all three wait, at their age."""
    with Server(folder / "lost", QUEUES.replace("ttl_s = 600", f"ttl_s = {_LEASE_S}\ngrace_s = {_GRACE_S}")) as server:
        server.sign_in(1)
        ages = {}
        for number in range(MOST):
            (offer,) = server.ask("POST", "/v1/tasks", {"queue": "race", "id": f"t{number}"})["offers"]
            task = server.ask("POST", f"/v1/offers/{offer['id']}/accept", {"resource_id": "a0"})["task"]
            ages[task["id"]] = task["queued_at"]
        silent_s = time.monotonic()
        while time.monotonic() < silent_s + 60:
            tasks = [server.ask("GET", f"/v1/tasks/{name}") for name in ages]
            if all(task["state"] == "queued" for task in tasks):
                assert {task["id"]: task["queued_at"] for task in tasks} == ages, "their age is not what it was"
                return time.monotonic() - silent_s - _LEASE_S - _GRACE_S
            time.sleep(0.02)
    raise AssertionError("they never came back")


def main() -> None:
    """Kill, look, start again."""
    parser = report.parser(__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--open", type=int, default=100_000)
    given: argparse.Namespace = parser.parse_args()
    result: dict[str, Any] = {}
    met = []
    with tempfile.TemporaryDirectory() as name:
        late_s = lost_s(Path(name))
        print(f"a lost agent's tasks waited again {late_s:+.2f} s after lease and grace")
        met.append(report.verdict("within lease + grace + 1 s, at their age", is_met=late_s <= 1.0))
        result["lost_late_s"] = late_s
        if given.kills:
            known, starts, journal = crash(Path(name), given.kills, given.seed)
            print(
                f"{given.kills} kills, {len(known.created):,} tasks and {len(known.owners):,} acceptances acknowledged"
            )
            print(f"a start took {median(starts):.2f} s, at most {max(starts):.2f} s")
            print(*known.wrong[:10], *journal[:3], sep="\n")
            met += [
                report.verdict("no acknowledged task is lost, none was given twice", is_met=not known.wrong),
                report.verdict("replay and recovery are equal, no invariant is broken", is_met=not journal),
            ]
            result |= {
                "created": len(known.created),
                "accepted": len(known.owners),
                "wrong": known.wrong,
                "starts": starts,
            }
        if given.open:
            took_s, empty_s = recovery_s(Path(name), given.open)
            print(f"started with {given.open:,} open tasks in {took_s:.2f} s, with none in {empty_s:.2f} s")
            met.append(report.verdict("recovery of them within 5 s", is_met=took_s - empty_s <= 5.0))
            result |= {"recovery_s": took_s, "empty_s": empty_s}
    report.write_json("assign-kills", given, result)
    raise SystemExit(not all(met))


if __name__ == "__main__":
    main()
