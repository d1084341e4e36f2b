"""/v1/tasks over HTTP: created once, told, changed, moved, explained; and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.http_server import pack, unpack

if TYPE_CHECKING:
    from tests.http.conftest import MakeConfig
    from tests.http_desk import Floor
    from tests.http_server import LoopThread, Running

MSGPACK = {"Content-Type": "application/msgpack"}


def test_a_task_is_created_and_told(floor: Floor) -> None:
    reply = floor.ask(
        "POST", "/v1/tasks", {"queue": floor.line, "context": {"order": 7}, "skills": {"german": 2}, "priority": 3}
    )
    task = reply.json()
    assert (reply.status, reply.headers["Location"]) == (201, f"/v1/tasks/{task['id']}")
    assert int(reply.headers["X-Takt-Position"]) > 0
    assert (task["state"], task["position"], task["ewt_s"]) == ("queued", 1, None)
    assert (task["context"], task["skills"], task["priority"]) == ({"order": 7}, {"german": 2}, 3)
    assert task["created_at"].endswith("Z")
    told = floor.ask("GET", f"/v1/tasks/{task['id']}")
    assert told.headers["ETag"] == f'"{task["version"]}"'
    assert {**told.json(), "age_s": 0, "waited_s": 0} == {**task, "age_s": 0, "waited_s": 0}


def test_a_clients_id_is_created_once(floor: Floor) -> None:
    first = floor.ask("POST", "/v1/tasks", {"queue": floor.line, "id": f"mine-{floor.line}"})
    again = floor.ask("POST", "/v1/tasks", {"queue": floor.line, "id": f"mine-{floor.line}", "priority": 9})
    assert (first.status, again.status) == (201, 200)
    assert again.json()["priority"] == 0
    assert again.headers["Idempotent-Replay"] == "true"


def test_an_open_dedupe_key_leads_to_its_task(floor: Floor) -> None:
    first = floor.task(dedupe_key=f"s-{floor.line}")
    assert floor.task(dedupe_key=f"s-{floor.line}")["id"] == first["id"]
    floor.post(f"/v1/tasks/{first['id']}/cancel")
    assert floor.task(dedupe_key=f"s-{floor.line}")["id"] != first["id"]


def test_an_idempotency_key_makes_one_task(floor: Floor) -> None:
    key = {"Idempotency-Key": f"k-{floor.line}"}
    first = floor.ask("POST", "/v1/tasks", {"queue": floor.line}, key)
    again = floor.ask("POST", "/v1/tasks", {"queue": floor.line}, key)
    assert first.json()["id"] == again.json()["id"]
    assert (again.status, again.headers["Idempotent-Replay"]) == (200, "true")
    floor.ask("POST", "/v1/tasks", {"queue": floor.line, "priority": 1}, key).problem(422, "idempotency-key-reused")
    moved = floor.ask("POST", f"/v1/tasks/{first.json()['id']}/cancel", {}, key)
    moved.problem(422, "idempotency-key-reused")
    for bad in ("", "k" * 257):
        reply = floor.ask("POST", "/v1/tasks", {"queue": floor.line}, {"Idempotency-Key": bad})
        assert "Idempotency-Key" in reply.problem(400, "malformed")


def test_message_pack_says_the_same(floor: Floor) -> None:
    reply = floor.ask("POST", "/v1/tasks", pack({"queue": floor.line, "open_at": "2099-01-01T00:00:00Z"}), MSGPACK)
    assert reply.headers["Content-Type"] == "application/msgpack"
    task = unpack(reply.body)
    assert (task["state"], task["is_callback"]) == ("scheduled", True)
    assert task["open_at"] == "2099-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"queue": 7}, "$.queue"),
        ({"queue": "a b"}, "$.queue"),
        ({"id": "a/b"}, "$.id"),
        ({"id": ".."}, "$.id"),
        ({"id": "x" * 129}, "$.id"),
        ({"prio": 1}, "prio"),
        ({"priority": 101}, "$.priority"),
        ({"skills": {"german": 6}}, "$.skills"),
        ({"skills": {"german": 0}}, "$.skills"),
        ({"skills": {"latin": 1}}, "latin"),
        ({"skills": {f"s{n}": 1 for n in range(65)}}, "$.skills"),
        ({"preferred": "ana"}, "$.preferred"),
        ({"excluded": ["a"] * 65}, "$.excluded"),
        ({"context": {"a": list(range(1_001))}}, "$.context"),
        ({"context": {"x" * 129: 1}}, "$.context"),
        ({"context": {"a": json.loads("[" * 64 + "]" * 64)}}, "at most 64 levels"),
        ({"context": {"a": 2**64}}, "a smaller integer - at `$.context.a`"),
        ({"weight": 0}, "$.weight"),
        ({"target_s": 0}, "$.target_s"),
        ({"ttl_s": 1e300}, "$.ttl_s"),
        ({"open_at": "tomorrow"}, "$.open_at"),
        ({"open_at": "2026-01-01T00:00:00"}, "$.open_at"),
        ({"open_at": "9999-01-01T00:00:00Z"}, "$.open_at"),
        ({"customer_lease_s": -1}, "$.customer_lease_s"),
    ],
)
def test_what_is_no_task_is_named(floor: Floor, fields: dict[str, Any], named: str) -> None:
    before = len(floor.do("GET", f"/v1/tasks?queue={floor.line}")["tasks"])
    assert named in floor.ask("POST", "/v1/tasks", {"queue": floor.line, **fields}).problem(400, "malformed")
    assert len(floor.do("GET", f"/v1/tasks?queue={floor.line}")["tasks"]) == before


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"null"])
def test_what_is_no_body_is_refused(floor: Floor, body: bytes) -> None:
    floor.ask("POST", "/v1/tasks", body).problem(400, "malformed")


def test_a_body_that_may_be_missing_has_no_type(floor: Floor) -> None:
    path = f"/v1/tasks/{floor.task()['id']}"
    headers = {"Content-Type": "application/octet-stream"}
    assert floor.ask("POST", f"{path}/cancel", None, headers).json()["state"] == "canceled"
    floor.ask("POST", f"{path}/cancel", b"{}", headers).problem(415, "unsupported-type")


def test_an_unknown_queue_is_not_found(floor: Floor) -> None:
    assert "nowhere" in floor.ask("POST", "/v1/tasks", {"queue": "nowhere"}).problem(404, "not-found")


def test_a_full_queue_says_where_else_to_go(floor: Floor) -> None:
    assert floor.ask("POST", "/v1/tasks", {"queue": "small"}).status == 201
    reply = floor.ask("POST", "/v1/tasks", {"queue": "small"})
    assert (reply.status, reply.json()["code"]) == (503, "engine-full")
    assert reply.json()["fallback"] == "help_desk"
    assert reply.headers["Retry-After"] == "1"
    assert reply.headers["X-Request-Dropped-Reason"] == "engine-full"


def test_a_change_needs_the_version_it_was_made_for(floor: Floor) -> None:
    task = floor.task()
    path = f"/v1/tasks/{task['id']}"
    changed = floor.do("PATCH", path, {"priority": 5, "context": {"a": 1}}, {"If-Match": f'"{task["version"]}"'})
    assert (changed["priority"], changed["context"]) == (5, {"a": 1})
    assert changed["version"] > task["version"]
    floor.ask("PATCH", path, {"priority": 6}, {"If-Match": f'"{task["version"]}"'}).problem(412, "stale_fence")
    assert floor.do("GET", path)["priority"] == 5
    assert floor.do("PATCH", path, {"skills": {"french": 1}}, {"If-Match": "*"})["priority"] == 5
    assert "If-Match" in floor.ask("PATCH", path, {}, {"If-Match": '"a", "b"'}).problem(400, "malformed")


def test_the_list_of_a_queue_is_in_its_order(floor: Floor) -> None:
    ids = [floor.task(priority=priority)["id"] for priority in (0, 2, 1)]
    path = f"/v1/tasks?queue={floor.line}"
    listed = floor.do("GET", path)["tasks"]
    assert [each["id"] for each in listed] == [ids[1], ids[2], ids[0]]
    assert [each["position"] for each in listed] == [1, 2, 3]
    assert "context" not in listed[0]
    page = floor.do("GET", f"{path}&limit=2")
    assert page["next"] == ids[2]
    assert [each["id"] for each in floor.do("GET", f"{path}&limit=2&after={page['next']}")["tasks"]] == [ids[0]]
    floor.post(f"/v1/tasks/{ids[0]}/cancel")
    assert [each["id"] for each in floor.do("GET", f"{path}&state=canceled")["tasks"]] == [ids[0]]
    assert floor.do("GET", f"{path}&limit=0") == {"tasks": [], "next": None}


@pytest.mark.parametrize(
    "query", ["limit=1001", "limit=-1", "limit=x", "state=gone", "after=nobody", "limit=99999999999999999999"]
)
def test_a_query_that_cannot_be_is_named(floor: Floor, query: str) -> None:
    assert query.partition("=")[0] in floor.ask("GET", f"/v1/tasks?{query}").problem(400, "malformed")


def test_a_holder_has_its_list(floor: Floor) -> None:
    ana = floor.agent("ana")
    task = floor.assigned()
    assert [each["id"] for each in floor.do("GET", f"/v1/tasks?resource={ana}")["tasks"]] == [task["id"]]


def test_a_life_from_queue_to_end(floor: Floor) -> None:
    ana = floor.agent("ana")
    task = floor.assigned(context={"a": 1})
    path = f"/v1/tasks/{task['id']}"
    assert (task["state"], task["resource_id"]) == ("assigned", ana)
    assert floor.post(f"{path}/pause")["state"] == "paused"
    assert floor.post(f"{path}/resume")["state"] == "assigned"
    assert floor.post(f"{path}/requeue")["state"] in {"queued", "offered"}
    events = floor.do("GET", f"{path}/events")["events"]
    assert [each["seq"] for each in events] == list(range(1, len(events) + 1))
    assert [each["type"] for each in events][:4] == ["task.queued", "offer.issued", "offer.accepted", "task.assigned"]
    page = floor.do("GET", f"{path}/events?after=2&limit=1")
    assert ([each["seq"] for each in page["events"]], page["next"]) == ([3], 3)


def test_wrap_up_ends_with_the_second_word(floor: Floor) -> None:
    floor.agent("ana")
    task = floor.assigned()
    path = f"/v1/tasks/{task['id']}/complete"
    floor.ask("POST", path, {"fence": task["assignment"]["fence"] + 7}).problem(412, "stale_fence")
    wrapping = floor.post(path, {"outcome": "sold", "fence": task["assignment"]["fence"]})
    assert (wrapping["state"], wrapping["outcome"]) == ("wrapping", "sold")
    assert floor.post(path, {"outcome": "sold"})["state"] == "completed"
    repeat = floor.ask("POST", path, {"outcome": "sold"})
    assert (repeat.status, repeat.headers["Idempotent-Replay"]) == (200, "true")
    floor.ask("POST", f"/v1/tasks/{task['id']}/requeue", {}).problem(409, "conflict")


def test_a_transfer_names_a_queue_or_a_resource(floor: Floor) -> None:
    floor.agent("ana")
    ben = floor.agent("ben", presence="busy")
    task = floor.assigned()
    path = f"/v1/tasks/{task['id']}/transfer"
    floor.ask("POST", path, {}).problem(400, "malformed")
    floor.ask("POST", path, {"queue": "nowhere"}).problem(404, "not-found")
    forced = floor.post(path, {"resource_id": ben, "is_forced": True, "context": {"why": "asked"}})
    assert (forced["state"], forced["resource_id"], forced["context"]) == ("assigned", ben, {"why": "asked"})
    moved = floor.post(path, {"queue": "desk"})
    assert (moved["queue"], moved["state"], moved["context"]) == ("desk", "queued", {"why": "asked"})


def test_a_callback_waits_for_its_time(floor: Floor) -> None:
    task = floor.task()
    called = floor.post(f"/v1/tasks/{task['id']}/callback", {"open_at": "2099-01-01T00:00:00+01:00"})
    assert (called["state"], called["open_at"]) == ("scheduled", "2098-12-31T23:00:00.000000Z")


def test_a_bots_task_goes_to_people(floor: Floor) -> None:
    floor.agent("robot", kind="bot")
    task = floor.task()
    assert task["state"] == "assigned"
    human = floor.post(f"/v1/tasks/{task['id']}/escalate", {"reason": "stuck", "context": {"turns": 3}})
    assert (human["state"], human["context"]) == ("queued", {"turns": 3})


def test_a_signal_is_noted_and_may_move(floor: Floor) -> None:
    task = floor.task()
    upset = floor.post(f"/v1/tasks/{task['id']}/signals", {"sentiment": -0.9})
    assert upset["is_upset"] is True
    reply = floor.ask("POST", f"/v1/tasks/{task['id']}/signals", {"text": "let me talk to a real person"})
    assert reply.status == 200
    assert reply.json()["queue"] == "humans"
    decision = floor.do("GET", f"/v1/decisions/{reply.headers['X-Takt-Decision']}")
    assert decision["route"] == "human_agent"
    for wrong in ({"sentiment": 2}, {"source": "a b"}, {"text": ""}, {"mood": 1}):
        floor.ask("POST", f"/v1/tasks/{task['id']}/signals", wrong).problem(400, "malformed")


def test_why_it_waits(floor: Floor) -> None:
    floor.agent("ana", presence="away")
    task = floor.task()
    told = floor.do("GET", f"/v1/tasks/{task['id']}/explain")
    assert (told["task_id"], told["blocking"]) == (task["id"], "presence")
    assert told["unblock"]


@pytest.mark.parametrize("name", ["nobody", "%2e%2e", "a b", "x" * 200, "%ff", "a%00"])
def test_there_is_no_such_task(floor: Floor, name: str) -> None:
    name = name.replace(" ", "%20")
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("GET", "/explain"),
        ("GET", "/events"),
        ("POST", "/cancel"),
        ("POST", "/complete"),
        ("POST", "/signals"),
    ):
        floor.ask(method, f"/v1/tasks/{name}{path}", {} if method != "GET" else None).problem(404, "not-found")


def test_other_paths_and_methods(floor: Floor) -> None:
    task = floor.task()
    floor.ask("GET", f"/v1/tasks/{task['id']}/nothing").problem(404, "not-found")
    floor.ask("GET", f"/v1/tasks/{task['id']}/cancel/now").problem(404, "not-found")
    reply = floor.ask("DELETE", f"/v1/tasks/{task['id']}")
    reply.problem(405, "method-not-allowed")
    assert reply.headers["Allow"] == "GET, HEAD, PATCH"


def test_an_ended_task_is_canceled_once(floor: Floor) -> None:
    task = floor.task()
    path = f"/v1/tasks/{task['id']}/cancel"
    assert floor.post(path, {"reason": "abandoned"})["outcome"] == "abandoned"
    assert floor.ask("POST", path, {}).headers["Idempotent-Replay"] == "true"
    floor.ask("POST", path, {"reason": "why not"}).problem(400, "malformed")
    floor.ask("PATCH", f"/v1/tasks/{task['id']}", {"priority": 1}).problem(409, "conflict")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/tasks"),
        ("GET", "/v1/tasks"),
        ("GET", "/v1/tasks/t-1"),
        ("POST", "/v1/tasks/t-1/cancel"),
        ("POST", "/v1/offers/t-1-1/accept"),
        ("PUT", "/v1/resources/ana"),
        ("GET", "/v1/resources"),
        ("GET", "/v1/queues"),
        ("GET", "/v1/skills"),
        ("GET", "/v1/stats/queues"),
        ("POST", "/v1/policies:dry-run"),
        ("GET", "/v1/agents/ana/stream"),
        ("GET", "/v1/supervisor/stream"),
    ],
)
def test_a_server_without_queues_says_what_is_missing(server: Running, method: str, path: str) -> None:
    reply = server.ask(method, path, b"{}" if method != "GET" else None, {"Content-Type": "application/json"})
    assert "queues.toml" in reply.problem(404, "no-assignment")


def test_nothing_is_done_before_the_tasks_are_there(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    config = make_config()
    (config.folder / "queues.toml").write_text("[queues.cards]\n[queues.desk]\n[queues.humans]\n", encoding="utf-8")
    with loop_thread.serving(config, start=False) as running:
        reply = running.ask("GET", "/v1/queues")
        reply.problem(503, "unavailable")
        assert reply.headers["Retry-After"] == "1"


def test_tasks_outlive_a_restart(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    config = make_config()
    (config.folder / "queues.toml").write_text("[queues.cards]\n[queues.desk]\n[queues.humans]\n", encoding="utf-8")
    key = {"Idempotency-Key": "once"}
    with loop_thread.serving(config) as running:
        first = running.post({"queue": "desk", "id": "kept"}, key, "/v1/tasks")
        assert first.status == 201
    with loop_thread.serving(config) as running:
        assert running.ask("GET", "/v1/tasks/kept").json()["created_at"] == first.json()["created_at"]
        again = running.post({"queue": "desk", "id": "kept"}, key, "/v1/tasks")
        assert (again.status, again.headers["Idempotent-Replay"]) == (200, "true")
        events = running.ask("GET", "/v1/tasks/kept/events").json()["events"]
        assert [each["type"] for each in events] == ["task.queued"]


def test_an_ended_task_that_left_memory_is_still_told(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    config = make_config()
    queues = "keep_closed = 0\n[queues.cards]\n[queues.desk]\n[queues.humans]\n"
    (config.folder / "queues.toml").write_text(queues, encoding="utf-8")
    with loop_thread.serving(config) as running:
        running.post({"queue": "desk", "id": "gone"}, path="/v1/tasks")
        running.post({}, path="/v1/tasks/gone/cancel")
    with loop_thread.serving(config) as running:  # closing writes a checkpoint
        assert "gone" not in running.app.desk.state.tasks  # type: ignore[union-attr] # it has one
        assert running.ask("GET", "/v1/tasks/gone").json()["state"] == "canceled"
        assert len(running.ask("GET", "/v1/tasks/gone/events").json()["events"]) == 2
        again = running.post({"queue": "desk", "id": "gone"}, path="/v1/tasks")
        assert (again.status, again.json()["state"], again.headers["Idempotent-Replay"]) == (200, "canceled", "true")


def test_a_repeat_is_answered_though_its_task_left_memory(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    config = make_config()
    queues = "keep_closed = 0\n[queues.cards]\n[queues.desk]\n[queues.humans]\n"
    (config.folder / "queues.toml").write_text(queues, encoding="utf-8")
    create, end = {"Idempotency-Key": "create"}, {"Idempotency-Key": "end"}
    with loop_thread.serving(config) as running:
        made = running.post({"queue": "desk"}, create, "/v1/tasks").json()
        path = f"/v1/tasks/{made['id']}/cancel"
        assert running.post({}, end, path).json()["state"] == "canceled"
        for where, body, key in (("/v1/tasks", {"queue": "desk"}, create), (path, {}, end)):
            again = running.post(body, key, where)
            found = again.json()
            assert (again.status, found["id"], found["state"]) == (200, made["id"], "canceled"), again.body
            assert again.headers["Idempotent-Replay"] == "true"
        running.post({"queue": "cards"}, create, "/v1/tasks").problem(422, "idempotency-key-reused")
