"""POST /v1/interactions: what is asked, what is answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from budgets.ledger import STAGES
from tests.http_project import SURE_ROUTE, SURE_TEXT
from tests.http_server import PATH, pack, unpack

if TYPE_CHECKING:
    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread, Running

MSGPACK = "application/msgpack"
RUNGS = {"guard", "large", "small", "cache", "rules", "default"}
REASONS = {"guard", "model", "cache", "rule", "default", "unsure", "policy", "experiment"}
FULL = {
    "id": "mine-1",
    "channel": "chat",
    "text": SURE_TEXT,
    "customer_id": "c-1",
    "session_id": "s-1",
    "context": {"cart_value": 80, "vip": False, "nested": {"a": [1, None, "x"]}},
    "budget_ms": 1500,
    "criticality": "critical",
}


def test_answers_with_every_field_of_the_contract(server: Running) -> None:
    answer = server.post(FULL).json()
    assert answer.keys() == {
        "decision_id", "interaction_id", "route", "target", "rung", "degraded", "confidence",
        "alternatives", "reason", "task", "budget", "admission",
    }  # fmt: skip
    assert answer["interaction_id"] == "mine-1"
    assert answer["route"] == SURE_ROUTE
    assert answer["target"] == {"kind": "workflow", "name": "transfers"}
    assert answer["rung"] in RUNGS
    assert answer["reason"] in REASONS
    assert answer["degraded"] == "none"
    assert 0 <= answer["confidence"] <= 1
    assert answer["alternatives"]
    assert all(each.keys() == {"route", "confidence"} for each in answer["alternatives"])
    assert answer["task"] is None
    assert answer["budget"]["total_ms"] == 1500


def test_the_clients_id_comes_back_or_that_of_the_decision(server: Running) -> None:
    answer = server.decide("add funds now!")
    assert answer["interaction_id"] == answer["decision_id"]
    assert len(answer["decision_id"]) == 32


@pytest.mark.parametrize(
    ("fields", "route", "rung", "reason"),
    [
        ({"text": "I want a REAL person, I lost my card"}, "human_agent", "guard", "guard"),
        ({"text": "Mitarbeiterin bitte"}, "human_agent", "guard", "guard"),
        ({"text": "make a transfer", "context": {"vip": True}}, "human_agent", "guard", "guard"),
        ({"text": "wire cash to a friend today, thanks"}, "transfer", "small", "model"),
        ({"text": "sing a song!"}, "human_agent", "small", "unsure"),
    ],
)
def test_guards_win_then_models_then_unsure(
    server: Running, fields: dict[str, Any], route: str, rung: str, reason: str
) -> None:
    answer = server.post(fields).json()
    assert (answer["route"], answer["rung"], answer["reason"], answer["degraded"]) == (route, rung, reason, "none")


def test_the_same_text_again_is_answered_from_the_cache(server: Running) -> None:
    first = server.decide("hi, charge my balance, twice")
    second = server.decide("  HI, charge my balance, twice ")
    assert (first["rung"], second["rung"]) == ("small", "cache")
    assert second["reason"] == "cache"
    assert second["degraded"] == "none"
    assert second["route"] == first["route"]
    assert second["decision_id"] != first["decision_id"]


@pytest.mark.parametrize(
    ("text", "rung", "route"), [("i lost my card", "rules", "card_lost"), ("anything", "default", "help_desk")]
)
def test_before_the_models_are_there_the_floor_answers(
    loop_thread: LoopThread, make_config: MakeConfig, text: str, rung: str, route: str
) -> None:
    with loop_thread.serving(make_config(), start=False) as cold:
        answer = cold.decide(text)
    assert (answer["rung"], answer["route"], answer["degraded"]) == (rung, route, "cold")


@pytest.mark.parametrize(
    "sent", ["application/json", "application/json; charset=utf-8", MSGPACK, "application/x-msgpack"]
)
@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, None),
        ("*/*", None),
        ("application/json", "application/json"),
        (MSGPACK, MSGPACK),
        ("text/html, application/x-msgpack;q=0.9, application/json", MSGPACK),
        ("text/html", None),
    ],
)
def test_the_answer_has_the_format_that_is_accepted_else_that_of_the_request(
    server: Running, sent: str, accept: str | None, expected: str | None
) -> None:
    is_json = "json" in sent
    body = json.dumps(FULL).encode() if is_json else pack(FULL)
    headers = {"Content-Type": sent} if accept is None else {"Content-Type": sent, "Accept": accept}
    reply = server.ask("POST", PATH, body, headers)
    assert reply.status == 200, reply.body
    got = expected or ("application/json" if is_json else MSGPACK)
    assert reply.headers["Content-Type"] == got
    answer = reply.json() if got == "application/json" else unpack(reply.body)
    assert answer["route"] == SURE_ROUTE


def test_without_a_content_type_it_is_json(server: Running) -> None:
    assert server.ask("POST", PATH, json.dumps(FULL).encode()).status == 200


@pytest.mark.parametrize("text", [SURE_TEXT, "real person", "x " * 2_000])
def test_stages_have_names_of_the_list_and_sum_to_elapsed(server: Running, text: str) -> None:
    for _ in range(5):
        budget = server.decide(text)["budget"]
        stages = budget["stages_ms"]
        assert stages.keys() <= set(STAGES)
        assert {"parse", "admit", "floor", "policy", "encode"} <= stages.keys()
        elapsed = budget["elapsed_ms"]
        assert sum(stages.values()) == pytest.approx(elapsed, rel=0.02, abs=0.5)
        assert budget["total_ms"] == 2_000
        assert "late" not in budget


def test_headers_say_which_rung_and_where_the_time_went(server: Running) -> None:
    reply = server.post(FULL)
    answer = reply.json()
    assert reply.headers["X-Route-Rung"] == answer["rung"]
    assert reply.headers["X-Route-Degraded"] == answer["degraded"]
    timing = _timing(reply.headers["Server-Timing"])
    total = timing.pop("total")
    assert timing.pop("budget") == 1500
    assert timing.keys() <= set(STAGES)
    assert sum(timing.values()) == pytest.approx(total, rel=0.02, abs=0.5)
    assert total >= answer["budget"]["elapsed_ms"]
    assert float(reply.headers["X-Budget-Remaining-Ms"]) == pytest.approx(1500 - total, abs=0.01)


def _timing(header: str) -> dict[str, float]:
    parts = [part.strip().split(";dur=") for part in header.split(",")]
    return {name: float(duration) for name, duration in parts}


def test_a_trace_goes_on_and_one_that_is_not_there_is_not_begun(server: Running) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    sent = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "tracestate": "vendor=1"}
    reply = server.post(FULL, sent)
    version, same, span_id, _ = reply.headers["traceparent"].split("-")
    assert (version, same) == ("00", trace_id)
    assert span_id != "b7ad6b7169203331"
    assert reply.headers["tracestate"] == "vendor=1"
    record = server.ask("GET", f"/v1/decisions/{reply.json()['decision_id']}").json()
    assert record["trace_id"] == trace_id
    assert "traceparent" not in server.post(FULL).headers


@pytest.mark.parametrize("traceparent", ["", "00-zz-1-01", "ff-" + "0" * 32, "00-" + "0" * 32 + "-" + "0" * 16 + "-00"])
def test_a_trace_context_that_is_none_does_no_harm(server: Running, traceparent: str) -> None:
    assert server.post(FULL, {"traceparent": traceparent, "tracestate": "=,\xff"}).status == 200


@pytest.mark.parametrize("stated", ["critical-plus", "critical", "sheddable-plus", " SHEDDABLE "])
def test_criticality_may_come_in_a_header_which_counts(server: Running, stated: str) -> None:
    answer = server.decide(SURE_TEXT, {"X-Criticality": stated}, criticality="critical")
    record = server.ask("GET", f"/v1/decisions/{answer['decision_id']}").json()
    assert record.get("criticality", "critical") == stated.strip().lower()


def test_a_criticality_that_is_none_is_named(server: Running) -> None:
    detail = server.post(FULL, {"X-Criticality": "urgent"}).problem(400, "malformed")
    assert detail.startswith("X-Criticality")
    assert "sheddable-plus" in detail
