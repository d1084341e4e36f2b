"""Who may do what with tasks: supervisors, agents with their own token, callers, this machine, and nobody else."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from router.http.credential import AgentTokens, encode_base64
from tests.http_desk import QUEUES, SECRET, Floor, connected, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from itertools import count

    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread, Running

ADMIN, CALLER, ORIGIN = "the-admin's-token", "key-of-the-shop-0123", "https://pages.example"


@pytest.fixture(scope="module")
def guarded(loop_thread: LoopThread, make_config: MakeConfig) -> Iterator[Running]:
    config = make_config(
        admin_token=ADMIN, agents__secret=SECRET, callers__shop__key=CALLER, cors_origins=f'["{ORIGIN}"]'
    )
    (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")
    with loop_thread.serving(config) as running:
        yield running


@pytest.fixture
def boss(guarded: Running, line_numbers: count[int]) -> Floor:
    return Floor(guarded, line_numbers, ADMIN)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _token(boss: Floor, name: str) -> str:
    return str(boss.post(f"/v1/resources/{name}/token")["token"])


def test_an_agents_token_acts_for_that_agent(boss: Floor) -> None:
    ana, ben = boss.agent("ana"), boss.agent("ben", presence="busy")
    mine = _bearer(_token(boss, ana))
    task, offer = boss.offered(context={"secret": 1})
    path = f"/v1/tasks/{task['id']}"
    assert boss.ask("GET", path, headers=mine).json()["context"] == {"secret": 1}
    taken = boss.do("POST", f"/v1/offers/{offer}/accept", {}, mine)
    assert taken["task"]["resource_id"] == ana
    assert boss.do("GET", f"/v1/resources/{ana}/work", headers=mine)["tasks"][0]["id"] == task["id"]
    assert boss.do("POST", f"{path}/pause", {}, mine)["state"] == "paused"
    assert boss.do("GET", "/v1/queues", headers=mine)["queues"]
    boss.ask("POST", f"{path}/transfer", {"resource_id": ben, "is_forced": True}, mine).problem(403, "forbidden")
    assert boss.do("POST", f"{path}/complete", {}, mine)["state"] == "wrapping"


def test_an_agents_token_acts_for_no_other(boss: Floor) -> None:
    ana, ben = boss.agent("ana"), boss.agent("ben", presence="busy")
    others = _bearer(_token(boss, ben))
    task, offer = boss.offered()
    path = f"/v1/tasks/{task['id']}"
    refusals: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("GET", f"{path}/explain", None),
        ("GET", f"{path}/events", None),
        ("PATCH", path, {"priority": 9}),
        ("POST", f"/v1/offers/{offer}/accept", {}),
        ("POST", f"/v1/offers/{offer}/accept", {"resource_id": ana}),
        ("POST", f"/v1/offers/{offer}/decline", {}),
        ("GET", f"/v1/resources/{ana}", None),
        ("GET", f"/v1/resources/{ana}/work", None),
        ("POST", f"/v1/resources/{ana}/presence", {"presence": "offline"}),
        ("POST", f"/v1/resources/{ana}/drain", {}),
        ("POST", f"/v1/resources/{ana}/heartbeat", {}),
        ("POST", f"/v1/resources/{ben}/token", {}),
        ("PUT", f"/v1/resources/{ben}", {"queues": [], "channels": {"chat": {}}}),
        ("GET", "/v1/resources", None),
        ("GET", "/v1/tasks", None),
        ("POST", "/v1/tasks", {"queue": boss.line}),
        ("PUT", f"/v1/queues/{boss.line}/open", {"is_open": False}),
        ("GET", "/v1/stats/agents", None),
        ("POST", "/v1/policies:dry-run", {"toml": ""}),
        ("GET", "/v1/policies/assignment/versions", None),
        ("POST", "/v1/policies/assignment/versions", {"toml": ""}),
        ("GET", "/v1/policies/assignment/versions/x", None),
        ("POST", "/v1/policies/assignment/versions/x/activate", {}),
        ("POST", "/v1/policies/assignment/rollback", {}),
        *(("POST", f"{path}/{move}", {}) for move in ("cancel", "requeue", "complete", "pause", "signals", "callback")),
    ]
    for method, where, body in refusals:
        boss.ask(method, where, body, others).problem(403, "forbidden")
    boss.post(f"/v1/offers/{offer}/accept")
    boss.ask("POST", f"{path}/complete", {}, others).problem(403, "forbidden")
    assert boss.do("GET", path)["state"] == "assigned"


def test_a_caller_asks_for_tasks_and_no_more(boss: Floor) -> None:
    shop = _bearer(CALLER)
    ana = boss.agent("ana", presence="away")
    task = boss.do("POST", "/v1/tasks", {"queue": boss.line}, shop)
    path = f"/v1/tasks/{task['id']}"
    assert boss.do("GET", path, headers=shop)["position"] == 1
    assert boss.do("GET", f"{path}/explain", headers=shop)["task_id"] == task["id"]
    assert boss.do("PATCH", path, {"priority": 2}, shop)["priority"] == 2
    assert boss.do("POST", f"{path}/signals", {"sentiment": 0.5}, shop)["state"] == "queued"
    for method, where, body in (
        ("POST", f"{path}/requeue", {}),
        ("POST", f"{path}/complete", {}),
        ("GET", "/v1/tasks", None),
        ("GET", "/v1/queues", None),
        ("GET", f"/v1/resources/{ana}", None),
        ("POST", f"/v1/resources/{ana}/presence", {"presence": "available"}),
        ("GET", "/v1/stats/queues", None),
    ):
        boss.ask(method, where, body, shop).problem(403, "forbidden")
    assert boss.do("POST", f"{path}/cancel", {}, shop)["state"] == "canceled"


def test_keys_of_two_who_ask_do_not_meet(boss: Floor) -> None:
    key = {"Idempotency-Key": f"same-{boss.line}"}
    first = boss.do("POST", "/v1/tasks", {"queue": boss.line}, {**key, **_bearer(CALLER)})
    assert boss.do("POST", "/v1/tasks", {"queue": boss.line}, key)["id"] != first["id"]


def _forged(name: str) -> list[str]:
    now = int(time.time())
    good = AgentTokens(SECRET).issue(name, now + 60)
    kind, _, expires, signature = good.split(".")
    return [
        AgentTokens(SECRET).issue(name, now - 1),
        AgentTokens("another-secret-of-agents-0123456789").issue(name, now + 60),
        f"{kind}.{encode_base64(b'someone')}.{expires}.{signature}",
        f"{kind}.{encode_base64(name.encode())}.{int(expires) + 1}.{signature}",
        good[:-1],
        good + "A",
        "agent...",
        "agent",
        ".",
        "x" * 600,
        "\xff\xfe",
        "",
    ]


def test_a_token_that_is_none_opens_nothing(boss: Floor) -> None:
    ana = boss.agent("ana")
    for token in _forged(ana):
        reply = boss.ask("GET", f"/v1/resources/{ana}", headers=_bearer(token))
        reply.problem(401, "unauthorized")
        assert reply.headers["WWW-Authenticate"] == "Bearer"
        assert token[:20] not in reply.json()["detail"] or len(token) < 6
    boss.ask("GET", f"/v1/resources/{ana}", headers={"Authorization": "Basic abc"}).problem(401, "unauthorized")


def test_a_token_is_for_who_is_there_and_for_a_time(boss: Floor) -> None:
    ana = boss.agent("ana")
    reply = boss.ask("POST", f"/v1/resources/{ana}/token", {"ttl_s": 60})
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.json()["resource_id"] == ana
    boss.ask("POST", "/v1/resources/nobody/token", {}).problem(404, "not-found")
    for ttl_s in (0, 59, 2_592_001, "1"):
        boss.ask("POST", f"/v1/resources/{ana}/token", {"ttl_s": ttl_s}).problem(400, "malformed")


def test_without_a_secret_there_are_no_tokens(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    config = make_config()
    (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")
    with loop_thread.serving(config) as running:
        running.ask("PUT", "/v1/resources/ana", b'{"queues": ["desk"], "channels": {"chat": {}}}')
        reply = running.ask("POST", "/v1/resources/ana/token", b"{}")
        assert "[agents]" in reply.problem(404, "no-agent-secret")
        token = AgentTokens(SECRET).issue("ana", int(time.time()) + 60)
        strange = {**_bearer(token), "Via": "1.1 proxy"}
        running.ask("GET", "/v1/resources/ana", headers=strange).problem(403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "1.2.3.4"},
        {"Via": "1.1 proxy"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Host": "evil.example:8080"},
        {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"},
        {"Host": "["},
    ],
)
def test_without_a_token_only_this_machine_is_let_in(floor: Floor, headers: dict[str, str]) -> None:
    """Also not a page that has its own name resolved to this machine."""
    floor.ask("GET", "/v1/queues", headers=headers).problem(403, "forbidden")


def test_a_page_of_this_server_is_let_in(floor: Floor) -> None:
    port = floor.running.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        assert floor.ask("GET", "/v1/queues", headers={"Host": host, "Origin": f"http://{host}"}).status == 200
    other = {"Origin": f"http://127.0.0.1:{port + 1}"}
    floor.ask("GET", "/v1/queues", headers=other).problem(403, "forbidden")


def test_streams_want_a_token_as_well(boss: Floor, guarded: Running) -> None:
    ana, ben = boss.agent("ana"), boss.agent("ben")
    token = _token(boss, ana)
    path = f"/v1/agents/{ana}/stream"

    async def run() -> None:
        assert await refused(guarded, path) == 401
        assert await refused(guarded, f"{path}?token=agent.x") == 401
        assert await refused(guarded, f"/v1/agents/{ben}/stream?token={token}") == 403
        assert await refused(guarded, f"/v1/agents/{ana}/stream", headers=_bearer(CALLER)) == 403
        assert await refused(guarded, f"/v1/supervisor/stream?token={token}") == 403
        assert await refused(guarded, path, protocols=("takt.v1", "bearer.!")) == 401
        assert await refused(guarded, path, protocols=(f"bearer.{encode_base64(token.encode())}",)) == 400
        async with connected(guarded, f"{path}?token={token}") as stream:
            assert (await stream.next("hello"))["resource"]["id"] == ana
        protocols = ("takt.v1", f"bearer.{encode_base64(token.encode())}")
        async with connected(guarded, path, protocols=protocols) as stream:
            assert stream.ws.protocol == "takt.v1"
            await stream.next("hello")
        protocols = ("takt.v1", f"bearer.{encode_base64(ADMIN.encode())}")
        async with connected(guarded, "/v1/supervisor/stream", protocols=protocols) as stream:
            await stream.next("hello")

    asyncio.run(run())


def test_a_browsers_page_of_another_origin_opens_no_stream(boss: Floor, guarded: Running) -> None:
    token = _token(boss, boss.agent("ana"))
    path = f"/v1/agents/ana.{boss.line}/stream?token={token}"

    async def run() -> None:
        for origin in (
            "https://evil.example",
            "null",
            f"{ORIGIN}.evil.example",
            f"http://127.0.0.1:{guarded.port + 1}",
        ):
            assert await refused(guarded, path, headers={"Origin": origin}) == 403
        for origin in (ORIGIN, f"http://127.0.0.1:{guarded.port}"):
            async with connected(guarded, path, headers={"Origin": origin}) as stream:
                await stream.next("hello")

    asyncio.run(run())


def test_a_page_of_another_origin_opens_none_on_this_machine(floor: Floor) -> None:
    async def run() -> None:
        for origin in ("https://evil.example", f"http://127.0.0.1:{floor.running.port + 1}"):
            assert await refused(floor.running, "/v1/supervisor/stream", headers={"Origin": origin}) == 403

    asyncio.run(run())
