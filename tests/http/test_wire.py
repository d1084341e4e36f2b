"""HTTP itself: malformed, slow, broken off, pipelined, half closed."""

from __future__ import annotations

import json
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.http_project import SURE_ROUTE, SURE_TEXT
from tests.http_server import PATIENCE_S, Running, Wire, request

if TYPE_CHECKING:
    from tests.http.conftest import Blunders, MakeConfig
    from tests.http_server import LoopThread

BODY = json.dumps({"text": SURE_TEXT}).encode()
JSON_LINE = "Content-Type: application/json"
ASK = request(BODY, JSON_LINE)


def _chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = request(b"", JSON_LINE, "Transfer-Encoding: chunked", length=False)
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def _is_decided(wire: Wire) -> bool:
    reply = wire.reply()
    return reply.status == 200 and reply.json()["route"] == SURE_ROUTE


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"garbage\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTX/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX y: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        request(BODY, JSON_LINE, "Content-Length: -1", length=False),
        request(BODY, JSON_LINE, "Content-Length: 5x", length=False),
        request(BODY, JSON_LINE, "Content-Length: " + "9" * 40, length=False),
        request(BODY, JSON_LINE, "Content-Length: 1"),
        request(BODY, JSON_LINE, "Transfer-Encoding: chunked"),
        request(BODY, JSON_LINE, "Transfer-Encoding: gzip, chunked, identity", length=False),
        _chunked(end=b"zz\r\n\r\n"),
        _chunked(end=b"-5\r\n\r\n"),
        _chunked(end=b"f" * 20 + b"\r\n\r\n"),
    ],
)
def test_bad_http_is_a_problem_and_ends_the_connection(server: Running, sent: bytes) -> None:
    with server.wire() as wire:
        wire.send(sent)
        reply = wire.reply()
        assert reply.status == 400
        reply.problem(400, reply.json()["code"])
        assert reply.json()["code"] in {"bad-http", "malformed"}
        assert wire.is_closed()


def test_a_connection_is_kept_for_many_requests(server: Running) -> None:
    with server.wire() as wire:
        for _ in range(20):
            wire.send(ASK)
            assert _is_decided(wire)


def test_a_problem_does_not_end_the_connection(server: Running) -> None:
    with server.wire() as wire:
        for bad in (request(b"{", JSON_LINE), request(b"", path="/nowhere"), request(BODY, "Content-Type: text/plain")):
            wire.send(bad)
            assert wire.reply().status >= 400
        wire.send(ASK)
        assert _is_decided(wire)


@pytest.mark.parametrize("count", [2, 50, 500])
def test_pipelined_requests_are_answered_in_order(server: Running, count: int) -> None:
    with server.wire() as wire:
        for number in range(count):
            wire.send(request(json.dumps({"text": SURE_TEXT, "id": str(number)}).encode(), JSON_LINE))
        assert [wire.reply().json()["interaction_id"] for _ in range(count)] == [str(n) for n in range(count)]


def test_what_is_pipelined_behind_bad_http_is_not_answered(server: Running) -> None:
    with server.wire() as wire:
        wire.send(ASK)
        assert _is_decided(wire)
        wire.send(b"garbage\r\n\r\n" + ASK)
        wire.reply().problem(400, "bad-http")
        assert wire.is_closed()


def test_http_1_0_is_answered_and_closed(server: Running) -> None:
    with server.wire() as wire:
        wire.send(ASK.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert _is_decided(wire)
        assert wire.is_closed()


def test_connection_close_is_obeyed(server: Running) -> None:
    with server.wire() as wire:
        wire.send(request(BODY, JSON_LINE, "Connection: close"))
        assert _is_decided(wire)
        assert wire.is_closed()


@pytest.mark.parametrize(
    "lines",
    [
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"),
    ],
)
def test_an_upgrade_that_is_not_offered_is_ignored(server: Running, lines: tuple[str, ...]) -> None:
    with server.wire() as wire:
        wire.send(request(BODY, JSON_LINE, *lines))
        assert _is_decided(wire)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_chunked_body_is_put_together(server: Running, size: int) -> None:
    with server.wire() as wire:
        wire.send(_chunked(*(BODY[at : at + size] for at in range(0, len(BODY), size))))
        assert _is_decided(wire)
        wire.send(ASK)
        assert _is_decided(wire)


def test_a_body_that_comes_byte_by_byte_is_put_together(server: Running) -> None:
    with server.wire() as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(ASK)):
            wire.send(ASK[at : at + 1])
        assert _is_decided(wire)


@pytest.mark.parametrize("chunk", [b"x" * 1_000, b"x" * 60_000])
def test_a_chunked_body_without_an_end_is_refused_when_it_is_too_large(server: Running, chunk: bytes) -> None:
    with server.wire() as wire:
        wire.send(_chunked(*[chunk] * (70_000 // len(chunk) + 1), end=b""))
        wire.reply().problem(413, "too-large")
        wire.end()
        assert wire.is_closed()


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(server: Running) -> None:
    with server.wire() as wire:
        wire.send(request(b"", JSON_LINE, "Content-Length: 100000000", "Expect: 100-continue", length=False))
        wire.reply().problem(413, "too-large")
        wire.end()
        assert wire.is_closed()


@pytest.mark.parametrize("stated", ["100-continue", "100-Continue"])
def test_who_asks_before_sending_the_body_is_told_to_go_on(server: Running, stated: str) -> None:
    with server.wire() as wire:
        wire.send(request(b"", JSON_LINE, f"Content-Length: {len(BODY)}", f"Expect: {stated}", length=False))
        assert wire.line() == b"HTTP/1.1 100 Continue\r\n"
        assert wire.line() == b"\r\n"
        wire.send(BODY)
        assert _is_decided(wire)


def test_who_asks_with_a_wrong_type_is_not_told_to_go_on(server: Running) -> None:
    with server.wire() as wire:
        wire.send(request(b"", "Content-Type: a/b", "Content-Length: 50", "Expect: 100-continue", length=False))
        assert wire.line().startswith(b"HTTP/1.1 415")


@pytest.mark.parametrize("sent", [ASK[:-5], _chunked(BODY[:10], end=b"")])
def test_a_body_that_does_not_come_is_given_up(server: Running, sent: bytes) -> None:
    with server.wire() as wire:
        wire.send(sent)
        assert "300 ms" in wire.reply().problem(408, "body-timeout")
        assert wire.is_closed()


@pytest.mark.parametrize("sent", [ASK[:-5], _chunked(BODY[:10], end=b""), ASK[: -len(BODY)]])
def test_a_client_that_stops_in_the_middle_of_a_body_is_told(slow: Running, sent: bytes) -> None:
    before = time.monotonic()
    with slow.wire() as wire:
        wire.send(sent)
        wire.end()
        assert "broke off" in wire.reply().problem(400, "malformed")
        assert wire.is_closed()
    assert time.monotonic() - before < 4  # not when body_timeout_ms, 5 s, is over


@pytest.mark.parametrize("sent", [b"", b"POST /v1/inter", ASK[:60]])
def test_a_client_that_stops_before_its_request_is_closed(server: Running, sent: bytes) -> None:
    with server.wire() as wire:
        wire.send(sent)
        wire.end()
        assert wire.is_closed()


@pytest.mark.parametrize("times", range(10))
def test_a_half_closed_connection_gets_its_answer(server: Running, times: int) -> None:
    with server.wire() as wire:
        wire.send(ASK)
        wire.end()
        assert _is_decided(wire)
        assert wire.is_closed()


def test_a_half_closed_connection_gets_an_answer_that_takes_long(slow: Running) -> None:
    with slow.wire() as wire:
        wire.send(ASK)
        time.sleep(0.03)  # so that the decision is under way
        wire.end()
        assert _is_decided(wire)
        assert wire.is_closed()


@pytest.mark.parametrize("pause_s", [0, 0.05])
def test_a_half_closed_connection_gets_all_the_answers_that_it_is_owed(slow: Running, pause_s: float) -> None:
    with slow.wire() as wire:
        wire.send(ASK * 3)
        time.sleep(pause_s)
        wire.end()
        for _ in range(3):
            assert _is_decided(wire)
        assert wire.is_closed()


def test_a_half_closed_connection_that_was_answered_is_closed(server: Running) -> None:
    with server.wire() as wire:
        wire.send(ASK)
        assert _is_decided(wire)
        wire.end()
        assert wire.is_closed()


def _reset(wire: Wire) -> None:
    """Close as a client that crashes does."""
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


@pytest.mark.parametrize("sent", [b"", ASK[:50], ASK[:-5], ASK, ASK * 5, _chunked(BODY, end=b"")])
def test_clients_that_vanish_do_no_harm(server: Running, slow: Running, sent: bytes) -> None:
    for running in (server, slow):
        for leave in (Wire.close, _reset):
            wire = running.wire()
            wire.send(sent)
            leave(wire)
    assert slow.decide(SURE_TEXT)["route"] == SURE_ROUTE
    deadline = time.monotonic() + PATIENCE_S
    while slow.app.pipeline.admission.inflight and time.monotonic() < deadline:
        time.sleep(0.01)
    assert slow.app.pipeline.admission.inflight == 0


def test_one_connection_more_than_allowed_is_closed_and_the_others_are_served(
    loop_thread: LoopThread, make_config: MakeConfig
) -> None:
    with loop_thread.serving(make_config(max_connections="3")) as server, ExitStack() as stack:
        wires = [stack.enter_context(server.wire()) for _ in range(3)]
        for wire in wires:
            wire.send(ASK)
            assert _is_decided(wire)
        with server.wire() as too_many:
            assert too_many.is_closed()
        wires.pop().close()
        wires[0].send(ASK)
        assert _is_decided(wires[0])
        deadline = time.monotonic() + 5
        while len(server.http.connections) > 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        with server.wire() as another:
            another.send(ASK)
            assert _is_decided(another)


def test_an_idle_connection_and_half_a_request_line_are_closed(
    loop_thread: LoopThread, make_config: MakeConfig
) -> None:
    with loop_thread.serving(make_config(keepalive_s="0.2")) as server:
        for sent in (b"", b"POST /v1/inter", ASK[:60]):
            with server.wire() as wire:
                wire.send(sent)
                assert wire.is_closed()


def test_more_than_can_be_decided_at_once_are_refused_with_when_to_come_again(
    loop_thread: LoopThread, make_config: MakeConfig
) -> None:
    config = make_config(admission__max_inflight="1", log__durability="commit")
    with loop_thread.serving(config, allow_faults=True) as server, ThreadPoolExecutor(4) as pool:
        server.ask("PUT", "/v1/admin/faults", b'{"store": {"delay_ms": 300}}', {"Content-Type": "application/json"})
        replies = list(pool.map(lambda _: server.post({"text": SURE_TEXT}), range(4)))
        refused = [reply for reply in replies if reply.status != 200]
        assert len(refused) == 3
        for reply in refused:
            reply.problem(503, "rejected-inflight")
            assert reply.headers["Retry-After"] == "1"
        assert server.decide(SURE_TEXT)["route"] == SURE_ROUTE


def test_a_bug_is_a_500_without_a_traceback_and_the_server_lives(
    server: Running, monkeypatch: pytest.MonkeyPatch, blunders: Blunders
) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError("secret")

    with monkeypatch.context() as patch:
        patch.setattr(server.app.pipeline, "finish", explode)
        reply = server.post({"text": SURE_TEXT}, {"Idempotency-Key": "bug"})
    assert "secret" not in reply.problem(500, "internal")
    assert "ZeroDivisionError" in blunders.seen.pop()
    assert server.post({"text": SURE_TEXT}, {"Idempotency-Key": "bug"}).status == 200
