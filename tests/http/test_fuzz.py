"""Whatever comes, it is answered, never with a 500, and so is the next request."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http_project import SURE_TEXT
from tests.http_server import PATH, pack, request

if TYPE_CHECKING:
    from tests.http_server import Reply, Running

QUICK = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TYPES = st.sampled_from(["application/json", "application/msgpack", "application/json; charset=utf-16", "a/b"])
TEXTS = st.one_of(st.text(min_size=1, max_size=200), st.just(SURE_TEXT))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=20), st.binary(max_size=9)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
NAMES = ["text", "id", "channel", "customer_id", "session_id", "context", "budget_ms", "criticality", "new"]
# Mostly well formed, so that the fuzz reaches what lies behind the decoder.
LIKELY = st.fixed_dictionaries(
    {"text": TEXTS},
    optional={
        "id": st.text(min_size=1, max_size=30),
        "customer_id": st.text(min_size=1, max_size=30),
        "context": st.dictionaries(st.sampled_from(["vip", "cart_value", ""]), VALUES, max_size=3),
        "budget_ms": st.floats() | st.integers(-5, 10_000),
        "criticality": st.sampled_from(["critical", "sheddable", "x"]),
        "new": VALUES,
    },
)
HEADER_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)


def _answered(reply: Reply) -> None:
    """Decided, or refused with a problem."""
    if reply.status != 200:
        assert reply.status in {400, 413, 415, 422, 504}
        reply.problem(reply.status, reply.json()["code"])


@QUICK
@given(body=st.binary(max_size=300), content_type=TYPES)
def test_random_bytes(server: Running, body: bytes, content_type: str) -> None:
    _answered(server.ask("POST", PATH, body, {"Content-Type": content_type}))


@QUICK
@given(value=st.dictionaries(st.sampled_from(NAMES), VALUES) | VALUES, in_batch=st.booleans())
def test_random_values(server: Running, value: Any, in_batch: bool) -> None:
    path, value = (f"{PATH}:batch", {"interactions": [value]}) if in_batch else (PATH, value)
    _answered(server.ask("POST", path, pack(value), {"Content-Type": "application/msgpack"}))
    _answered(server.post(json.dumps(value, default=repr).encode(errors="replace"), path=path))


@QUICK
@given(value=LIKELY)
def test_random_interactions(server: Running, value: dict[str, Any]) -> None:
    packed = {"Content-Type": "application/msgpack", "Accept": "application/json"}
    reply = server.ask("POST", PATH, pack(value), packed)
    _answered(reply)
    if reply.status == 200:
        record = server.ask("GET", f"/v1/decisions/{reply.json()['decision_id']}").json()
        assert record["text"] == value["text"]


@QUICK
@given(
    name=st.sampled_from(
        ["X-Request-Timeout-Ms", "grpc-timeout", "Prefer", "Accept", "Content-Type", "Content-Encoding", "Cookie",
         "X-Criticality", "Idempotency-Key", "traceparent", "tracestate", "Origin", "Authorization", "Expect",
         "Connection"]
    ),
    value=HEADER_TEXT,
)  # fmt: skip
def test_random_headers(server: Running, name: str, value: str) -> None:
    body = b'{"text": "a"}'
    with server.wire() as wire:
        wire.send(request(body, f"{name}: {value}"))
        _answered(wire.reply())


@QUICK
@given(data=st.binary(min_size=1, max_size=300) | st.lists(st.sampled_from(
    [b"POST /v1/interactions HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\n", b"Host: a\r\n", b"Content-Length: 5\r\n",
     b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n",
     b"\r\n", b"0\r\n\r\n", b"5\r\nabcde\r\n", b'{"text":"a"}', b"\x00", b"\xff"]), max_size=12).map(b"".join)
)  # fmt: skip
def test_random_http(server: Running, data: bytes) -> None:
    with server.wire() as wire:
        wire.send(data)
        wire.end()
        while True:
            try:
                reply = wire.reply()
            except (HTTPException, ConnectionError):
                break
            assert reply.status < 500


@pytest.mark.parametrize("path", ["/v1/decisions/", "/v1/admin/", "/"])
@QUICK
@given(rest=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80))
def test_random_paths(server: Running, path: str, rest: str) -> None:
    with server.wire() as wire:
        wire.send(request(b"", method="GET", path=path + rest))
        assert wire.reply().status in {200, 400, 404, 405}
