"""WS /v1/agents/{id}/stream: offers and tasks pushed, requests answered, and all anew after a break."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from router.http.socket import MAX_MESSAGE_BYTES
from tests.http_desk import QUEUES, Floor, connected, refused
from tests.http_server import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from itertools import count

    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread


async def _aside(call: Callable[..., Any], *args: Any, **fields: Any) -> Any:
    """A blocking HTTP client beside a stream."""
    return await asyncio.to_thread(call, *args, **fields)


def _path(name: str, query: str = "") -> str:
    return f"/v1/agents/{name}/stream{query}"


def test_an_agents_day(floor: Floor) -> None:
    ana = floor.agent("ana", presence="offline")

    async def run() -> None:
        async with connected(floor.running, _path(ana)) as stream:
            hello = await stream.next("hello")
            assert (hello["resource"]["presence"], hello["offers"], hello["tasks"]) == ("offline", [], [])
            assert hello["heartbeat_s"] * 3 == hello["lease_s"] == 600.0
            assert (await stream.ask("heartbeat"))[0] == 409
            status, signed = await stream.ask("presence", presence="available")
            assert (status, signed["session"]) == (200, hello["session"])
            assert (await stream.ask("heartbeat"))[1]["presence"] == "available"
            task = await _aside(floor.task, context={"a": 1})
            pushed = await stream.next("offer")
            assert (pushed["task"]["id"], pushed["task"]["context"]) == (task["id"], {"a": 1})
            offer = pushed["offer"]
            status, accepted = await stream.ask("accept", offer_id=offer["id"], fence=offer["fence"])
            assert (status, accepted["task"]["resource_id"]) == (200, ana)
            gone, held = await stream.next("offer_gone"), await stream.next("task")
            assert (gone["offer_id"], gone["state"]) == (offer["id"], "accepted")
            assert (held["event"], held["task"]["state"]) == ("task.assigned", "assigned")
            assert (await stream.ask("work"))[1]["tasks"][0]["id"] == task["id"]
            assert (await stream.ask("pause", task_id=task["id"]))[1]["state"] == "paused"
            assert (await stream.ask("resume", task_id=task["id"]))[1]["state"] == "assigned"
            assert (await stream.ask("complete", task_id=task["id"], outcome="sold"))[1]["state"] == "wrapping"
            assert (await stream.ask("complete", task_id=task["id"]))[1]["state"] == "completed"
            gone = await stream.next("task_gone")
            assert (gone["task_id"], gone["event"], gone["state"]) == (task["id"], "task.completed", "completed")

    asyncio.run(run())


def test_what_is_taken_away_is_told(floor: Floor) -> None:
    ana = floor.agent("ana")

    async def run() -> None:
        async with connected(floor.running, _path(ana)) as stream:
            await stream.next("hello")
            task = await _aside(floor.task)
            offer = (await stream.next("offer"))["offer"]
            await _aside(floor.post, f"/v1/tasks/{task['id']}/cancel", {"reason": "abandoned"})
            gone = await stream.next("offer_gone")
            assert (gone["offer_id"], gone["state"], gone["reason"]) == (offer["id"], "rescinded", "abandoned")
            status, problem = await stream.ask("accept", offer_id=offer["id"])
            assert (status, problem["code"]) == (409, "lost_race")
            held = await _aside(floor.assigned)
            assert (await stream.next("task"))["task"]["id"] == held["id"]
            await _aside(floor.post, f"/v1/tasks/{held['id']}/transfer", {"queue": "desk"})
            gone = await stream.next("task_gone")
            assert (gone["task_id"], gone["event"], gone["queue"]) == (held["id"], "task.transferred", "desk")

    asyncio.run(run())


def test_a_reconnect_brings_all_the_work(floor: Floor) -> None:
    """Also what happened while nobody listened; the session goes on."""
    ana = floor.agent("ana", presence="offline")

    async def run() -> None:
        async with connected(floor.running, _path(ana, "?session=tab-1")) as stream:
            await stream.ask("presence", presence="available")
        held = await _aside(floor.assigned)
        waiting, offer = await _aside(floor.offered)
        async with connected(floor.running, _path(ana, "?session=tab-1")) as stream:
            hello = await stream.next("hello")
            assert hello["session"] == "tab-1"
            assert (hello["resource"]["presence"], hello["resource"]["epoch"]) == ("available", 1)
            assert [each["id"] for each in hello["tasks"]] == [held["id"]]
            assert [(each["offer"]["id"], each["task"]["id"]) for each in hello["offers"]] == [(offer, waiting["id"])]
            assert (await stream.ask("heartbeat"))[0] == 200
            assert (await stream.ask("decline", offer_id=offer, reason="busy"))[0] == 200
            assert (await stream.next("offer_gone"))["state"] == "declined"

    asyncio.run(run())


def test_two_agents_race_for_one_task(floor: Floor) -> None:
    names = [f"racer{number}.{floor.line}" for number in range(2)]
    for name in names:
        floor.do("PUT", f"/v1/resources/{name}", {"queues": ["race"], "channels": {"chat": {}}})

    async def run() -> None:
        async with (
            connected(floor.running, _path(names[0])) as one,
            connected(floor.running, _path(names[1])) as two,
        ):
            streams = (one, two)
            for stream in streams:
                await stream.ask("presence", presence="available")
            for _ in range(20):
                task = await _aside(floor.post, "/v1/tasks", {"queue": "race"})
                offers = [(await stream.next("offer"))["offer"]["id"] for stream in streams]
                replies = await asyncio.gather(
                    *(stream.ask("accept", offer_id=offer) for stream, offer in zip(streams, offers, strict=True))
                )
                assert sorted(status for status, _ in replies) == [200, 409]
                winner = streams[[status for status, _ in replies].index(200)]
                loser = streams[1 - streams.index(winner)]
                gone = await loser.next("offer_gone")
                assert (gone["task_id"], gone["state"]) == (task["id"], "rescinded")
                assert (await winner.next("offer_gone"))["state"] == "accepted"
                for _ in range(2):
                    assert (await winner.ask("complete", task_id=task["id"]))[0] == 200
            for stream in streams:
                await stream.ask("presence", presence="offline")

    asyncio.run(run())


def test_another_session_ends_this_one(floor: Floor) -> None:
    ana = floor.agent("ana", presence="offline")

    async def run() -> None:
        async with connected(floor.running, _path(ana)) as old, connected(floor.running, _path(ana)) as new:
            await old.ask("presence", presence="available")
            assert (await new.next("resource"))["resource"]["presence"] == "available"
            status, _ = await new.ask("presence", presence="available")
            assert status == 200
            assert await old.closed() == 4001
            assert (await new.ask("heartbeat"))[0] == 200

    asyncio.run(run())


def test_a_key_makes_a_request_one(floor: Floor) -> None:
    ana = floor.agent("ana")
    task = floor.assigned()

    async def run() -> None:
        async with connected(floor.running, _path(ana)) as stream:
            key = f"c-{floor.line}"
            for _ in range(3):  # without the key the second one would end the wrap-up
                status, body = await stream.ask("complete", task_id=task["id"], key=key)
                assert (status, body["state"]) == (200, "wrapping")
            status, problem = await stream.ask("complete", task_id=task["id"], key=key, outcome="other")
            assert (status, problem["code"]) == (422, "idempotency-key-reused")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("message", "status", "named"),
    [
        ({"type": "sing"}, 400, "type"),
        ({"type": 1}, 400, "type"),
        ({}, 400, "type"),
        ({"type": "accept"}, 400, "offer_id"),
        ({"type": "accept", "offer_id": "a/b"}, 400, "offer_id"),
        ({"type": "accept", "offer_id": "nobody-1"}, 404, "nobody-1"),
        ({"type": "accept", "offer_id": "nobody-1", "fence": "1"}, 400, "$.fence"),
        ({"type": "complete", "task_id": 7}, 400, "task_id"),
        ({"type": "complete", "task_id": "t-1", "prio": 1}, 400, "prio"),
        ({"type": "presence", "presence": "asleep"}, 400, "$.presence"),
        ({"type": "heartbeat", "session": []}, 400, "$.session"),
        ({"type": "complete", "task_id": "t-1", "key": "k" * 257}, 400, "key"),
        ({"type": "callback", "task_id": "t-1"}, 403, "callback"),
    ],
)
def test_what_is_no_request_is_answered(floor: Floor, message: dict[str, Any], status: int, named: str) -> None:
    ana = floor.agent("ana")

    async def run() -> None:
        async with connected(floor.running, _path(ana)) as stream:
            await stream.ws.send_str(json.dumps({**message, "ref": "x"}))
            reply = await stream.next("reply")
            assert (reply["ref"], reply["status"]) == ("x", status)
            assert named in reply["body"]["detail"]
            assert (await stream.ask("work"))[0] == 200

    asyncio.run(run())


def test_what_is_no_message_at_all_ends_it_in_time(floor: Floor) -> None:
    ana = floor.agent("ana")

    async def run() -> None:
        async with connected(floor.running, _path(ana)) as stream:
            await stream.ws.send_str("[]")
            await stream.ws.send_str('{"type": "heartbeat", "ref": 7}')
            await stream.ws.send_bytes(b"{}")
            for _ in range(3):
                reply = await stream.next("reply")
                assert (reply["ref"], reply["status"], reply["body"]["code"]) == (None, 400, "malformed")
            await stream.flood(*["{"] * 18)
            assert await stream.closed() == 1008
        async with connected(floor.running, _path(ana)) as stream:
            await stream.flood("x" * (MAX_MESSAGE_BYTES + 1))
            assert await stream.closed() in {1009, 1006}  # what was not read may cut the goodbye short

    asyncio.run(run())


def test_an_agent_moves_only_what_is_its_own(floor: Floor) -> None:
    """Whoever has opened the stream, on it that agent acts."""
    ana, ben = floor.agent("ana"), floor.agent("ben", presence="busy")
    task, offer = floor.offered()

    async def run() -> None:
        async with connected(floor.running, _path(ben)) as stream:
            assert (await stream.ask("accept", offer_id=offer))[0] == 403
            assert (await stream.ask("accept", offer_id=offer, resource_id=ana))[0] == 403
            assert (await stream.ask("cancel", task_id=task["id"]))[0] == 403

    asyncio.run(run())
    assert floor.do("GET", f"/v1/tasks/{task['id']}")["offered_to"] == [ana]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Upgrade": "websocket"}, 400),
        ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}, 400),
        ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "x" * 24}, 400),
    ],
)
def test_what_is_no_handshake_is_refused(floor: Floor, headers: dict[str, str], status: int) -> None:
    ana = floor.agent("ana")
    floor.running.ask("GET", _path(ana), headers=headers).problem(status, "malformed")


def test_a_stream_is_of_somebody_who_is_there(floor: Floor) -> None:
    async def run() -> None:
        assert await refused(floor.running, _path("nobody")) == 404
        assert await refused(floor.running, _path(floor.agent("ana"), "?session=a%20b")) == 400

    asyncio.run(run())


def _handshake(floor: Floor, path: str) -> socket.socket:
    """A client that reads no more than the answer's head."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect(("127.0.0.1", floor.running.port))
    client.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode()
    )
    assert client.recv(12) == b"HTTP/1.1 101"
    return client


async def _open_sockets(floor: Floor) -> int:
    return len(floor.running.http.sockets)


def test_a_slow_reader_is_closed_and_gets_all_when_it_is_back(floor: Floor) -> None:
    ana = floor.agent("ana")
    task = floor.assigned(context={"long": "x" * 50_000})
    before = floor.running.run(_open_sockets(floor))
    with _handshake(floor, _path(ana)):
        for number in range(400):
            floor.do("PATCH", f"/v1/tasks/{task['id']}", {"context": {"number": number}})
            if number > 1 and floor.running.run(_open_sockets(floor)) == before:
                break
        give_up_s = time.monotonic() + PATIENCE_S  # to be told goodbye takes it a second, and 20 MB are more than fit
        while floor.running.run(_open_sockets(floor)) != before:
            assert time.monotonic() < give_up_s

    async def run() -> None:
        async with connected(floor.running, _path(ana)) as stream:
            hello = await stream.next("hello")
            assert hello["tasks"][0]["context"]["number"] == number

    asyncio.run(run())


def test_a_half_closed_stream_ends(floor: Floor) -> None:
    before = floor.running.run(_open_sockets(floor))
    with _handshake(floor, _path(floor.agent("ana"))) as client:
        client.shutdown(socket.SHUT_WR)
        while client.recv(65_536):
            pass
    assert floor.running.run(_open_sockets(floor)) == before


def test_disconnecting_is_not_signing_out(floor: Floor) -> None:
    ana = floor.agent("ana", presence="offline")

    async def run() -> None:
        async with connected(floor.running, _path(ana)) as stream:
            await stream.ask("presence", presence="available")

    asyncio.run(run())
    assert floor.do("GET", f"/v1/resources/{ana}")["presence"] == "available"


@pytest.mark.parametrize("ends_with", [b"\x88\x80\0\0\0\0", b""])
def test_the_last_word_before_a_close_is_heard(floor: Floor, ends_with: bytes) -> None:
    """As of a browser that signs out as its page is left: in one packet, with a goodbye or without."""
    ana = floor.agent("ana")
    session = floor.post(f"/v1/resources/{ana}/presence", {"presence": "available"})["session"]
    message = b'{"type": "presence", "presence": "offline"}'
    frame = b"\x81" + bytes([0x80 | len(message)]) + b"\0\0\0\0" + message  # masked with zeros
    with _handshake(floor, _path(ana, f"?session={session}")) as client:
        client.sendall(frame + ends_with)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65_536):
            pass
    give_up_s = time.monotonic() + PATIENCE_S
    while floor.do("GET", f"/v1/resources/{ana}")["presence"] != "offline":
        assert time.monotonic() < give_up_s


def test_a_task_may_be_called_as_its_agent_is(floor: Floor) -> None:
    ana = floor.agent("ana")
    floor.task(id=ana)

    async def run() -> None:
        async with connected(floor.running, _path(ana)) as stream:
            assert [each["task"]["id"] for each in (await stream.next("hello"))["offers"]] == [ana]
            away = {"presence": "away"}
            await _aside(floor.post, f"/v1/resources/{ana}/presence", away)
            assert (await stream.next("resource"))["resource"]["presence"] == "away"
            assert (await stream.next("offer_gone"))["task_id"] == ana

    asyncio.run(run())


def test_a_restart_is_announced(loop_thread: LoopThread, make_config: MakeConfig, line_numbers: count[int]) -> None:
    config = make_config()
    (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")
    with loop_thread.serving(config) as running:
        floor = Floor(running, line_numbers)
        ana = floor.agent("ana")

        async def drain() -> None:
            running.http.sockets.drain()

        async def run() -> None:
            async with (
                connected(running, _path(ana)) as agent,
                connected(running, "/v1/supervisor/stream") as supervisor,
            ):
                await agent.next("hello")
                await supervisor.next("hello")
                await asyncio.to_thread(running.run, drain())
                assert (await agent.closed(), await supervisor.closed()) == (1012, 1012)
            assert await refused(running, _path(ana)) == 503

        asyncio.run(run())
