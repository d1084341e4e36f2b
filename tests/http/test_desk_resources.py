"""/v1/resources, /v1/queues, /v1/skills, /v1/stats and /v1/policies over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.http_desk import Floor


def test_a_resource_is_put_and_told(floor: Floor) -> None:
    path = f"/v1/resources/ana.{floor.line}"
    wanted = {
        "queues": [floor.line],
        "channels": {"chat": {"most": 3}, "voice": {"weight": 4}},
        "capacity": 4,
        "skills": {"german": 5},
        "attributes": {"site": "Berlin"},
        "name": "Ana",
    }
    assert floor.ask("PUT", path, wanted).status == 201
    put = floor.ask("PUT", path, {**wanted, "capacity": 6})
    assert (put.status, put.json()["capacity"]) == (200, 6)
    told = floor.do("GET", path)
    assert told == put.json()
    assert told["channels"] == {
        "chat": {"most": 3, "weight": None},
        "voice": {"most": told["channels"]["voice"]["most"], "weight": 4},
    }
    assert (told["presence"], told["used"], told["tasks"]) == ("offline", 0, [])


@pytest.mark.parametrize(
    ("fields", "status", "named"),
    [
        ({"queues": None}, 400, "$.queues"),
        ({"queues": ["nowhere"]}, 404, "nowhere"),
        ({"channels": {}}, 400, "$.channels"),
        ({"channels": {"chat": {"most": 0}}}, 400, "Expected `int` >= 1 - at `$.channels.chat.most`"),
        ({"channels": {"chat": {"least": 1}}}, 400, "least"),
        ({"capacity": 0}, 400, "$.capacity"),
        ({"capacity": 1, "reserve": 1}, 400, "capacity"),
        ({"skills": {"french": 3, "german": 6}}, 400, "Expected `int` <= 5 - at `$.skills.german`"),
        ({"skills": {"french": "7"}}, 400, "Expected `int`, got `str` - at `$.skills.french`"),
        ({"skills": {"a b": 1}}, 400, "- at key 'a b' in `$.skills`"),
        ({"skills": {"latin": 1}}, 400, "latin"),
        ({"kind": "human"}, 400, "$.kind"),
        ({"success": 1.1}, 400, "$.success"),
        ({"attributes": {"x": list(range(1_001))}}, 400, "$.attributes"),
    ],
)
def test_what_is_no_resource_is_named(floor: Floor, fields: dict[str, Any], status: int, named: str) -> None:
    wanted = {"queues": [floor.line], "channels": {"chat": {}}, **fields}
    reply = floor.ask("PUT", f"/v1/resources/ana.{floor.line}", wanted)
    assert named in reply.problem(status, "malformed" if status == 400 else "not-found")
    floor.ask("GET", f"/v1/resources/ana.{floor.line}").problem(404, "not-found")


@pytest.mark.parametrize("name", ["supervisor", "customer", "a" * 129])
def test_a_name_that_means_somebody_else_is_not_given(floor: Floor, name: str) -> None:
    """An agent of that name would act as a supervisor, or speak for the customer."""
    wanted = {"queues": [floor.line], "channels": {"chat": {}}}
    assert name in floor.ask("PUT", f"/v1/resources/{name}", wanted).problem(400, "malformed")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"skils": {}}, "`skils`; allowed: queues, channels, kind, name, capacity, reserve, skills, attributes"),
        ({"attributes": {"n": [2**70]}}, "a smaller integer - at `$.attributes.n[0]`"),
        ({"kind": "robot"}, "'robot' - at `$.kind`; allowed: agent, bot, recommender, workflow"),
        ({"channels": {"chat": {"max": 3}}}, "`max` - at `$.channels.chat`; allowed: most, weight"),
    ],
)
def test_a_field_that_is_not_known_is_named_with_those_that_are(
    floor: Floor, fields: dict[str, Any], said: str
) -> None:
    wanted = {"queues": [floor.line], "channels": {"chat": {}}, **fields}
    assert said in floor.ask("PUT", "/v1/resources/ana", wanted).problem(400, "malformed")


def test_presence_and_sessions(floor: Floor) -> None:
    ana = floor.agent("ana", presence="offline")
    path = f"/v1/resources/{ana}"
    floor.ask("POST", f"{path}/heartbeat", {}).problem(409, "conflict")
    signed = floor.post(f"{path}/presence", {"presence": "available"})
    assert signed["resource"]["presence"] == "available"
    assert signed["session"]
    beat = floor.post(f"{path}/heartbeat", {"session": signed["session"]})
    assert (beat["presence"], beat["is_suspect"], beat["lease_s"]) == ("available", False, 600.0)
    assert 0 < beat["next_s"] < beat["lease_s"]
    assert floor.post(f"{path}/heartbeat")["presence"] == "available"
    floor.ask("POST", f"{path}/heartbeat", {"session": "old"}).problem(409, "conflict")
    kept = floor.post(f"{path}/presence", {"presence": "away", "reason": "lunch"})
    assert (kept["session"], kept["resource"]["presence_reason"]) == (signed["session"], "lunch")
    other = floor.post(f"{path}/presence", {"presence": "available", "session": "tab-2"})
    assert (other["session"], other["resource"]["epoch"]) == ("tab-2", kept["resource"]["epoch"] + 1)
    assert floor.post(f"{path}/drain")["resource"]["presence"] == "draining"
    for wrong in ({"presence": "missed"}, {}, {"presence": "away", "session": "a b"}):
        floor.ask("POST", f"{path}/presence", wrong).problem(400, "malformed")


def test_who_drains_gets_nothing_and_keeps_what_it_has(floor: Floor) -> None:
    ana = floor.agent("ana")
    task = floor.assigned()
    floor.post(f"/v1/resources/{ana}/drain", {"reason": "end of shift"})
    assert floor.task()["offered_to"] == []
    work = floor.do("GET", f"/v1/resources/{ana}/work")
    assert ([each["id"] for each in work["tasks"]], work["offers"]) == ([task["id"]], [])


def test_work_is_all_that_there_is_to_do(floor: Floor) -> None:
    ana = floor.agent("ana")
    held = floor.assigned(context={"n": 1})
    asked, offer = floor.offered(context={"n": 2})
    work = floor.do("GET", f"/v1/resources/{ana}/work")
    assert [each["context"] for each in work["tasks"]] == [{"n": 1}]
    assert [(each["offer"]["id"], each["task"]["context"]) for each in work["offers"]] == [(offer, {"n": 2})]
    assert work["offers"][0]["offer"]["expires_in_s"] > 0
    assert work["resource"]["tasks"] == [held["id"], asked["id"]]


def test_the_list_of_resources(floor: Floor) -> None:
    names = [floor.agent(name) for name in ("ana", "ben")] + [floor.agent("eve", presence="offline")]
    path = f"/v1/resources?queue={floor.line}"
    assert [each["id"] for each in floor.do("GET", path)["resources"]] == names
    assert [each["id"] for each in floor.do("GET", f"{path}&presence=available")["resources"]] == names[:2]
    page = floor.do("GET", f"{path}&limit=1")
    assert page["next"] == names[0]
    assert [each["id"] for each in floor.do("GET", f"{path}&after={names[0]}")["resources"]] == names[1:]
    assert "after" in floor.ask("GET", "/v1/resources?after=nobody").problem(400, "malformed")
    assert "presence" in floor.ask("GET", "/v1/resources?presence=asleep").problem(400, "malformed")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/work"), ("POST", "/presence"), ("POST", "/drain"), ("POST", "/heartbeat")],
)
def test_there_is_no_such_resource(floor: Floor, method: str, path: str) -> None:
    body = {"presence": "away"} if path == "/presence" else None if method == "GET" else {}
    floor.ask(method, f"/v1/resources/nobody{path}", body).problem(404, "not-found")


def test_queues_are_told_and_closed_by_hand(floor: Floor) -> None:
    floor.agent("ana", capacity=1)
    floor.task()
    floor.task()
    path = f"/v1/queues/{floor.line}"
    told = floor.do("GET", path)
    assert (told["is_open"], told["is_open_by_hand"], told["waiting"], told["agents"]) == (True, None, 2, 1)
    assert told["ewt_s"] > 0
    assert told["oldest_s"] >= 0
    assert told["name"] in {each["name"] for each in floor.do("GET", "/v1/queues")["queues"]}
    closed = floor.do("PUT", f"{path}/open", {"is_open": False})
    assert (closed["is_open"], closed["is_open_by_hand"]) == (False, False)
    assert floor.do("PUT", f"{path}/open", {"is_open": None})["is_open_by_hand"] is None
    for wrong in ({}, {"is_open": "no"}, {"is_open": 1}):
        floor.ask("PUT", f"{path}/open", wrong).problem(400, "malformed")
    floor.ask("PUT", "/v1/queues/nowhere/open", {"is_open": True}).problem(404, "not-found")
    floor.ask("GET", "/v1/queues/nowhere").problem(404, "not-found")


def test_skills_are_counted(floor: Floor) -> None:
    before = {each["name"]: each for each in floor.do("GET", "/v1/skills")["skills"]}
    floor.agent("ana", skills={"french": 3})
    after = {each["name"]: each for each in floor.do("GET", "/v1/skills")["skills"]}
    assert after["french"]["resources"] == before["french"]["resources"] + 1
    assert after["french"]["levels"]["3"] == before["french"]["levels"].get("3", 0) + 1
    assert {"german", "french"} <= after.keys()


def test_statistics_count_what_happened(floor: Floor) -> None:
    ana = floor.agent("ana")
    floor.assigned()
    floor.post(f"/v1/tasks/{floor.task()['id']}/cancel", {"reason": "abandoned"})
    page = floor.do("GET", "/v1/stats/queues?window=3600")
    (queue,) = (each for each in page["queues"] if each["queue"] == floor.line)
    assert (page["window_s"], queue["queued"], queue["answered"], queue["abandoned"]) == (3_600, 2, 1, 1)
    assert (queue["sl1_share"], queue["abandoned_share"], queue["agents"]) == (1.0, 0.5, 1)
    agents = {each["resource_id"]: each for each in floor.do("GET", "/v1/stats/agents?limit=1000")["agents"]}
    assert (agents[ana]["offers"], agents[ana]["accepted"]) == (2, 1)
    eva = floor.agent("eva")
    names: list[str] = []
    after = ana[:-1]  # comes right before
    while after is not None:
        page = floor.do("GET", f"/v1/stats/agents?limit=1&after={after}")
        names, after = names + [each["resource_id"] for each in page["agents"]], page["next"]
    assert names == sorted(set(names))
    assert {ana, eva} <= set(names)
    assert "window" in floor.ask("GET", "/v1/stats/queues?window=86401").problem(400, "malformed")


def test_a_dry_run_tells_who_would_be_met(floor: Floor) -> None:
    floor.agent("ana", presence="away", skills={"german": 2})
    task = floor.task()
    active = floor.do("GET", "/v1/policies/assignment/versions")["active"]
    policy = floor.do("GET", f"/v1/policies/assignment/versions/{active}")["policy"]
    same = floor.post("/v1/policies:dry-run", {"policy": policy})
    assert (same["is_valid"], same["problems"], same["changes"]["blocked_total"]) == (True, [], 0)
    policy["queues"][floor.line] = {"skills": {"german": 3}}
    stricter = floor.post("/v1/policies:dry-run", {"policy": policy})
    assert task["id"] in stricter["changes"]["blocked"]
    assert stricter["version"] != same["version"]
    del policy["queues"][floor.line]
    gone = floor.post("/v1/policies:dry-run", {"policy": policy})
    assert (gone["is_valid"], task["id"] in gone["changes"]["homeless"]) == (False, True)
    assert any(floor.line in problem for problem in gone["problems"])
    assert floor.do("GET", f"/v1/queues/{floor.line}")["waiting"] == 1


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"toml": "[queues.a]\nmost = 0\n"}, "most"),
        ({"toml": "[queues.a]\noverflow = [{ when = 'waiting >' }]\n"}, "when"),
        (
            {"policy": {"queues": {"a": {"steps": [{"when": "resource.attribute.tier == 'a'"}]}}}},
            "queues.a.steps[0].when: `resource.attribute.tier == 'a'` names resource.attribute; the fields of resource",
        ),
        ({"toml": "[queues.a]\nescalate_to = 'b'\n"}, "escalate_to"),
        ({"policy": {"queues": {"a b": {}}}}, "queues"),
    ],
)
def test_a_policy_that_cannot_be_is_told_why(floor: Floor, body: dict[str, Any], problem: str) -> None:
    told = floor.post("/v1/policies:dry-run", body)
    assert (told["is_valid"], told["changes"]) == (False, None)
    assert any(problem in each for each in told["problems"]), told["problems"]


@pytest.mark.parametrize("body", [{}, {"toml": "", "policy": {}}, {"toml": "["}, {"toml": 7}])
def test_what_is_no_proposal(floor: Floor, body: dict[str, Any]) -> None:
    floor.ask("POST", "/v1/policies:dry-run", body).problem(400, "malformed")
