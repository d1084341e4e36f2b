"""A server that is told to stop: what it has accepted it answers."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from router.server import drain
from tests.http_project import SURE_TEXT
from tests.http_server import JSON_TYPE, request

if TYPE_CHECKING:
    from concurrent.futures import Future

    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread, Reply, Running

ASK = request(json.dumps({"text": SURE_TEXT}).encode(), "Content-Type: application/json")


def _drain(loop_thread: LoopThread, server: Running) -> Future[None]:
    """Begin to drain; back when it has begun."""
    draining = asyncio.run_coroutine_threadsafe(drain(server.app, server.http, server.listener), loop_thread.loop)
    while server.app.is_ready:
        time.sleep(0.001)
    return draining


def _is_last(reply: Reply) -> bool:
    return reply.headers["Connection"] == "close"


def test_open_connections_get_one_more_answer_and_readiness_fails(
    loop_thread: LoopThread, make_config: MakeConfig
) -> None:
    with loop_thread.serving(make_config()) as server, ExitStack() as stack:
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
        draining.result(5)


def test_pipelined_requests_are_all_answered(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    with loop_thread.serving(make_config(log__durability="commit"), allow_faults=True) as server:
        server.ask("PUT", "/v1/admin/faults", b'{"store": {"delay_ms": 40}}', JSON_TYPE)
        with server.wire() as wire:
            wire.send(ASK * 5)
            draining = _drain(loop_thread, server)
            replies = [wire.reply() for _ in range(5)]
            assert [reply.status for reply in replies] == [200] * 5
            assert [_is_last(reply) for reply in replies] == [False] * 4 + [True]
            assert wire.is_closed()
        draining.result(5)


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
        draining.result(5)


def test_nobody_who_was_let_in_by_the_kernel_is_turned_away(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    """Connections that wait in the port's queue while the event loop is busy."""
    with loop_thread.serving(make_config(), allow_faults=True) as server:
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
        draining.result(5)


def test_an_idle_server_drains_at_once(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    with loop_thread.serving(make_config(drain_ms="600000")) as server:
        _drain(loop_thread, server).result(5)
