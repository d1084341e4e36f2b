"""A decision whose target is a queue, over HTTP: its task, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from budgets.deadline import open_budget
from budgets.ledger import Ledger
from router.assign import command as do
from router.assign.entity import ChannelLimit
from router.redecision import Redecided, redecide
from tests.http_project import SURE_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.assign.state import State
    from router.config import Config
    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread, Running

QUEUES = """
skills = ["german"]
[queues.cards]
most = 2
[queues.desk]
[queues.humans]
"""
CARDS, HUMANS = "I lost my card!", "a real person please"


@pytest.fixture
def config(make_config: MakeConfig) -> Config:
    config = make_config()
    (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")
    return config


@pytest.fixture
def staffed(loop_thread: LoopThread, config: Config) -> Iterator[Running]:
    with loop_thread.serving(config) as running:
        yield running


def test_the_answer_carries_the_task(staffed: Running) -> None:
    answer = staffed.decide(HUMANS, session_id="s-1", task={"priority": 1, "skills": {"german": 2}})
    task = answer["task"]
    assert task == {"id": f"t-{answer['decision_id']}", "state": "queued", "queue": "humans", "position": 1}
    assert answer["budget"]["stages_ms"]["assign"] > 0
    assert staffed.decide(HUMANS, session_id="s-1")["task"] == task
    record = staffed.ask("GET", f"/v1/decisions/{answer['decision_id']}").json()
    assert record["task_id"] == task["id"]


def test_no_task_where_no_queue_is_the_target(staffed: Running) -> None:
    assert staffed.decide(SURE_TEXT)["task"] is None


@pytest.mark.parametrize(
    ("hints", "named"),
    [
        ({"prio": 1}, "prio"),
        ({"priority": 101}, "task.priority"),
        ({"skills": {"german": 6}}, "task.skills"),
        ({"preferred": "anna"}, "task.preferred"),
        ([], "task"),
    ],
)
def test_hints_are_strict(staffed: Running, hints: object, named: str) -> None:
    assert named in staffed.post({"text": HUMANS, "task": hints}).problem(400, "malformed")


def test_hints_that_the_queues_do_not_know_refuse_the_task_not_the_answer(staffed: Running) -> None:
    task = staffed.decide(HUMANS, task={"skills": {"french": 1}})["task"]
    assert (task["state"], task["reason"]) == ("refused", "malformed")
    assert "skills.french" in task["detail"]


def test_a_full_queue_is_said(staffed: Running) -> None:
    told = [staffed.decide(CARDS)["task"]["state"] for _ in range(3)]
    assert told == ["queued", "queued", "refused"]


def test_the_tasks_of_a_batch(staffed: Running) -> None:
    asked = {"interactions": [{"text": HUMANS, "id": "i-1"}, {"text": SURE_TEXT}, {"text": HUMANS, "id": "i-1"}]}
    first, none, again = staffed.post(asked, path="/v1/interactions:batch").json()["decisions"]
    assert first["task"]["id"] == again["task"]["id"]
    assert none["task"] is None


def test_a_request_that_is_repeated_after_a_restart_has_the_same_task(loop_thread: LoopThread, config: Config) -> None:
    key = {"Idempotency-Key": "k-1"}
    with loop_thread.serving(config) as running:
        first = running.decide(HUMANS, key)
    with loop_thread.serving(config) as running:
        again = running.decide(HUMANS, key)
        assert again["task"] == first["task"]
        assert again["decision_id"] != first["decision_id"]
        assert len(_state(running).tasks) == 1
        assert running.decide(HUMANS, {"Idempotency-Key": "k-2"})["task"]["id"] != first["task"]["id"]


def test_until_the_desk_has_started_the_answer_says_so(loop_thread: LoopThread, config: Config) -> None:
    with loop_thread.serving(config, start=False) as running:
        task = running.decide(HUMANS)["task"]
        assert (task["state"], task["reason"]) == ("refused", "log-unavailable")


def _state(running: Running) -> State:
    assert running.app.desk is not None
    return running.app.desk.state


def _ask_again(running: Running, task_id: str, text: str, budget_ms: int = 2_000) -> Redecided:
    app = running.app

    async def ask() -> Redecided:
        assert app.desk is not None
        budget = open_budget(budget_ms * 1_000_000, app.point.budget, Ledger(app.clock.now_ns()))
        return await redecide(app, app.desk.state.tasks[task_id], text, budget)

    return running.run(ask())


def test_a_message_is_decided_anew_and_creates_no_task(staffed: Running) -> None:
    task_id = staffed.decide(CARDS, customer_id="c-1")["task"]["id"]
    again = _ask_again(staffed, task_id, HUMANS)
    assert (again.queue, again.wants_human) == ("humans", True)
    assert staffed.ask("GET", f"/v1/decisions/{again.decision_id}").json()["customer_id"] == "c-1"
    assert _ask_again(staffed, task_id, SURE_TEXT)[:2] == ("", False), "no queue"
    assert len(_state(staffed).tasks) == 1


def test_a_bots_conversation_is_moved_by_a_guard_alone_when_nobody_is_sure(staffed: Running) -> None:
    async def bot() -> None:
        desk = staffed.app.desk
        assert desk is not None
        limits = {"chat": ChannelLimit()}
        await desk.submit(do.PutResource(id="robot", kind="bot", queues=("cards",), channels=limits))
        await desk.submit(do.SetPresence(resource_id="robot", presence="available", session="s"))

    staffed.run(bot())
    task = staffed.decide(CARDS)["task"]
    assert task["state"] == "assigned"
    assert _ask_again(staffed, task["id"], "xyzzy")[:2] == ("", False), "who is not sure moves nothing"
    assert _ask_again(staffed, task["id"], HUMANS)[:2] == ("humans", True)


def test_who_cannot_be_asked_in_time_stays_where_he_is(staffed: Running) -> None:
    task_id = staffed.decide(CARDS)["task"]["id"]
    assert _ask_again(staffed, task_id, HUMANS, budget_ms=0) == Redecided()
