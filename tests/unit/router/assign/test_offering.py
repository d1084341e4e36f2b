"""Offers: to whom, for how long, and what every answer does."""

from __future__ import annotations

from typing import Any

import pytest

from router.assign import command as do
from router.assign.errors import Conflict, Expired, LostRace, StaleFence, Unknown
from router.assign.transition import Presence, TaskState
from tests.desk_floor import Floor

ONE: dict[str, Any] = {"queues": {"cards": {}}}


def test_a_task_is_offered_accepted_and_the_capacity_is_held_from_the_offer_on() -> None:
    floor = Floor(ONE)
    floor.agent("ana", most=1)
    task = floor.task("t")
    assert task.state is TaskState.OFFERED
    assert floor.engine.state.resources["ana"].used == 1
    floor.task("u")
    assert floor.get("u").state is TaskState.QUEUED
    floor.wait(3)
    floor.accept("t")
    assert floor.holder("t") == "ana"
    assert floor.last("task.assigned")["waited_s"] == 3.0
    assert floor.told("t") == ["task.queued", "offer.issued", "offer.accepted", "task.assigned"]


def test_accepting_twice_is_one_assignment() -> None:
    floor = Floor(ONE)
    floor.agent("ana")
    floor.task("t")
    offer = floor.offer_of("t")
    first = floor.do(do.Accept(offer_id=offer))
    again = floor.do(do.Accept(offer_id=offer))
    assert not first.is_repeat
    assert again.is_repeat
    assert again.subject == "t"


def test_the_first_of_parallel_offers_to_be_accepted_wins() -> None:
    floor = Floor({"queues": {"cards": {"parallel": 3}}})
    for name in ("ana", "ben", "cem", "dia"):
        floor.agent(name, most=1)
    floor.task("t")
    first, second, third = floor.get("t").offers
    floor.do(do.Accept(offer_id=second.id))
    assert floor.holder("t") == second.resource_id
    for loser in (first, third):
        with pytest.raises(LostRace):
            floor.do(do.Accept(offer_id=loser.id))
        assert floor.engine.state.resources[loser.resource_id].used == 0


def test_an_expired_offer_goes_to_the_next_at_the_original_age() -> None:
    floor = Floor(ONE)
    floor.agent("ana")
    floor.wait(1)
    floor.agent("ben")
    task = floor.task("t")
    first = floor.offer_of("t")
    queued_ns = task.queued_ns
    floor.wait(30.1)
    assert floor.asked("t") == ["ana"], "a late accept still counts for 250 ms"
    floor.wait(0.2)
    assert floor.asked("t") == ["ben"]
    assert floor.get("t").queued_ns == queued_ns
    with pytest.raises(Expired):
        floor.do(do.Accept(offer_id=first))


def test_an_accept_within_the_grace_counts() -> None:
    floor = Floor(ONE)
    floor.agent("ana")
    floor.task("t")
    floor.wait(30.2)
    floor.accept("t")
    assert floor.holder("t") == "ana"


def test_who_declines_is_not_asked_again_for_a_while() -> None:
    floor = Floor(ONE)
    floor.agent("ana")
    floor.agent("ben", presence="away")
    floor.task("t")
    floor.do(do.Decline(offer_id=floor.offer_of("t"), reason="break"))
    assert floor.last("offer.declined")["reason"] == "break"
    assert floor.get("t").state is TaskState.QUEUED
    floor.wait(59)
    assert floor.get("t").state is TaskState.QUEUED
    floor.wait(1)
    assert floor.asked("t") == ["ana"]


def test_the_cool_down_is_short_for_who_is_alone() -> None:
    floor = Floor(ONE)
    floor.agent("ana")
    floor.task("t")
    floor.do(do.Decline(offer_id=floor.offer_of("t")))
    floor.wait(1)
    assert floor.asked("t") == ["ana"]


def test_who_declines_gets_the_next_task() -> None:
    floor = Floor(ONE)
    floor.agent("ana", most=1)
    floor.agent("ben", presence="away")
    floor.task("t")
    floor.task("u")
    floor.do(do.Decline(offer_id=floor.offer_of("t")))
    assert floor.asked("u") == ["ana"]


def test_two_expiries_in_a_row_count_as_not_there_and_it_ends_by_itself() -> None:
    floor = Floor({"queues": {"cards": {"missed_s": 120}}})
    floor.agent("ana")
    floor.task("t")
    floor.wait(70)
    assert floor.presence("ana") is Presence.MISSED
    assert floor.get("t").state is TaskState.QUEUED
    floor.wait(125)
    assert floor.presence("ana") is Presence.AVAILABLE
    assert floor.asked("t") == ["ana"]


def test_refusals_change_nothing() -> None:
    floor = Floor(ONE)
    floor.agent("ana")
    floor.task("t")
    offer = floor.offer_of("t")
    before = floor.engine.hash()
    with pytest.raises(Unknown):
        floor.do(do.Accept(offer_id="t-9"))
    with pytest.raises(Conflict):
        floor.do(do.Accept(offer_id=offer, resource_id="ben"))
    with pytest.raises(StaleFence):
        floor.do(do.Accept(offer_id=offer, fence=17))
    assert floor.engine.hash() == before


def test_a_new_session_does_not_accept_the_old_ones_offer() -> None:
    floor = Floor(ONE)
    floor.agent("ana")
    floor.task("t")
    old = floor.offer_of("t")
    floor.do(do.SetPresence(resource_id="ana", presence="available", session="ana-2"))
    with pytest.raises(LostRace):
        floor.do(do.Accept(offer_id=old))
    floor.accept("t")
    assert floor.holder("t") == "ana"


def test_whoever_accepts_by_himself_is_assigned_in_the_same_step() -> None:
    floor = Floor(ONE)
    floor.agent("bot", most=100, kind="bot")
    stepped = floor.do(do.CreateTask(id="t", queue="cards"))
    assert [event.type for event in stepped.events] == ["task.queued", "task.assigned"]
