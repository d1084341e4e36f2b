"""POST /v1/interactions:batch: each its own answer or problem, in the order of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.http_project import SURE_ROUTE, SURE_TEXT
from tests.http_server import JSON_TYPE, PATH, pack, unpack

if TYPE_CHECKING:
    from tests.http_server import Running

BATCH = f"{PATH}:batch"
LIMIT = 256


def _ask(server: Running, interactions: list[dict[str, Any]], **fields: Any) -> list[dict[str, Any]]:
    reply = server.post({"interactions": interactions, **fields}, path=BATCH)
    assert reply.status == 200, reply.body
    body = reply.json()
    assert body.keys() == {"decisions"}
    answers: list[dict[str, Any]] = body["decisions"]
    assert len(answers) == len(interactions)
    return answers


def test_a_full_batch_is_answered_in_order(server: Running) -> None:
    answers = _ask(server, [{"text": SURE_TEXT, "id": f"i-{number}"} for number in range(LIMIT)], budget_ms=5_000)
    assert [answer["interaction_id"] for answer in answers] == [f"i-{number}" for number in range(LIMIT)]
    assert {answer["route"] for answer in answers} == {SURE_ROUTE}
    assert len({answer["decision_id"] for answer in answers}) == LIMIT


def test_each_has_its_own_budget_and_its_own_problem(server: Running) -> None:
    budgets = [None, 900, 0, -1, 1e300, -1e308, 0.001]
    answers = _ask(server, [{"text": SURE_TEXT, "budget_ms": budget} for budget in budgets], budget_ms=1_000)
    granted = [answer["budget"]["total_ms"] if "budget" in answer else answer["code"] for answer in answers]
    assert granted == [1_000, 900, "deadline-expired", "deadline-expired", 1_000, *["deadline-expired"] * 2]
    assert answers[2].keys() == {"title", "status", "code", "detail"}
    assert answers[2]["status"] == 504


def test_a_budget_of_one_that_is_no_number_is_its_own_problem(server: Running) -> None:
    sent = {"interactions": [{"text": SURE_TEXT, "budget_ms": float("nan")}, {"text": SURE_TEXT}]}
    reply = server.ask("POST", BATCH, pack(sent), {"Content-Type": "application/msgpack"})
    first, second = unpack(reply.body)["decisions"]
    assert (first["status"], first["code"]) == (400, "malformed")
    assert "budget_ms" in first["detail"]
    assert second["route"] == SURE_ROUTE


def test_headers_hold_for_all(server: Running) -> None:
    sent = {"interactions": [{"text": SURE_TEXT}, {"text": SURE_TEXT, "budget_ms": 500}]}
    decisions = server.post(sent, {"X-Request-Timeout-Ms": "700"}, BATCH).json()["decisions"]
    assert [each["budget"]["total_ms"] for each in decisions] == [700, 500]
    server.post(sent, {"X-Request-Timeout-Ms": "soon"}, BATCH).problem(400, "malformed")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({}, "interactions"),
        ({"interactions": []}, "$.interactions"),
        ({"interactions": [{"text": "a"}] * (LIMIT + 1)}, "$.interactions"),
        ({"interactions": [{"text": "a"}, {"text": 5}]}, "$.interactions[1].text"),
        ({"interactions": [{"text": "a"}, None]}, "$.interactions[1]"),
        ({"interactions": {"text": "a"}}, "$.interactions"),
        ({"interactions": [{"text": "a"}], "budget_ms": "x"}, "$.budget_ms"),
        ([{"text": "a"}], "object"),
    ],
)
def test_a_batch_that_is_malformed_is_refused_whole(server: Running, value: Any, named: str) -> None:
    assert named in server.post(value, path=BATCH).problem(400, "malformed")


def test_a_batch_may_be_larger_than_one_interaction_but_not_boundless(server: Running) -> None:
    many = [{"text": "x" * 6_000}] * LIMIT
    assert len(_ask(server, many, budget_ms=5_000)) == LIMIT
    huge = server.ask("POST", BATCH, b" " * 2_097_153, JSON_TYPE)
    assert "2097152" in huge.problem(413, "too-large")
