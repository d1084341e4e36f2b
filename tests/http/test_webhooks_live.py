"""Events from a whole server to a receiver: through the log on the disk, across a restart, given up and replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from router.assign.command import Accept, CancelTask, CreateTask, PutResource, SetPresence
from router.assign.entity import ChannelLimit
from tests.hooks import OTHER_SECRET, SECRET, verify
from tests.http_desk import QUEUES
from tests.http_server import JSON_TYPE
from tests.receivers import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp.web import Response

    from router.config import Config
    from tests.http.conftest import Blunders, MakeConfig
    from tests.http_server import LoopThread, Running
    from tests.receivers import Got

ADMIN = "/v1/admin/webhooks"


@pytest.fixture
def receiver(loop_thread: LoopThread) -> Iterator[Receiver]:
    receiver = Receiver(loop_thread)
    yield receiver
    receiver.close()


def project(make_config: MakeConfig, receiver: Receiver, **keys: str) -> Config:
    config = make_config(
        webhooks__crm__url=f"http://127.0.0.1:{receiver.port}/hook?x=1",
        webhooks__crm__secrets=f'["{SECRET}", "{OTHER_SECRET}"]',
        webhooks__crm__first_retry_s="0.05",
        **{f"webhooks__crm__{key}": value for key, value in keys.items()},
    )
    (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")
    return config


def do(server: Running, *commands: Any) -> None:
    assert server.app.desk is not None
    for command in commands:
        server.run(server.app.desk.submit(command))


def create(server: Running, *names: str) -> None:
    do(server, *(CreateTask(id=name, queue="desk") for name in names))


def told(got: list[Got], subject: str) -> list[str]:
    return [each.json["type"] for each in got if each.json["subject"] == subject]


def view(server: Running) -> Any:
    (found,) = server.ask("GET", ADMIN).json()["webhooks"]
    return found


def test_a_task_is_told_from_its_beginning_to_its_end(
    loop_thread: LoopThread, make_config: MakeConfig, receiver: Receiver
) -> None:
    with loop_thread.serving(project(make_config, receiver, types='["task.*", "offer.issued"]')) as server:
        limits = {"chat": ChannelLimit()}
        do(
            server,
            PutResource(id="eva", queues=("desk",), channels=limits),
            SetPresence(resource_id="eva", presence="available"),
            CreateTask(id="t1", queue="desk"),
            Accept(offer_id="t1-1", resource_id="eva"),
            CancelTask(task_id="t1"),
        )
        got = receiver.wait(lambda got: len(got) >= 4)
        assert told(got, "t1") == ["task.queued", "offer.issued", "task.assigned", "task.canceled"]
        assert {each.json["subject"] for each in got} == {"t1"}  # no resource.*: nobody asked for it
        for each in got:
            assert (each.method, each.path) == ("POST", "/hook?x=1")
            assert each.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
            assert each.headers["user-agent"].startswith("takt/")
            now_s = int(each.headers["webhook-timestamp"])
            assert verify(each.headers, each.body, SECRET, now_s)
            assert verify(each.headers, each.body, OTHER_SECRET, now_s)
        ids = {each.headers["webhook-id"] for each in got}
        assert len(ids) == 4
        seqs = [each.json["seq"] for each in got]
        assert seqs == sorted(seqs)
        receiver.wait(lambda _: view(server)["pending"] == 0)
        page = server.ask("GET", "/metrics").body.decode()
        assert 'takt_webhook_attempts_total{outcome="delivered",webhook="crm"} 4.0' in page
        assert 'takt_webhook_pending{webhook="crm"} 0.0' in page


def test_a_failing_subject_holds_back_no_other_and_survives_a_restart(
    loop_thread: LoopThread, make_config: MakeConfig, receiver: Receiver
) -> None:
    config = project(make_config, receiver)
    is_well = False

    def answer(got: Got) -> Response:
        return web.Response(status=200 if is_well or got.json["subject"] != "bad" else 500, text="x" * 100_000)

    receiver.answer = answer
    with loop_thread.serving(config) as server:
        create(server, "bad", "good")
        do(server, CancelTask(task_id="bad"), CancelTask(task_id="good"))
        receiver.wait(lambda got: told(got, "good") == ["task.queued", "task.canceled"])
        receiver.wait(lambda got: len(told(got, "bad")) >= 3)
        assert set(told(receiver.got, "bad")) == {"task.queued"}
        assert (view(server)["state"], view(server)["pending"]) == ("retrying", 2)
    seen = len(receiver.got)
    is_well = True
    with loop_thread.serving(config) as server:
        create(server, "later")
        receiver.wait(lambda got: told(got, "later") == ["task.queued"] and "task.canceled" in told(got, "bad"))
        new = receiver.got[seen:]
        assert told(new, "bad") == ["task.queued", "task.canceled"]
        assert told(new, "good") == []  # not once more
        assert view(server)["state"] == "ok"


def test_a_new_webhook_hears_what_happens_from_now_on(
    loop_thread: LoopThread, make_config: MakeConfig, receiver: Receiver
) -> None:
    config = make_config()
    (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")
    with loop_thread.serving(config) as server:
        create(server, "before")
    other = project(make_config, receiver)
    moved = type(config)(settings=other.settings, folder=config.folder)
    with loop_thread.serving(moved) as server:
        create(server, "after")
        receiver.wait(lambda got: told(got, "after") == ["task.queued"])
        assert told(receiver.got, "before") == []


def test_gone_is_obeyed_until_an_operator_says_otherwise(
    loop_thread: LoopThread, make_config: MakeConfig, receiver: Receiver, blunders: Blunders
) -> None:
    receiver.answer = lambda _: web.Response(status=410)
    with loop_thread.serving(project(make_config, receiver)) as server:
        create(server, "a")
        receiver.wait(lambda got: len(got) == 1)
        create(server, "b")
        assert view(server)["state"] == "refused"
        receiver.answer = lambda _: web.Response(status=200)
        reply = server.ask("POST", f"{ADMIN}/crm/replay", b"{}", JSON_TYPE)
        assert reply.json() == {"replayed": 0}
        receiver.wait(lambda got: told(got, "a") == ["task.queued"] * 2 and told(got, "b") == ["task.queued"])
        assert view(server)["state"] == "ok"
    assert [line for line in blunders.seen if "webhook_refused" not in line] == []
    blunders.seen.clear()  # an operator has to know


def test_what_is_given_up_is_listed_and_replayed(
    loop_thread: LoopThread, make_config: MakeConfig, receiver: Receiver, blunders: Blunders
) -> None:
    receiver.answer = lambda _: web.Response(status=500)
    config = project(make_config, receiver, give_up_h="0.00002", longest_retry_s="0.01")
    with loop_thread.serving(config) as server:
        create(server, "a", "b", "c")
        receiver.wait(lambda _: view(server)["dead"] == 3)
        page = server.ask("GET", f"{ADMIN}/crm/dead?limit=2").json()
        assert len(page["dead"]) == 2
        rest = server.ask("GET", f"{ADMIN}/crm/dead?after={page['next']}").json()
        dead = page["dead"] + rest["dead"]
        assert {each["subject"] for each in dead} == {"a", "b", "c"}
        assert {(each["type"], each["status"], each["error"]) for each in dead} == {
            ("task.queued", 500, "answered 500")
        }
        assert rest["next"] is None
    receiver.answer = lambda _: web.Response(status=200)
    seen = len(receiver.got)
    with loop_thread.serving(config) as server:
        assert view(server)["dead"] == 3
        one = dead[0]["id"].encode()
        reply = server.ask("POST", f"{ADMIN}/crm/replay", b'{"ids": ["%s"]}' % one, JSON_TYPE)
        assert reply.json() == {"replayed": 1}
        receiver.wait(lambda got: len(got) == seen + 1)
        assert server.ask("POST", f"{ADMIN}/crm/replay", b"", JSON_TYPE).json() == {"replayed": 2}
        receiver.wait(lambda got: len(got) == seen + 3)
        assert view(server)["dead"] == 0
    assert {"webhook_event_given_up" in line for line in blunders.seen} == {True}
    blunders.seen.clear()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(
    loop_thread: LoopThread, make_config: MakeConfig, receiver: Receiver, status: int
) -> None:
    elsewhere = Receiver(loop_thread)
    url = f"http://127.0.0.1:{elsewhere.port}/"
    receiver.answer = lambda _: web.Response(status=status, headers={"Location": url})
    with loop_thread.serving(project(make_config, receiver)) as server:
        create(server, "a")
        receiver.wait(lambda got: len(got) >= 2)
        assert elsewhere.got == []
        assert view(server)["pending"] == 1
    elsewhere.close()


def test_nobody_listens_and_nobody_answers(
    loop_thread: LoopThread, make_config: MakeConfig, receiver: Receiver
) -> None:
    config = project(make_config, receiver, give_up_h="24")
    receiver.close()
    with loop_thread.serving(config) as server:
        create(server, "a")
        receiver.wait(lambda _: view(server)["state"] == "retrying")


def test_who_may_and_what_is_not_there(loop_thread: LoopThread, make_config: MakeConfig, receiver: Receiver) -> None:
    config = project(make_config, receiver)
    with loop_thread.serving(config) as server:
        server.ask("GET", ADMIN, headers={"Via": "x"}).problem(403, "forbidden")
        server.ask("POST", f"{ADMIN}/crm/replay", b"{}", {"Via": "x"}).problem(403, "forbidden")
        server.ask("GET", f"{ADMIN}/other/dead").problem(404, "not-found")
        server.ask("GET", f"{ADMIN}/crm/replay").problem(404, "not-found")
        server.ask("POST", f"{ADMIN}/crm/dead", b"{}").problem(404, "not-found")
        assert "ids" in server.ask("POST", f"{ADMIN}/crm/replay", b'{"ids": 5}').problem(400, "malformed")
        assert "limit" in server.ask("GET", f"{ADMIN}/crm/dead?limit=many").problem(400, "malformed")
        answer = server.ask("GET", ADMIN).body.decode()
        assert f"127.0.0.1:{receiver.port}" in answer
        assert "hook" not in answer.replace('"webhooks"', "")  # a path or a query may be a secret


def test_without_queues_there_is_nothing_to_tell(server: Running) -> None:
    server.ask("GET", ADMIN).problem(404, "no-assignment")
