"""Agents come, go, and are lost; their work goes on."""

from __future__ import annotations

from typing import Any

import pytest

from router.assign import command as do
from router.assign.entity import ChannelLimit
from router.assign.errors import BadCommand, Conflict, StaleFence
from router.assign.transition import Presence, TaskState
from tests.desk_floor import START_NS, Floor

ONE: dict[str, Any] = {"queues": {"cards": {}}}
BOTH = {"chat": ChannelLimit(), "email": ChannelLimit()}


def test_a_lost_agents_chats_wait_again_at_their_age_and_emails_stay() -> None:
    floor = Floor(ONE)
    floor.agent("ana", channels=BOTH, capacity=9)
    for name, channel in (("talk", "chat"), ("mail", "email")):
        floor.task(name, channel=channel)
        floor.accept(name)
    floor.task("asked")
    floor.wait(100)
    floor.do(do.SetPresence(resource_id="ana", presence="available"))
    floor.task("ringing")
    floor.do(do.Suspect(resource_id="ana", session="ana-1"))
    assert floor.get("ringing").state is TaskState.QUEUED, "what was only offered goes to others at once"
    assert floor.holder("talk") == "ana"
    floor.wait(30)
    assert floor.get("talk").state is TaskState.QUEUED
    assert floor.get("talk").queued_ns == START_NS
    assert floor.holder("mail") == "ana"
    floor.agent("ben")
    assert floor.asked("talk") == ["ben"]
    assert floor.engine.state.resources["ana"].presence is Presence.OFFLINE


def test_who_comes_back_within_the_grace_has_everything() -> None:
    floor = Floor(ONE)
    floor.agent("ana")
    floor.task("t")
    floor.accept("t")
    floor.do(do.Suspect(resource_id="ana", session="ana-1"))
    floor.wait(29)
    floor.do(do.Restore(resource_id="ana", session="ana-1"))
    floor.wait(60)
    assert floor.holder("t") == "ana"
    floor.task("u")
    assert floor.asked("u") == ["ana"]
    with pytest.raises(StaleFence):
        floor.do(do.Restore(resource_id="ana", session="other"))


def test_only_the_available_are_asked() -> None:
    for presence in ("busy", "away", "draining", "offline"):
        floor = Floor(ONE)
        floor.agent("ana")
        floor.task("held")
        floor.accept("held")
        floor.task("asked")
        floor.do(do.SetPresence(resource_id="ana", presence=presence))
        assert floor.get("asked").state is TaskState.QUEUED
        assert floor.holder("held") == (None if presence == "offline" else "ana")


def test_signing_out_ends_a_wrap_up_and_gives_the_chats_back() -> None:
    floor = Floor(ONE)
    floor.agent("ana")
    for name in ("talk", "wrapping"):
        floor.task(name)
        floor.accept(name)
    floor.do(do.CompleteTask(task_id="wrapping"))
    floor.do(do.SetPresence(resource_id="ana", presence="offline"))
    assert floor.get("wrapping").state is TaskState.COMPLETED
    assert floor.get("talk").state is TaskState.QUEUED
    assert floor.engine.state.resources["ana"].used == 0


def test_a_resource_can_change_while_it_works() -> None:
    floor = Floor(ONE)
    floor.agent("ana", most=2)
    floor.task("t")
    floor.accept("t")
    floor.do(do.PutResource(id="ana", queues=("cards",), channels={"chat": ChannelLimit(most=1)}, capacity=1))
    floor.task("u")
    assert floor.get("u").state is TaskState.QUEUED
    floor.do(do.PutResource(id="ana", queues=("cards",), channels={"chat": ChannelLimit(most=5)}, capacity=5))
    assert floor.asked("u") == ["ana"]
    with pytest.raises(Conflict):
        floor.do(do.PutResource(id="ana", queues=("cards",), channels={"email": ChannelLimit()}, capacity=5))


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("kind", {"kind": "robot"}),
        ("channels", {"channels": {}}),
        ("capacity", {"capacity": 0}),
        ("capacity", {"capacity": 2, "reserve": 2}),
        ("success", {"success": 1.5}),
        ("channels.chat", {"channels": {"chat": ChannelLimit(most=0)}}),
        ("skills.german", {"skills": {"german": 6}}),
    ],
)
def test_a_bad_resource_is_refused_with_its_field(field: str, wrong: dict[str, object]) -> None:
    floor = Floor(ONE)
    asked = {"id": "ana", "queues": ("cards",), "channels": {"chat": ChannelLimit()}, **wrong}
    before = floor.engine.hash()
    with pytest.raises(BadCommand, match=field):
        floor.do(do.PutResource(**asked))  # type: ignore[arg-type] # that is the test
    assert floor.engine.hash() == before


def test_saying_the_same_again_is_nothing_new() -> None:
    floor = Floor(ONE)
    floor.agent("ana")
    assert floor.do(do.SetPresence(resource_id="ana", presence="available", session="ana-1")).is_repeat


def test_what_an_absent_agent_keeps_goes_to_others_in_the_end() -> None:
    floor = Floor({"queues": {"cards": {}}, "channels": {"email": {"lost": "keep", "keep_s": 600}}})
    for name in ("ana", "ben"):
        floor.agent(name, channels=BOTH, capacity=1)
    floor.task("t", channel="email")
    floor.accept("t")
    floor.do(do.SetPresence(resource_id="ana", presence="offline"))
    floor.wait(300)
    floor.do(do.SetPresence(resource_id="ana", presence="away", session="ana-2"))
    floor.wait(3600)
    assert floor.holder("t") == "ana", "who comes back has it still"
    floor.do(do.SetPresence(resource_id="ana", presence="offline"))
    floor.wait(600)
    assert floor.asked("t") == ["ben"]
    assert floor.get("t").queued_ns == START_NS
    assert floor.replayed().hash() == floor.engine.hash()


def test_what_an_absent_agent_keeps_is_not_given_up_but_given_to_others() -> None:
    floor = Floor({"queues": {"cards": {"ttl_s": 3600}}})
    floor.agent("ana", channels=BOTH)
    floor.task("t", channel="email")
    floor.accept("t")
    floor.do(do.SetPresence(resource_id="ana", presence="offline"))
    floor.wait(3600)
    assert floor.get("t").state is TaskState.QUEUED
    floor.wait(3600)
    assert floor.get("t").outcome == "ttl"


def test_a_wrap_up_that_began_while_its_agent_was_absent_ends_though_he_is_back() -> None:
    floor = Floor(ONE)
    floor.agent("ana", channels=BOTH)
    floor.task("t", channel="email")
    floor.accept("t")
    floor.do(do.SetPresence(resource_id="ana", presence="offline"))
    floor.do(do.CompleteTask(task_id="t"))
    floor.do(do.SetPresence(resource_id="ana", presence="available"))
    floor.wait(30)
    assert floor.get("t").state is TaskState.COMPLETED


def test_whoever_signs_in_for_a_later_step_ends_one_that_nobody_can_meet() -> None:
    steps = [{"for_s": 60, "preferred": True}, {"for_s": 60, "kinds": ["agent"]}, {"queues": ["loans"]}]
    floor = Floor({"queues": {"cards": {"steps": steps}, "loans": {}}})
    floor.task("t", preferred=("ghost",))
    floor.wait(5)
    floor.agent("bot", kind="bot", most=1, presence="away")
    floor.wait(0)
    assert floor.get("t").step == 2, "it could have it, in the last step"
    floor.task("u", preferred=("ghost",), channel="voice")
    assert floor.get("u").step == 0
    floor.agent("ana", "loans", channels={"voice": ChannelLimit(most=1)})
    floor.wait(0)
    assert floor.asked("u") == ["ana"]
    assert floor.get("t").step == 2
    assert floor.replayed().hash() == floor.engine.hash()


@pytest.mark.parametrize(
    ("channels", "capacity"),
    [
        ({"chat": ChannelLimit(most=3)}, 6),
        ({"chat": ChannelLimit()}, 2),
        ({"chat": ChannelLimit(most=2), "email": ChannelLimit(most=5)}, 5),
        ({"chat": ChannelLimit(most=3, weight=1)}, 3),
    ],
)
def test_a_capacity_that_nobody_states_is_what_the_channels_allow(
    channels: dict[str, ChannelLimit], capacity: int
) -> None:
    floor = Floor({"queues": {"cards": {}}, "channels": {"chat": {"weight": 2}}})
    floor.do(do.PutResource(id="ana", queues=("cards",), channels=channels))
    assert floor.engine.state.resources["ana"].capacity == capacity
