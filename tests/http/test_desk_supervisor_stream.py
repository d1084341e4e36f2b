"""WS /v1/supervisor/stream: the whole picture, then every event in order, from a cursor on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from router.http import supervisor_stream
from tests.http_desk import QUEUES, Floor, connected, refused

if TYPE_CHECKING:
    from itertools import count

    from tests.http.conftest import MakeConfig
    from tests.http_desk import Stream
    from tests.http_server import LoopThread

PATH = "/v1/supervisor/stream"


async def _events(stream: Stream, subject: str, last: str) -> list[Any]:
    """Of a subject, until the event of that type."""
    found: list[Any] = []
    while not found or found[-1]["event"]["type"] != last:
        message = await stream.next("event")
        if message["event"]["subject"] == subject:
            found.append(message)
    return found


def test_the_picture_and_what_follows(floor: Floor) -> None:
    ana = floor.agent("ana")
    waiting = floor.task(context={"secret": 1}, preferred=["nobody"])

    async def run() -> None:
        async with connected(floor.running, PATH) as stream:
            hello = await stream.next("hello")
            assert hello["resumed"] is False
            assert floor.line in {each["name"] for each in hello["queues"]}
            assert ana in {each["id"] for each in hello["resources"]}
            (brief,) = (each for each in hello["tasks"] if each["id"] == waiting["id"])
            assert (brief["offered_to"], "context" in brief) == ([ana], False)
            task = await asyncio.to_thread(floor.assigned)
            events = await _events(stream, task["id"], "task.assigned")
            assert [each["event"]["seq"] for each in events] == [1, 2, 3, 4]
            assert [each["event"]["type"] for each in events] == [
                "task.queued", "offer.issued", "offer.accepted", "task.assigned",
            ]  # fmt: skip
            assert events[-1]["task"]["resource_id"] == ana
            assert events[-1]["resource"]["used"] == 2
            assert all(each["cursor"] == each["event"]["id"] for each in events)

    asyncio.run(run())


def test_a_stream_goes_on_where_it_broke_off(floor: Floor) -> None:
    async def run() -> None:
        async with connected(floor.running, PATH) as stream:
            await stream.next("hello")
            first = await asyncio.to_thread(floor.task)
            cursor = (await _events(stream, first["id"], "task.queued"))[-1]["cursor"]
        tasks = [await asyncio.to_thread(floor.task) for _ in range(3)]
        async with connected(floor.running, f"{PATH}?cursor={cursor}") as stream:
            hello = await stream.next("hello")
            assert (hello["resumed"], hello["cursor"], "tasks" in hello) == (True, cursor, False)
            missed = [await stream.next("event") for _ in tasks]
            assert [each["event"]["subject"] for each in missed] == [task["id"] for task in tasks]
            assert missed[-1]["task"]["position"] == 4
            late = await asyncio.to_thread(floor.task)
            assert (await stream.next("event"))["event"]["subject"] == late["id"]

    asyncio.run(run())


def test_of_what_is_no_longer_kept_the_picture_is_told(floor: Floor) -> None:
    async def run() -> None:
        for cursor in ("0-0", "999999999-0"):
            async with connected(floor.running, f"{PATH}?cursor={cursor}") as stream:
                assert (await stream.next("hello"))["resumed"] is False

    asyncio.run(run())


def test_a_stream_goes_on_after_a_restart(
    loop_thread: LoopThread, make_config: MakeConfig, line_numbers: count[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_stream, "_PAGE", 3)
    config = make_config()
    (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")

    async def first(floor: Floor) -> str:
        async with connected(floor.running, PATH) as stream:
            await stream.next("hello")
            task = await asyncio.to_thread(floor.task)
            return str((await _events(stream, task["id"], "task.queued"))[-1]["cursor"])

    async def then(floor: Floor, cursor: str, ids: list[str]) -> None:
        async with connected(floor.running, f"{PATH}?cursor={cursor}&topics=task") as stream:
            assert (await stream.next("hello"))["resumed"] is True
            late = await asyncio.to_thread(floor.task)
            told = [(await stream.next("event"))["event"]["subject"] for _ in range(9)]
            assert told == [*ids, late["id"]]

    with loop_thread.serving(config) as running:
        floor = Floor(running, line_numbers)
        cursor = asyncio.run(first(floor))
        ids = [floor.task()["id"] for _ in range(4)]
    with loop_thread.serving(config) as running:
        floor = Floor(running, line_numbers)
        asyncio.run(then(floor, cursor, ids + [floor.task()["id"] for _ in range(4)]))


def test_who_is_too_far_behind_gets_the_picture(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_stream, "_MOST_BEHIND", 2)

    async def run() -> None:
        async with connected(floor.running, PATH) as stream:
            cursor = (await stream.next("hello"))["cursor"]
        for is_resumed in (True, False):
            async with connected(floor.running, f"{PATH}?cursor={cursor}") as stream:
                assert (await stream.next("hello"))["resumed"] is is_resumed
            for _ in range(3):
                await asyncio.to_thread(floor.task)

    asyncio.run(run())


def test_a_topic_is_told_alone(floor: Floor) -> None:
    async def run() -> None:
        async with connected(floor.running, f"{PATH}?topics=resource,queue") as stream:
            await stream.next("hello")
            await asyncio.to_thread(floor.task)
            await asyncio.to_thread(floor.do, "PUT", f"/v1/queues/{floor.line}/open", {"is_open": False})
            closed = await stream.next("event")
            assert (closed["event"]["type"], closed["queue"]["is_open"]) == ("queue.closed", False)
            ana = await asyncio.to_thread(floor.agent, "ana")
            updated = await stream.next("event")
            assert (updated["event"]["type"], updated["event"]["subject"]) == ("resource.updated", ana)
            assert updated["resource"]["id"] == ana

    asyncio.run(run())


def test_figures_come_once_a_second_at_most(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_stream, "_STATS_S", 0.05)

    async def run() -> None:
        async with connected(floor.running, f"{PATH}?topics=stats") as stream:
            await stream.next("hello")
            for _ in range(3):
                await asyncio.to_thread(floor.task)
            while True:
                stats = await stream.next("stats")
                (queue,) = (each for each in stats["queues"] if each["name"] == floor.line)
                if queue["waiting"] == 3:
                    break

    asyncio.run(run())


def test_it_listens_to_a_ping_and_nothing_else(floor: Floor) -> None:
    async def run() -> None:
        async with connected(floor.running, PATH) as stream:
            await stream.ws.send_str('{"type": "ping"}')
            await stream.next("pong")
            await stream.flood(*["{", '{"type": "accept"}'] * 10, "[]")
            assert await stream.closed() == 1008

    asyncio.run(run())


@pytest.mark.parametrize("query", ["topics=news", "topics=", "cursor=12", "cursor=-1-0", "cursor=1-2-3"])
def test_a_query_that_cannot_be_is_refused(floor: Floor, query: str) -> None:
    assert asyncio.run(refused(floor.running, f"{PATH}?{query}")) == 400
