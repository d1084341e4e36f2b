"""Rocket.Chat and Chatwoot against a whole server: their requests as they send them, and the calls they get."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from router.assign.command import Accept, PutResource, SetPresence
from router.assign.entity import ChannelLimit
from tests.http_desk import QUEUES
from tests.http_server import JSON_TYPE
from tests.receivers import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread, Reply, Running

TOKEN, SECRET, API_TOKEN = "a token of Rocket.Chat", "a secret of Chatwoot", "an access token of Chatwoot"
ASK, EVENTS, HOOK = "/v1/adapters/rocketchat/agent", "/v1/adapters/rocketchat/events", "/v1/adapters/chatwoot/events"
ASKING = {"X-RocketChat-Secret-Token": TOKEN, "User-Agent": "RocketChat Server", "Accept": "application/json"}
TELLING = {"X-RocketChat-Livechat-Token": TOKEN, **JSON_TYPE}


@pytest.fixture(scope="module")
def chatwoot(loop_thread: LoopThread) -> Iterator[Receiver]:
    receiver = Receiver(loop_thread)
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def adapted(loop_thread: LoopThread, make_config: MakeConfig, chatwoot: Receiver) -> Iterator[Running]:
    config = make_config(
        adapters__rocketchat__token=TOKEN,
        adapters__rocketchat__queue="desk",
        adapters__rocketchat__patience_ms="50",
        adapters__rocketchat__asks_within_ms="60000",  # ten requests, however slow, are one question
        adapters__rocketchat__agent_prefix="rc.",
        adapters__chatwoot__url=f"http://127.0.0.1:{chatwoot.port}",
        adapters__chatwoot__account="3",
        adapters__chatwoot__api_token=API_TOKEN,
        adapters__chatwoot__queue="humans",
        adapters__chatwoot__secret=SECRET,
        adapters__chatwoot__agent_prefix="cw.",
    )
    (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")
    with loop_thread.serving(config) as running:
        yield running


def sign_in(server: Running, name: str, queue: str, adapter: str) -> None:
    assert server.app.desk is not None
    for command in (
        PutResource(id=name, queues=(queue,), channels={"chat": ChannelLimit()}, attributes={"adapter": adapter}),
        SetPresence(resource_id=name, presence="available"),
    ):
        server.run(server.app.desk.submit(command))


def position(server: Running) -> int:
    assert server.app.desk is not None
    return server.app.desk.state.position


def signed(body: bytes, secret: str = SECRET, age_s: int = 0) -> dict[str, str]:
    timestamp = str(int(time.time()) - age_s)
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "X-Chatwoot-Signature": f"sha256={digest}",
        "X-Chatwoot-Timestamp": timestamp,
        "X-Chatwoot-Delivery": f"delivery of {digest[:8]}",
        **JSON_TYPE,
    }


def tell(server: Running, value: Any) -> Reply:
    body = json.dumps(value).encode()
    return server.ask("POST", HOOK, body, signed(body))


def test_rocketchat_asks_ten_times_and_tells_what_became_of_it(adapted: Running) -> None:
    def ask_ten_times(path: str) -> list[tuple[int, Any]]:
        with ThreadPoolExecutor(10) as pool:
            replies = list(pool.map(lambda _: adapted.ask("GET", path, headers=ASKING), range(10)))
        return [(reply.status, reply.json()) for reply in replies]

    before = position(adapted)
    assert ask_ten_times(ASK) == [(200, {"username": None})] * 10
    assert position(adapted) == before + 2, "one question: a task, created and cancelled"
    sign_in(adapted, "rc.maria", "desk", "rocketchat")
    assert ask_ten_times(f"{ASK}?departmentId=d7") == [(200, {"username": "maria"})] * 10  # the eleventh is another one
    taken = {"type": "LivechatSessionTaken", "_id": "r1", "servedBy": {"_id": "u1", "username": "maria"}}
    assert adapted.post(taken, TELLING, EVENTS).json()["outcome"] == "applied"
    assert adapted.post(taken, TELLING, EVENTS).json()["outcome"] == "unchanged"
    closed = {"type": "LivechatSession", "_id": "r1", "messages": [{"msg": "x" * 1_000, "agentId": "u1"}] * 200}
    assert adapted.post(closed, TELLING, EVENTS).json()["outcome"] == "applied"  # more than other bodies may have


def test_chatwoot_is_called_when_its_conversation_is_assigned(adapted: Running, chatwoot: Receiver) -> None:
    failures = iter([500, 429])
    chatwoot.answer = lambda _: web.Response(status=next(failures, 200))
    sign_in(adapted, "cw.17", "humans", "chatwoot")
    created = {"event": "conversation_created", "id": 41, "inbox_id": 7, "status": "open", "meta": {"assignee": None}}
    report = tell(adapted, created).json()
    assert report["outcome"] == "applied"
    assert tell(adapted, created).json() == {
        "outcome": "unchanged",
        "detail": "Takt's books agree with this already, or are not concerned",
        "task_id": report["task_id"],
    }
    assert adapted.app.desk is not None
    assert chatwoot.got == []
    adapted.run(adapted.app.desk.submit(Accept(offer_id=f"{report['task_id']}-1", resource_id="cw.17")))
    (call,) = chatwoot.wait(lambda got: len(got) == 1)
    assert (call.method, call.path) == ("POST", "/api/v1/accounts/3/conversations/41/assignments")
    assert (call.headers["api_access_token"], call.headers["content-type"]) == (API_TOKEN, "application/json")
    assert call.json == {"assignee_id": 17}
    (hook,) = adapted.ask("GET", "/v1/admin/webhooks").json()["webhooks"]
    assert (hook["name"], hook["pending"]) == ("adapter:chatwoot", 1)  # 500: it will be tried again


@pytest.mark.parametrize(
    ("path", "header"), [(ASK, "X-RocketChat-Secret-Token"), (EVENTS, "X-RocketChat-Livechat-Token")]
)
@pytest.mark.parametrize("given", [None, "", "another token of 16", TOKEN[:-1], "ü" * 20])
def test_rocketchat_without_its_token(adapted: Running, path: str, header: str, given: str | None) -> None:
    before = position(adapted)
    headers = {} if given is None else {header: given.encode().decode("latin-1")}
    detail = adapted.ask("GET" if path == ASK else "POST", path, headers=headers).problem(401, "unauthorized")
    assert header in detail
    assert TOKEN not in detail
    assert position(adapted) == before


def test_chatwoot_without_its_signature(adapted: Running) -> None:
    before, body = position(adapted), b'{"event": "conversation_created", "id": 50, "status": "open"}'
    for headers in ({}, signed(body, "another secret of 16"), signed(body + b" "), signed(body, age_s=400)):
        detail = adapted.ask("POST", HOOK, body, headers).problem(401, "unauthorized")
        assert SECRET not in detail
    adapted.ask("POST", f"{HOOK}?token={SECRET.replace(' ', '%20')}", body).problem(401, "unauthorized")
    assert position(adapted) == before


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"_id": "r1"}, "type"),
        ({"type": "LivechatSessionTaken"}, "_id"),
        ({"type": "LivechatSessionTaken", "_id": "r1", "servedBy": {"username": 7}}, "$.servedBy.username"),
        ([], "expected"),
        (b"{", "not json"),
        (b'{"type": "\xff"}', "not json"),
    ],
)
def test_bad_events_of_rocketchat(adapted: Running, value: Any, field: str) -> None:
    before = position(adapted)
    assert field in adapted.post(value, TELLING, EVENTS).problem(400, "malformed").lower().replace(
        "servedby", "servedBy"
    )
    assert position(adapted) == before


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "event"),
        ({"event": "conversation_created"}, "id"),
        ({"event": "conversation_created", "id": "41"}, "$.id"),
        ({"event": "conversation_created", "id": 2**64, "status": "open"}, "$.id"),
        ({"event": "message_created"}, "conversation"),
        ({"event": "message_created", "conversation": {"id": -1}}, "$.conversation.id"),
        ({"event": "conversation_updated", "id": 41, "meta": {"assignee": {"id": "x"}}}, "$.meta.assignee.id"),
    ],
)
def test_bad_events_of_chatwoot(adapted: Running, value: Any, field: str) -> None:
    before = position(adapted)
    assert field in tell(adapted, value).problem(400, "malformed")
    assert position(adapted) == before


def test_other_events_are_answered_and_change_nothing(adapted: Running) -> None:
    before = position(adapted)
    assert "contact_created" in tell(adapted, {"event": "contact_created", "id": "anything"}).json()["detail"]
    test = {"type": "LivechatSession", "_id": "fasd6f5a4sd6f8a4sdf", "agent": {"username": "agent.username"}}
    assert adapted.post(test, TELLING, EVENTS).json()["outcome"] == "unchanged"
    assert position(adapted) == before


def test_agents_that_are_not_known_are_named(adapted: Running) -> None:
    taken = {"type": "LivechatSessionTaken", "_id": "r9", "servedBy": {"_id": "u9", "username": "eva"}}
    assert "rc.eva" in adapted.post(taken, TELLING, EVENTS).problem(404, "unknown-agent")
    created = {"event": "conversation_created", "id": 60, "status": "open", "meta": {"assignee": {"id": 99}}}
    assert "cw.99" in tell(adapted, created).problem(404, "unknown-agent")


def test_bodies_are_bounded(adapted: Running) -> None:
    large = b'{"type": "Message", "_id": "r1", "label": "%s"}' % (b"x" * 1_100_000)
    adapted.ask("POST", EVENTS, large, TELLING).problem(413, "too-large")
    adapted.ask("POST", HOOK, large, signed(large)).problem(413, "too-large")
    detail = adapted.ask("GET", f"{ASK}?departmentId={'x' * 201}", headers=ASKING).problem(400, "malformed")
    assert "departmentId" in detail


@pytest.mark.parametrize(("method", "path"), [("GET", ASK), ("POST", EVENTS), ("POST", HOOK)])
def test_adapters_that_are_not_configured_are_not_there(server: Running, method: str, path: str) -> None:
    assert "[adapters." in server.ask(method, path, headers=ASKING).problem(404, "not-found")
