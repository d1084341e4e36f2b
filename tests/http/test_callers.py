"""Who asks: a caller's key, what it may ask for, and what is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.http_project import SURE_TEXT
from tests.http_server import JSON_TYPE, PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from budgets.deadline import Budget
    from router.domain.decision import Decision
    from router.policy.point import Point, Request
    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread, Running

SHOP, BATCH = "shop-0123456789ab", "batch-0123456789a"


@pytest.fixture(scope="module")
def keyed(loop_thread: LoopThread, make_config: MakeConfig) -> Iterator[Running]:
    """A server that knows two callers, and lets nobody else be more than `sheddable-plus`."""
    config = make_config(
        most_critical="sheddable-plus",
        callers__shop__key=SHOP,
        callers__shop__most_critical="critical",
        callers__batch__key=BATCH,
        callers__batch__most_critical="sheddable",
    )
    with loop_thread.serving(config) as running:
        yield running


def _of(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def _granted(server: Running, answer: Any) -> str:
    """The criticality that the answer tells, and the log with it."""
    granted = str(answer["admission"]["criticality"])
    assert server.ask("GET", f"/v1/decisions/{answer['decision_id']}").json()["criticality"] == granted
    return granted


@pytest.mark.parametrize(
    ("key", "stated", "granted"),
    [
        (SHOP, "critical-plus", "critical"),
        (SHOP, "critical", "critical"),
        (SHOP, "sheddable", "sheddable"),
        (SHOP, None, "critical"),
        (BATCH, "critical-plus", "sheddable"),
        (BATCH, None, "sheddable"),
        (None, "critical-plus", "sheddable-plus"),
        (None, "sheddable", "sheddable"),
        (None, None, "sheddable-plus"),
    ],
)
def test_nobody_is_more_critical_than_he_may_be(
    keyed: Running, key: str | None, stated: str | None, granted: str
) -> None:
    fields = {} if stated is None else {"criticality": stated}
    assert _granted(keyed, keyed.decide(SURE_TEXT, _of(key), **fields)) == granted
    if stated is not None:
        assert _granted(keyed, keyed.decide(SURE_TEXT, {**_of(key), "X-Criticality": stated})) == granted
    batch = {"interactions": [{"text": SURE_TEXT, **fields}]}
    (answer,) = keyed.post(batch, _of(key), f"{PATH}:batch").json()["decisions"]
    assert _granted(keyed, answer) == granted


def test_the_header_counts_before_the_body_and_both_are_lowered(keyed: Running) -> None:
    headers = {**_of(SHOP), "X-Criticality": "sheddable-plus"}
    assert _granted(keyed, keyed.decide(SURE_TEXT, headers, criticality="critical-plus")) == "sheddable-plus"
    headers = {**_of(SHOP), "X-Criticality": "critical-plus"}
    assert _granted(keyed, keyed.decide(SURE_TEXT, headers, criticality="sheddable")) == "critical"


@pytest.mark.parametrize("path", [PATH, f"{PATH}:batch"])
@pytest.mark.parametrize(
    "authorization", ["", "Bearer", f"Bearer {SHOP}x", f"Basic {SHOP}", SHOP, "Bearer \xff", f"Bearer {SHOP} {BATCH}"]
)
def test_who_is_nobody_that_is_known_is_refused_before_his_body_is_read(
    keyed: Running, path: str, authorization: str
) -> None:
    reply = keyed.ask("POST", path, b"no json", {**JSON_TYPE, "Authorization": authorization})
    assert SHOP not in reply.problem(401, "unauthorized")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", [PATH, f"{PATH}:batch"])
def test_the_pipeline_is_told_who_asks(keyed: Running, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    decide, seen = keyed.app.pipeline.decide, []

    async def note(point: Point, request: Request, budget: Budget) -> Decision:
        seen.append(request.caller)
        return await decide(point, request, budget)

    monkeypatch.setattr(keyed.app.pipeline, "decide", note)
    for key in (SHOP, BATCH, None):
        assert keyed.post({"text": SURE_TEXT, "interactions": [{"text": SURE_TEXT}]}, _of(key), path).status == 200
    assert seen == ["shop", "batch", None]


def test_refusals_are_counted(keyed: Running) -> None:
    keyed.post({"text": SURE_TEXT}, _of("x" * 20)).problem(401, "unauthorized")
    assert 'takt_refused_total{reason="unauthorized"}' in keyed.ask("GET", "/metrics").body.decode()


def test_a_callers_key_is_not_the_admins(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    config = make_config(admin_token="the-token-of-the-admin", callers__shop__key=SHOP)
    with loop_thread.serving(config) as server:
        server.ask("GET", "/v1/admin/models", headers=_of(SHOP)).problem(401, "unauthorized")
        server.post({"text": SURE_TEXT}, _of("the-token-of-the-admin")).problem(401, "unauthorized")
        assert server.ask("GET", "/v1/admin/models", headers=_of("the-token-of-the-admin")).status == 200


def test_callers_do_not_share_their_idempotency_keys(keyed: Running) -> None:
    body = {"text": SURE_TEXT}
    answers = [
        keyed.post(body, {**_of(key), "Idempotency-Key": "order-7"}).json()["decision_id"]
        for key in (SHOP, BATCH, None, SHOP, BATCH, None)
    ]
    assert answers[:3] == answers[3:]
    assert len(set(answers)) == 3
    assert keyed.post({"text": "another"}, {**_of(SHOP), "Idempotency-Key": "order-8"}).status == 200
    assert keyed.post({"text": "a third"}, {**_of(BATCH), "Idempotency-Key": "order-8"}).status == 200


def test_without_callers_a_header_for_somebody_else_is_let_through(server: Running) -> None:
    for authorization in ("Bearer of-a-gateway", "Basic dXNlcjpwdw==", ""):
        answer = server.decide(SURE_TEXT, {"Authorization": authorization}, criticality="critical-plus")
        assert _granted(server, answer) == "critical-plus"


def test_the_description_names_the_scheme_and_the_refusal(keyed: Running) -> None:
    description = keyed.ask("GET", "/openapi.json").json()
    assert description["components"]["securitySchemes"]["caller"]["scheme"] == "bearer"
    for path in (PATH, f"{PATH}:batch"):
        operation = description["paths"][path]["post"]
        assert operation["security"] == [{}, {"caller": []}]
        assert "401" in operation["responses"]
