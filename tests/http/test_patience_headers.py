"""Every way to state a budget: the smallest counts, none is trusted to be a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.http_project import SURE_TEXT
from tests.http_server import PATH, pack, request

if TYPE_CHECKING:
    from tests.http_server import Running

MSGPACK = {"Content-Type": "application/msgpack"}
HEADERS = ("X-Request-Timeout-Ms", "x-envoy-expected-rq-timeout-ms", "grpc-timeout", "Prefer")


@pytest.mark.parametrize(
    ("headers", "budget_ms", "granted_ms"),
    [
        ({}, None, 2_000),
        ({}, 700, 700),
        ({}, 812.5, 812.5),
        ({"X-Request-Timeout-Ms": "600"}, None, 600),
        ({"x-request-timeout-ms": " 600.5 "}, None, 600.5),
        ({"X-Envoy-Expected-Rq-Timeout-Ms": "900"}, None, 900),
        ({"grpc-timeout": "1S"}, None, 1_000),
        ({"grpc-timeout": "700m"}, None, 700),
        ({"grpc-timeout": "800000u"}, None, 800),
        ({"grpc-timeout": "1H"}, None, 5_000),
        ({"Prefer": "wait=1"}, None, 1_000),
        ({"Prefer": 'respond-async, wait="1"; foo'}, None, 1_000),
        ({"Prefer": "return=minimal"}, None, 2_000),
        ({"X-Request-Timeout-Ms": "900", "grpc-timeout": "600m", "Prefer": "wait=1"}, 700, 600),
        ({"X-Request-Timeout-Ms": "900", "grpc-timeout": "800m"}, 700, 700),
        ({"X-Request-Timeout-Ms": "800", "x-envoy-expected-rq-timeout-ms": "700"}, 900, 700),
        ({}, 1e300, 5_000),
        ({"X-Request-Timeout-Ms": "1e300"}, None, 5_000),
        ({"Prefer": "wait=1e308"}, None, 5_000),
        ({"grpc-timeout": "99999999H"}, None, 5_000),
        ({"X-Request-Timeout-Ms": "1e300"}, 600, 600),
    ],
)
def test_the_smallest_counts_and_is_cut_to_the_maximum(
    server: Running, headers: dict[str, str], budget_ms: float | None, granted_ms: float
) -> None:
    answer = server.decide(SURE_TEXT, headers, budget_ms=budget_ms)
    assert answer["budget"]["total_ms"] == granted_ms


@pytest.mark.parametrize(
    ("lines", "granted_ms"),
    [
        (["X-Request-Timeout-Ms: 900", "X-Request-Timeout-Ms: 600"], 600),
        (["grpc-timeout: 600m", "grpc-timeout: 1S"], 600),
        (["Prefer: respond-async", "Prefer: wait=1"], 1_000),
    ],
)
def test_a_header_that_comes_twice_is_read_twice(server: Running, lines: list[str], granted_ms: float) -> None:
    with server.wire() as wire:
        wire.send(request(b'{"text": "a"}', "Content-Type: application/json", *lines))
        assert wire.reply().json()["budget"]["total_ms"] == granted_ms


@pytest.mark.parametrize(
    ("headers", "budget_ms"),
    [
        ({}, 0),
        ({}, -0.0),
        ({}, -5),
        ({}, -1e308),
        ({}, 1e-300),
        ({"X-Request-Timeout-Ms": "0"}, None),
        ({"X-Request-Timeout-Ms": "-1"}, 1_000),
        ({"x-envoy-expected-rq-timeout-ms": "-1e308"}, None),
        ({"grpc-timeout": "0S"}, None),
        ({"grpc-timeout": "1n"}, None),
        ({"Prefer": "wait=0"}, None),
        ({"Prefer": "wait=-1e307"}, None),
        ({"grpc-timeout": "0m", "X-Request-Timeout-Ms": "900"}, 900),
    ],
)
def test_a_budget_that_has_run_out_is_refused_at_once(
    server: Running, headers: dict[str, str], budget_ms: float | None
) -> None:
    before = server.app.pipeline.admission.inflight
    server.post({"text": SURE_TEXT, "budget_ms": budget_ms}, headers).problem(504, "deadline-expired")
    assert server.app.pipeline.admission.inflight == before == 0


@pytest.mark.parametrize(
    "value", ["", "NaN", "nan", "inf", "-Infinity", "soon", "5ms", "1_000", "0x10", "\xff", "9" * 500]
)
@pytest.mark.parametrize("header", HEADERS)
def test_what_is_no_number_is_refused_with_the_headers_name(server: Running, header: str, value: str) -> None:
    stated = f"wait={value}" if header == "Prefer" else value
    detail = server.post({"text": SURE_TEXT}, {header: stated}).problem(400, "malformed")
    assert detail.lower().startswith(header.lower())


@pytest.mark.parametrize("value", ["123456789S", "5", "S", "5s", "-5S", "5.5S", "5 S"])
def test_a_grpc_timeout_has_up_to_8_digits_and_a_unit(server: Running, value: str) -> None:
    assert "H M S m u n" in server.post({"text": SURE_TEXT}, {"grpc-timeout": value}).problem(400, "malformed")


@pytest.mark.parametrize(
    "written", [b"NaN", b"Infinity", b'"50"', b"true", b"[50]", b"{}", b"1e999", b"9" * 400, b"0x32", b"5_0"]
)
def test_a_budget_in_json_that_is_no_number_is_refused(server: Running, written: bytes) -> None:
    reply = server.post(b'{"text": "a", "budget_ms": ' + written + b"}")
    detail = reply.problem(400, "malformed")
    assert "budget_ms" in detail or "the body is not json" in detail


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), "50", True, [50]])
def test_a_budget_in_messagepack_that_is_no_number_is_refused(server: Running, value: Any) -> None:
    body = pack({"text": SURE_TEXT, "budget_ms": value})
    assert "budget_ms" in server.ask("POST", PATH, body, MSGPACK).problem(400, "malformed")


def test_a_budget_that_no_answer_fits_is_refused(server: Running) -> None:
    reply = server.post({"text": SURE_TEXT, "budget_ms": 0.05})
    assert reply.status == 504
    assert reply.json()["code"] in {"deadline-expired", "deadline-unmeetable"}
    assert "Retry-After" not in reply.headers
