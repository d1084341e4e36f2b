from __future__ import annotations

import asyncio
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from loadtest.agents.agent import SimulatedAgent
from loadtest.agents.book import AgentsRecord, Assignment, Book, Hands, Offer, Task, Waits, together
from loadtest.command.outcome import conclude
from loadtest.errors import FAILED, PASSED
from loadtest.quantity import MS, Ns
from loadtest.run import WorkerHealth, open_run, save
from loadtest.scenario.spec import AgentsSpec
from tests.fabricated import fabricate
from tests.virtual import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

T0 = datetime(2026, 1, 5, 8, tzinfo=UTC)
S = 1_000_000_000


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def offer(task: str, number: int = 1, issued_s: float = 1.0) -> Offer:
    return Offer(id=f"{task}-{number}", task_id=task, issued_at=at(issued_s), weight=2)


def task(name: str, started_s: float | None = None, state: str = "offered", weight: int = 2) -> Task:
    held = None if started_s is None else Assignment(started_at=at(started_s), weight=weight)
    return Task(id=name, state=state, created_at=T0, weight=weight, target_at=at(20), assignment=held)


def test_the_book_keeps_times_of_the_first_offer_and_of_the_assignment() -> None:
    book = Book(3)
    book.offer(offer("a", issued_s=1), task("a"), at(1.5))
    book.offer(offer("a", 2, issued_s=31), task("a"), at(31.25))  # asked again: not the first offer
    book.accepted(task("a", started_s=33))
    book.offer(offer("b", issued_s=2), task("b"), at(2))
    book.accepted(task("b", started_s=4))
    for status in (409, 409, 410, 503):
        book.refused(status)
    found = book.close(waiting=7)
    assert (found.agents, found.offers, found.accepted, found.in_time, found.waiting) == (3, 3, 2, 1, 7)
    assert (found.lost_races, found.expired, found.refused) == (2, 1, 1)
    assert found.offered is not None
    assert (found.offered.count, found.offered.p50_ms, found.offered.max_ms) == (2, 1_000, 2_000)
    assert found.assigned is not None
    assert (found.assigned.p50_ms, found.assigned.p99_ms) == (4_000, 33_000)
    assert found.told is not None
    assert found.told.max_ms == 500


def test_hands_count_what_they_have_accepted_and_not_given_back() -> None:
    hands = Hands(4)
    assert not hands.take("a", 2)
    assert not hands.take("b", 2)
    assert hands.take("c", 1)
    hands.give_back("a")
    assert not hands.take("d", 1)
    assert "a" not in hands
    assert "d" in hands


class ScriptedServer:
    """One agent's stream: offers what is put in, and answers accepts and completes as the server does."""

    def __init__(self, accepts: dict[str, int] | None = None) -> None:
        self.accepts = accepts or {}
        self.sent: list[dict[str, Any]] = []
        self.streams = 0
        self.talks: set[str] = set()

    async def stream(self, resource_id: str, session: str) -> ScriptedServer:
        self.streams += 1
        self.inbox: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.inbox.put_nowait({"type": "hello", "session": "s1", "heartbeat_s": 5.0, "offers": []})
        self.session = session
        return self

    def offer(self, name: str) -> None:
        self.inbox.put_nowait({"type": "offer", "offer": offer(name), "task": task(name)})

    async def messages(self) -> AsyncIterator[bytes]:
        while (message := await self.inbox.get()) is not None:
            yield msgspec.json.encode(message)

    async def send(self, kind: str, ref: str = "", **fields: Any) -> None:
        self.sent.append({"type": kind, **fields})
        body: Any = None
        status = 200
        if kind == "accept":
            name = fields["offer_id"].rpartition("-")[0]
            status = self.accepts.get(name, 200)
            body = {"offer": offer(name), "task": task(name, 2, "assigned")} if status == 200 else {"code": "lost_race"}
        elif kind == "complete":
            is_second = fields["task_id"] in self.talks
            self.talks.add(fields["task_id"])
            body = task(fields["task_id"], 2, "completed" if is_second else "wrapping")
        if ref:
            self.inbox.put_nowait({"type": "reply", "ref": ref, "status": status, "body": body})

    async def close(self) -> None:
        return


SPEC = AgentsSpec(count=1, reaction=Ns(2 * S), handling=Ns(10 * S), capacity=3)


def played(server: ScriptedServer, book: Book, *offers: str, breaks_after_s: float | None = None) -> None:
    """A minute of one agent under virtual time."""

    async def minute() -> None:
        agent = SimulatedAgent("a", SPEC, server, book, Random(1))  # type: ignore[arg-type]  # stands for the door
        working = asyncio.create_task(agent.run())
        await asyncio.sleep(1)
        for name in offers:
            server.offer(name)
        if breaks_after_s is not None:
            await asyncio.sleep(breaks_after_s)
            server.inbox.put_nowait(None)
        await asyncio.sleep(120)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    run(lambda _: minute())


def kinds(server: ScriptedServer) -> list[str]:
    return [each["type"] for each in server.sent if each["type"] != "heartbeat"]


def test_an_agent_accepts_talks_and_completes() -> None:
    server, book = ScriptedServer(), Book(1)
    played(server, book, "t1")
    assert kinds(server) == ["presence", "accept", "complete", "complete"]
    assert (book.counts["accepted"], book.counts["completed"], book.counts["over_capacity"]) == (1, 1, 0)


def test_its_heart_beats() -> None:
    server = ScriptedServer()
    played(server, Book(1))
    assert 22 <= sum(each["type"] == "heartbeat" for each in server.sent) <= 25


def test_a_lost_race_is_counted_and_begins_no_talk() -> None:
    server, book = ScriptedServer({"t1": 409, "t2": 410}), Book(1)
    played(server, book, "t1", "t2")
    assert kinds(server) == ["presence", "accept", "accept"]
    assert (book.counts["lost_races"], book.counts["expired"], book.counts["accepted"]) == (1, 1, 0)


def test_too_much_at_once_is_seen() -> None:
    server, book = ScriptedServer(), Book(1)
    played(server, book, "t1", "t2")  # weight 2 each, and it may hold 3
    assert book.counts["over_capacity"] == 1


def test_it_comes_back_with_its_session_when_the_line_breaks() -> None:
    server, book = ScriptedServer(), Book(1)
    played(server, book, "t1", breaks_after_s=30)
    assert (server.streams, server.session, book.counts["reconnected"]) == (2, "s1", 1)
    assert book.counts["accepted"] == 1


def test_what_the_server_says_of_its_load_is_looked_at() -> None:
    server, book = ScriptedServer(), Book(1)

    async def moment() -> None:
        agent = SimulatedAgent("a", SPEC, server, book, Random(1))  # type: ignore[arg-type]  # stands for the door
        working = asyncio.create_task(agent.run())
        await asyncio.sleep(1)
        for used in (2, 4):
            server.inbox.put_nowait({"type": "resource", "resource": {"id": "a", "used": used, "capacity": 3}})
        await asyncio.sleep(1)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    run(lambda _: moment())
    assert book.counts["over_capacity"] == 1


def seen(offers: int, waiting: int, assigned: Waits | None) -> AgentsRecord:
    book = Book(3)
    book.counts.update(offers=offers, accepted=offers - 1, in_time=offers - 2, over_capacity=1)
    return msgspec.structs.replace(book.close(waiting), assigned=assigned)


def test_of_several_runs_counts_are_sums_and_percentiles_are_not_told() -> None:
    one = seen(10, 5, Waits(count=9, p50_ms=1, p99_ms=2, max_ms=30))
    other = seen(20, 4, Waits(count=19, p50_ms=3, p99_ms=4, max_ms=5))
    found = together([one, other])
    assert found is not None
    assert (found.offers, found.accepted, found.in_time, found.over_capacity, found.completed) == (30, 28, 26, 2, 0)
    assert (found.agents, found.waiting) == (3, 4)  # the same people, and what the last one left
    assert found.assigned == Waits(count=28, p50_ms=None, p99_ms=None, max_ms=30)
    assert found.offered is None


def test_what_only_one_run_tells_is_as_it_told_it() -> None:
    one, silent = seen(10, 5, Waits(count=9, p50_ms=1, p99_ms=2, max_ms=30)), seen(1, 0, None)
    assert together([]) is None
    assert together([one]) == one
    both = together([one, silent])
    assert both is not None
    assert both.assigned == one.assigned


@pytest.mark.parametrize(("over", "code"), [(0, PASSED), (1, FAILED)])
def test_a_run_in_which_somebody_held_too_much_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], over: int, code: int
) -> None:
    sent = WorkerHealth(
        index=0, ended="done", wall_ns=20 * S, cpu_ns=S, paced_total=2_000, sent_total=2_000, answered_total=2_000
    )
    made = fabricate(tmp_path / "run", [10 * MS] * 2_000, workers=(sent,))
    book = Book(2)
    book.accepted(task("a", started_s=3))
    book.counts["over_capacity"] = over
    save(made.path, msgspec.structs.replace(made.record, agents=book.close(0)))
    told = Namespace(html=None, junit=None, json=False, md=False, strict=False)
    assert conclude(open_run(made.path), told) == code
    out = capsys.readouterr().out
    assert "2 simulated agents" in out
    assert ("FAIL: Agents held more than they may, 1 time." in out) == (over > 0)
