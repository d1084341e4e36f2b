"""Bodies that are wrong in every way we could think of."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]
import pytest

from tests.http_project import SURE_TEXT
from tests.http_server import PATH, pack

if TYPE_CHECKING:
    from tests.http_server import Running

MSGPACK = {"Content-Type": "application/msgpack"}
DEEP = 10_000


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "text"),
        ({"text": None}, "$.text"),
        ({"text": 5}, "$.text"),
        ({"text": ["a"]}, "$.text"),
        ({"text": ""}, "$.text"),
        ({"text": "x" * 16_385}, "$.text"),
        ({"text": "a\x00b"}, "without NUL characters - at `$.text`"),
        ({"text": "\x00"}, "$.text"),
        ({"text": "a\n\x00\n"}, "$.text"),
        ({"text": "a", "id": ""}, "$.id"),
        ({"text": "a", "id": 5}, "$.id"),
        ({"text": "a", "id": "x" * 257}, "$.id"),
        ({"text": "a", "channel": ""}, "$.channel"),
        ({"text": "a", "channel": None}, "$.channel"),
        ({"text": "a", "customer_id": {}}, "$.customer_id"),
        ({"text": "a", "session_id": 1.5}, "$.session_id"),
        ({"text": "a", "context": None}, "$.context"),
        ({"text": "a", "context": []}, "$.context"),
        ({"text": "a", "context": {"x" * 129: 1}}, "$.context"),
        ({"text": "a", "criticality": "urgent"}, "$.criticality"),
        ({"text": "a", "criticality": 1}, "$.criticality"),
        ({"text": "a", "budget_ms": "50"}, "$.budget_ms"),
    ],
)
def test_a_wrong_type_is_refused_with_the_fields_name_in_both_formats(
    server: Running, fields: dict[str, Any], named: str
) -> None:
    assert named in server.post(fields).problem(400, "malformed")
    assert named in server.ask("POST", PATH, pack(fields), MSGPACK).problem(400, "malformed")


@pytest.mark.parametrize("value", [None, 5, "text", [], [{}], True, 1.5])
def test_a_body_that_is_no_object_is_refused_in_both_formats(server: Running, value: Any) -> None:
    assert "object" in server.post(json.dumps(value).encode()).problem(400, "malformed")
    assert "object" in server.ask("POST", PATH, pack(value), MSGPACK).problem(400, "malformed")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"text"',
        b'{"text": "a"',
        b'{"text": "a",}',
        b"{'text': 'a'}",
        b'{"text": "a"} {}',
        b'{"text": "a\xff"}',
        b'{"text": "\xed\xa0\x80"}',
        b'{"text": "\xc0\x80"}',
        b'{"text": "\\ud800"}',
        b'{"text": "\\udc00\\ud800"}',
        b'{"text": "\\x"}',
        b'{"text": "a\nb"}',
        b'{"text": "a", "context": {"vip": ' + b"9" * 5_000 + b"}}",
        b'{"te\xffxt": "a"}',
        b'\xef\xbb\xbf{"text": "a"}',
        '{"text": "a"}'.encode("utf-16"),
        b"\x00" * 100,
        b"\xff" * 100,
        b"text=a",
    ],
)
def test_bad_json_is_refused(server: Running, body: bytes) -> None:
    assert server.post(body).problem(400, "malformed")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x81\xa4text",
        b"\x81\xa4text\xa1\xff",
        b"\x81\xa4text\xa3\xed\xa0\x80",
        b"\xde\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xffabc",
        b"\x81\xa4text\xdb\xff\xff\xff\xff",
        pack({"text": "a"}) + b"\x00",
        pack({"text": b"a"}),
        pack({"text": "a", "context": {1: 2}}),
        pack({"text": "a", "context": {b"a": 2}}),
        b"\x82\xa4text\xa1a\xa7context\x81\xa1a\x81\x81\x01\x02\x03",
        b"\x82\xa4text\xa1a\xa7context\x81\xa1a\xd6\xff\x00",
    ],
)
def test_bad_messagepack_is_refused(server: Running, body: bytes) -> None:
    assert server.ask("POST", PATH, body, MSGPACK).problem(400, "malformed")


@pytest.mark.parametrize(
    "context",
    [
        {"vip": msgpack.Timestamp(1, 5)},
        {"vip": float("nan")},
        {"vip": b"\xff\xfe"},
        {"vip": 2**64 - 1},
    ],
)
def test_what_only_messagepack_can_say_is_taken_as_context(server: Running, context: dict[str, Any]) -> None:
    body = pack({"text": SURE_TEXT, "context": context})
    reply = server.ask("POST", PATH, body, {**MSGPACK, "Accept": "application/json"})
    assert reply.status == 200, reply.body
    assert reply.json()["rung"] != "guard"


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (msgpack.ExtType(5, b"abc"), "no Ext - at `$.context.x`"),
        ([1, {"y": msgpack.ExtType(5, b"abc")}], "no Ext - at `$.context.x[1].y`"),
        ([msgpack.ExtType(5, b"")], "no Ext - at `$.context.x[0]`"),
        ({1: 2}, "`str` as key, got int - at `$.context.x`"),
        ([{None: 1}], "`str` as key, got NoneType - at `$.context.x[0]`"),
        ({b"y": []}, "`str` as key, got bytes - at `$.context.x`"),
        ([0] * 1_000, "at most 1000 values in all - at `$.context`"),
        ([[0] * 10] * 100, "at most 1000 values in all - at `$.context`"),
    ],
)
def test_what_no_condition_can_read_is_refused_rather_than_letting_it_pass_the_guards(
    server: Running, extra: Any, named: str
) -> None:
    interaction = {"text": SURE_TEXT, "context": {"vip": True, "x": extra}}
    detail = server.ask("POST", PATH, pack(interaction), MSGPACK).problem(400, "malformed")
    assert named in detail
    batch = {"interactions": [{"text": "a"}, interaction]}
    detail = server.ask("POST", f"{PATH}:batch", pack(batch), MSGPACK).problem(400, "malformed")
    assert named.replace("$.context", "$.interactions[1].context") in detail


def test_an_integer_that_no_condition_can_read_is_refused(server: Running) -> None:
    body = b'{"text": "a", "context": {"vip": true, "x": -' + b"9" * 310 + b"}}"
    assert "a smaller integer - at `$.context.x`" in server.post(body).problem(400, "malformed")


def test_a_context_of_the_greatest_size_is_taken(server: Running) -> None:
    reply = server.post({"text": SURE_TEXT, "context": {"vip": True, "x": [0] * 998}})
    assert (reply.status, reply.json()["rung"]) == (200, "guard")


@pytest.mark.parametrize("path", [PATH, f"{PATH}:batch"])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP,
        b'{"text": "a", "unknown": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"text": "a", "context": {"vip": ' + b"[" * DEEP + b"]" * DEEP + b"}}",
        b'{"text": "a", "context": {"vip": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}}",
    ],
)
def test_json_nested_too_deeply_is_refused(server: Running, body: bytes, path: str) -> None:
    server.post(body, path=path).problem(400, "malformed")


@pytest.mark.parametrize(
    "body",
    [
        b"\x91" * DEEP,
        b"\x82\xa4text\xa1a\xa7unknown" + b"\x91" * DEEP + b"\x01",
        b"\x82\xa4text\xa1a\xa7context\x81\xa3vip" + b"\x91" * DEEP + b"\x01",
        b"\x82\xa4text\xa1a\xa7context\x81\xa3vip" + b"\x81\xa1a" * DEEP + b"\x01",
    ],
)
def test_messagepack_nested_too_deeply_is_refused(server: Running, body: bytes) -> None:
    server.ask("POST", PATH, body, MSGPACK).problem(400, "malformed")


@pytest.mark.parametrize("depth", [100, 500, 900])
def test_what_may_be_nested_is_answered_even_by_conditions_that_read_it(server: Running, depth: int) -> None:
    body = b'{"text": "make a transfer", "context": {"vip": ' + b"[" * depth + b"]" * depth + b"}}"
    reply = server.post(body)
    assert reply.status in {200, 400}
    if reply.status == 200:
        assert reply.json()["rung"] != "guard"


@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "a", "context": {"vip": ' + b"9" * 300 + b"}}",
        b'{"text": "a", "context": {"vip": -' + b"9" * 30 + b"}}",
        b'{"text": "a", "unknown": ' + b"9" * 50_000 + b"}",
        b'{"text": "a", "unknown": {"deep": [1, {"x": null}]}}',
        b'{"text": "first", "text": "a"}',
        b'{"text": "a", "context": {"vip": false, "vip": 0}}',
        b'{"text": "a", "id": "\\u0000"}',
        b'{"text": "a", "customer_id": "\\ud83d\\ude00\\uffff"}',
        b'{"text": " \\t\\n "}',
        b'{"text": "?!"}',
        b'{"text": "\\u200b\\u202e\\ufeff"}',
        b'{"text": "\\ud83d\\udcb3"}',
        '{"text": "a\u0301\u0301\u0301\ufdfa"}'.encode(),
    ],
)
def test_what_is_odd_but_no_error_is_answered(server: Running, body: bytes) -> None:
    reply = server.post(body)
    assert reply.status == 200, reply.body
    assert server.ask("GET", f"/v1/decisions/{reply.json()['decision_id']}").status == 200


def test_a_text_of_the_greatest_length_is_answered(server: Running) -> None:
    body = ('{"text": "' + "ﷺ" * 16_384 + '"}').encode()
    assert server.post(body).status == 200


def test_a_megabyte_of_text_is_refused_unread(server: Running) -> None:
    detail = server.post({"text": "x" * 1_000_000}).problem(413, "too-large")
    assert "65536" in detail


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "multipart/form-data", "json", "", "\xff", "x" * 5_000]
)
def test_an_unknown_content_type_is_refused_with_what_is_allowed(server: Running, content_type: str) -> None:
    reply = server.ask("POST", PATH, b'{"text": "a"}', {"Content-Type": content_type})
    detail = reply.problem(415, "unsupported-type")
    assert "application/json" in detail
    assert "application/msgpack" in detail


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "\xff"])
def test_a_compressed_body_is_refused(server: Running, coding: str) -> None:
    body = gzip.compress(b'{"text": "' + b"a" * 100_000 + b'"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    assert "uncompressed" in server.ask("POST", PATH, body, headers).problem(415, "unsupported-type")


def test_identity_is_no_compression(server: Running) -> None:
    assert server.post({"text": "a"}, {"Content-Encoding": "identity"}).status == 200
