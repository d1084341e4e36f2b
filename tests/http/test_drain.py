"""A server that is told to stop: what it has accepted it answers."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from router.server import drain, step_aside
from tests.http_project import SURE_TEXT
from tests.http_server import JSON_TYPE, PATIENCE_S, request

if TYPE_CHECKING:
    from concurrent.futures import Future

    from budgets.deadline import Budget
    from router.domain.decision import Decision
    from router.policy.point import Point, Request
    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread, Reply, Running

ASK = request(json.dumps({"text": SURE_TEXT, "budget_ms": 5_000}).encode(), "Content-Type: application/json")
FOREVER_MS = "600000"  # nothing in a test may depend on how fast the machine is


def _drain(loop_thread: LoopThread, server: Running) -> Future[None]:
    """Begin to drain; back when the port is closed."""
    draining = asyncio.run_coroutine_threadsafe(drain(server.app, server.http, server.listener), loop_thread.loop)
    server.run(asyncio.sleep(0))  # the loop's turn after the drain's first
    return draining


def _is_last(reply: Reply) -> bool:
    return reply.headers["Connection"] == "close"


def test_open_connections_get_one_more_answer_and_readiness_fails(
    loop_thread: LoopThread, make_config: MakeConfig
) -> None:
    with loop_thread.serving(make_config(drain_ms=FOREVER_MS)) as server, ExitStack() as stack:
        used, probe, new = (stack.enter_context(server.wire()) for _ in range(3))
        used.send(ASK)
        assert not _is_last(used.reply())
        draining = _drain(loop_thread, server)
        with pytest.raises(OSError, match="refused"):
            server.wire()
        probe.send(request(b"", method="GET", path="/readyz"))
        reply = probe.reply()
        assert reply.problem(503, "unavailable") == "draining"
        for wire in (used, new):
            wire.send(ASK)
            reply = wire.reply()
            assert reply.status == 200
            assert _is_last(reply)
            assert wire.is_closed()
        draining.result(PATIENCE_S)


def test_pipelined_requests_are_all_answered(
    loop_thread: LoopThread, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is being decided and four are behind it when the drain begins."""
    opened = asyncio.Event()
    with loop_thread.serving(make_config(drain_ms=FOREVER_MS)) as server:
        decide = server.app.pipeline.decide

        async def held(point: Point, request: Request, budget: Budget) -> Decision:
            await opened.wait()
            return await decide(point, request, budget)

        monkeypatch.setattr(server.app.pipeline, "decide", held)
        with server.wire() as wire:
            wire.send(ASK * 5)
            while sum(len(each._messages) for each in server.http.connections) < 4:  # of aiohttp
                time.sleep(0.001)
            draining = _drain(loop_thread, server)
            loop_thread.loop.call_soon_threadsafe(opened.set)
            replies = [wire.reply() for _ in range(5)]
            assert [reply.status for reply in replies] == [200] * 5
            assert [_is_last(reply) for reply in replies] == [False] * 4 + [True]
            assert wire.is_closed()
        draining.result(PATIENCE_S)


def test_what_comes_after_the_time_is_refused_and_what_is_under_way_is_finished(
    loop_thread: LoopThread, make_config: MakeConfig
) -> None:
    config = make_config(drain_ms="20", log__durability="commit")
    with loop_thread.serving(config, allow_faults=True) as server, server.wire() as early, server.wire() as late:
        server.ask("PUT", "/v1/admin/faults", b'{"store": {"delay_ms": 400}}', JSON_TYPE)
        early.send(ASK)
        while not server.app.pipeline.admission.inflight:
            time.sleep(0.001)
        draining = _drain(loop_thread, server)
        while not server.app.pipeline.admission.draining:
            time.sleep(0.001)
        late.send(ASK)
        reply = late.reply()
        reply.problem(503, "rejected-draining")
        assert reply.headers["Retry-After"] == "1"
        assert not draining.done()
        assert early.reply().status == 200
        draining.result(PATIENCE_S)


def test_nobody_who_was_let_in_by_the_kernel_is_turned_away(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    """Connections that wait in the port's queue while the event loop is busy."""
    with loop_thread.serving(make_config(drain_ms=FOREVER_MS)) as server:
        waiting = []

        async def connect_behind_the_loops_back_and_drain() -> None:
            for _ in range(20):
                wire = server.wire()
                wire.send(ASK)
                waiting.append(wire)
            await drain(server.app, server.http, server.listener)

        draining = asyncio.run_coroutine_threadsafe(connect_behind_the_loops_back_and_drain(), loop_thread.loop)
        while len(waiting) < 20:
            time.sleep(0.001)
        for wire in waiting:
            assert wire.reply().status == 200
            wire.close()
        draining.result(PATIENCE_S)


def test_an_idle_server_drains_at_once(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    with loop_thread.serving(make_config(drain_ms=FOREVER_MS)) as server:
        _drain(loop_thread, server).result(PATIENCE_S)


def test_a_lame_duck_fails_readiness_and_serves_as_before(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    with loop_thread.serving(make_config(lame_duck_ms=FOREVER_MS)) as server, server.wire() as kept:
        hurry = asyncio.Event()
        leaving = asyncio.run_coroutine_threadsafe(step_aside(server.app, hurry), loop_thread.loop)
        server.run(asyncio.sleep(0))
        for _ in range(2):
            assert server.ask("GET", "/readyz").problem(503, "unavailable") == "draining"
            assert "takt_ready 0" in server.ask("GET", "/metrics").body.decode()
            kept.send(ASK)
            with server.wire() as new:
                new.send(ASK)
                for wire in (kept, new):
                    reply = wire.reply()
                    assert reply.status == 200
                    assert not _is_last(reply)
        assert not leaving.done()
        loop_thread.loop.call_soon_threadsafe(hurry.set)
        leaving.result(PATIENCE_S)


@pytest.mark.parametrize("lame_duck_ms", [0, 60])
def test_a_lame_duck_goes_when_its_time_has_come(
    loop_thread: LoopThread, make_config: MakeConfig, lame_duck_ms: int
) -> None:
    with loop_thread.serving(make_config(lame_duck_ms=str(lame_duck_ms))) as server:
        began_s = time.monotonic()
        server.run(step_aside(server.app, asyncio.Event()))
        assert time.monotonic() - began_s >= lame_duck_ms / 1e3 - 0.002  # timers of uvloop may ring a little early
        assert not server.app.is_ready
