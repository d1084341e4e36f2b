"""/v1/admin/faults and /v1/decisions/{id}: who may, and what."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.http_project import SURE_TEXT
from tests.http_server import JSON_TYPE, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread, Running

FAULTS = "/v1/admin/faults"
GUARDED = (FAULTS, "/v1/decisions/0123456789abcdef", "/v1/admin/models")
NOTHING = {
    "large": {"delay_ms": 0.0, "error_share": 0.0, "nan_share": 0.0},
    "small": {"delay_ms": 0.0, "error_share": 0.0, "nan_share": 0.0},
    "store": {"delay_ms": 0.0, "down": False},
    "loop": {"block_ms": 0.0},
    "executor": {"block_ms": 0.0},
}


def _put(server: Running, plan: Any) -> Any:
    reply = server.ask("PUT", FAULTS, json.dumps(plan).encode(), JSON_TYPE)
    assert reply.status == 200, reply.body
    return reply.json()


@pytest.fixture
def faulty(server: Running) -> Iterator[Running]:
    yield server
    assert _put(server, {}) == NOTHING


@pytest.fixture(scope="module")
def with_token(loop_thread: LoopThread, make_config: MakeConfig) -> Iterator[Running]:
    with loop_thread.serving(make_config(admin_token="s3cret-ü")) as running:
        yield running


def test_faults_are_put_told_and_cleared(faulty: Running) -> None:
    plan = {"small": {"error_share": 1}, "store": {"delay_ms": 5}}
    put = _put(faulty, plan)
    assert put == {**NOTHING, "small": {**NOTHING["small"], "error_share": 1}, "store": {"delay_ms": 5, "down": False}}
    assert faulty.ask("GET", FAULTS).json() == put
    assert _put(faulty, {}) == faulty.ask("GET", FAULTS).json() == NOTHING


@pytest.mark.parametrize("fault", [{"error_share": 1}, {"nan_share": 1}])
def test_a_rung_that_fails_is_replaced_by_the_floor(faulty: Running, fault: dict[str, float]) -> None:
    _put(faulty, {"small": fault})
    answer = faulty.decide(f"i lost my card {fault}")
    assert (answer["rung"], answer["route"], answer["degraded"]) == ("rules", "card_lost", "error")
    record = faulty.ask("GET", f"/v1/decisions/{answer['decision_id']}").json()
    assert record["skipped"] == [["small", "error"]]


def test_a_slow_rung_is_slow(faulty: Running) -> None:
    _put(faulty, {"small": {"delay_ms": 30}})
    assert faulty.decide("is the transfer slow today?")["budget"]["elapsed_ms"] >= 30


def test_what_came_after_a_stall_is_not_charged_for_it(faulty: Running) -> None:
    """Four stalls of 200 ms in a row; right after them, budgets of 100 ms are whole."""
    _put(faulty, {"small": {"delay_ms": 200}})
    with ThreadPoolExecutor(4) as pool:
        stalled = list(pool.map(lambda n: faulty.post({"text": f"stalled {n}", "budget_ms": 100}), range(4)))
    _put(faulty, {})
    after = [faulty.post({"text": f"after {n}", "budget_ms": 100}).json() for n in range(4)]
    assert any(reply.status == 504 or reply.json()["budget"].get("late") for reply in stalled)
    assert max(answer["budget"]["elapsed_ms"] for answer in after) < 100
    assert not any(answer["budget"].get("late", False) for answer in after)


def test_a_late_answer_under_a_key_is_a_late_answer(faulty: Running) -> None:
    """As without one: only who repeats a request waits on a clock of his own."""
    faulty.app.point.plan.rungs[0].cost.restart()  # what earlier faults taught it would keep it from being asked
    _put(faulty, {"small": {"delay_ms": 150}})
    reply = faulty.post({"text": "late under a key", "budget_ms": 100}, {"Idempotency-Key": "late"})
    assert reply.status == 200
    assert reply.json()["budget"]["late"] is True


def test_a_store_that_is_down_loses_no_answer(faulty: Running) -> None:
    _put(faulty, {"store": {"down": True}})
    answer = faulty.decide(SURE_TEXT)
    path = f"/v1/decisions/{answer['decision_id']}"
    assert faulty.ask("GET", path).status == 200  # it waits in memory
    detail = faulty.ask("GET", GUARDED[1]).problem(503, "unavailable")
    assert "down" in detail
    _put(faulty, {})
    assert faulty.ask("GET", path).json()["decision_id"] == answer["decision_id"]


def test_a_blocked_loop_and_executor_are_blocked_and_freed(faulty: Running) -> None:
    before = time.monotonic()
    _put(faulty, {"loop": {"block_ms": 60}, "executor": {"block_ms": 20}})
    assert time.monotonic() - before >= 0.06
    assert _put(faulty, {}) == NOTHING


def test_between_two_blocks_the_loop_is_free_for_a_second(faulty: Running) -> None:
    """Else a long block could not be ended."""
    faults = faulty.app.faults
    assert faults is not None
    _put(faulty, {"loop": {"block_ms": 300}})

    async def free_s() -> float:
        (timer,) = faults._timers.values()
        return timer.when() - asyncio.get_running_loop().time()

    assert faulty.run(free_s()) > 0.8  # of the second, what the way here has not used


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        ({"huge": {}}, "huge"),
        ({"large": {"delay": 5}}, "delay"),
        ({"large": {"delay_ms": -1}}, "$.large.delay_ms"),
        ({"large": {"delay_ms": 1e9}}, "$.large.delay_ms"),
        ({"large": {"error_share": 1.1}}, "$.large.error_share"),
        ({"large": {"nan_share": "x"}}, "$.large.nan_share"),
        ({"store": {"down": 1}}, "$.store.down"),
        ({"loop": 5}, "$.loop"),
        ([], "object"),
        (None, "object"),
    ],
)
def test_what_is_no_fault_is_refused_and_changes_nothing(faulty: Running, plan: Any, named: str) -> None:
    before = _put(faulty, {"small": {"delay_ms": 1}})
    reply = faulty.ask("PUT", FAULTS, json.dumps(plan).encode(), JSON_TYPE)
    assert named in reply.problem(400, "malformed")
    assert faulty.ask("GET", FAULTS).json() == before


def test_without_allow_faults_there_are_none(with_token: Running) -> None:
    token = {"Authorization": "Bearer s3cret-\xc3\xbc"}
    with_token.ask("GET", FAULTS, headers=token).problem(404, "not-found")
    assert "--allow-faults" in with_token.ask("PUT", FAULTS, b"{}", token).problem(404, "not-found")


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via", "x-forwarded-for", "Origin"])
def test_without_a_token_nobody_is_let_in_through_a_proxy(server: Running, path: str, header: str) -> None:
    assert "server.admin_token" in server.ask("GET", path, headers={header: "127.0.0.1"}).problem(403, "forbidden")


@pytest.mark.parametrize("path", GUARDED)
def test_a_page_whose_name_was_bent_to_this_machine_is_not_let_in(server: Running, path: str) -> None:
    """DNS rebinding: a page's own name, resolved to this machine, makes it ask without an Origin."""
    server.ask("GET", path, headers={"Host": f"pages.example:{server.port}"}).problem(403, "forbidden")


def test_without_a_token_this_machine_is_let_in(server: Running) -> None:
    assert server.ask("GET", FAULTS).status == 200
    server.ask("GET", GUARDED[1]).problem(404, "not-found")


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer ", "Bearer s3cret", "Basic s3cret-\xc3\xbc", "s3cret-\xc3\xbc", "Bearer \xff", "\xff"],
)
def test_with_a_token_only_who_has_it_is_let_in(with_token: Running, path: str, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    with_token.ask("GET", path, headers=headers).problem(401, "unauthorized")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_with_the_token_even_a_proxy_is_let_in(with_token: Running, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} s3cret-\xc3\xbc", "X-Forwarded-For": "203.0.113.7"}
    with_token.ask("GET", GUARDED[1], headers=headers).problem(404, "not-found")


def test_a_decision_is_found_right_after_its_answer(server: Running) -> None:
    answer = server.decide(
        "hi, add funds today, please",
        id="i", channel="mail", customer_id="c", session_id="s", criticality="sheddable",
    )  # fmt: skip
    record = server.ask("GET", f"/v1/decisions/{answer['decision_id']}").json()
    for ours, theirs in {
        "decision_id": answer["decision_id"], "interaction_id": "i", "channel": "mail", "customer_id": "c",
        "session_id": "s", "criticality": "sheddable", "text": "hi, add funds today, please", "point": "interactions",
        "plan_version": server.app.point.plan.version, "route": answer["route"], "rung": answer["rung"],
        "reason": answer["reason"], "target_name": answer["target"]["name"], "total_ms": 2_000,
    }.items():  # fmt: skip
        assert record[ours] == theirs
    assert record["stages_ms"].keys() <= answer["budget"]["stages_ms"].keys()


def test_a_guards_match_is_told(server: Running) -> None:
    answer = server.decide("a real person please")
    record = server.ask("GET", f"/v1/decisions/{answer['decision_id']}").json()
    assert record["match"]["name"] == "wants_human"
    assert "real person" in record["match"]["why"]


@pytest.mark.parametrize(
    "name",
    ["0" * 32, "x", "", "a/b", "..", "%00", "%ff", "%ed%a0%80", "%F0%9F%92%B3", "%D9%A3", "x" * 5_000, "'--"],
)
def test_a_decision_that_is_not_there_is_not_found(server: Running, name: str) -> None:
    with server.wire() as wire:
        path = f"/v1/decisions/{name}".encode()
        wire.send(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reply = wire.reply()
    reply.problem(404, "not-found")


def test_a_log_whose_file_was_taken_away_is_unavailable(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    config = make_config()
    with loop_thread.serving(config) as server:
        for file in config.path("var").iterdir():
            file.unlink()
        server.ask("GET", GUARDED[1]).problem(503, "unavailable")
        assert server.decide(SURE_TEXT)["rung"] == "small"


def test_pages_come_in_the_format_that_is_accepted(faulty: Running) -> None:
    accept = {"Accept": "application/msgpack"}
    decision_id = faulty.decide(SURE_TEXT)["decision_id"]
    record, as_json = (faulty.ask("GET", f"/v1/decisions/{decision_id}", headers=asked) for asked in (accept, {}))
    assert record.headers["Content-Type"] == "application/msgpack"
    assert unpack(record.body) == as_json.json()
    plan = {"small": {"delay_ms": 1.0}}
    put = faulty.ask("PUT", FAULTS, pack(plan), {"Content-Type": "application/msgpack"})
    got = faulty.ask("GET", FAULTS, headers=accept)
    assert put.headers["Content-Type"] == got.headers["Content-Type"] == "application/msgpack"
    assert unpack(put.body) == unpack(got.body) == faulty.ask("GET", FAULTS).json()
    assert unpack(put.body)["small"]["delay_ms"] == 1.0
