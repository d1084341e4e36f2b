"""A day of a contact center, computed by hand, beside what statistics say of it."""

from __future__ import annotations

import random

import msgspec
import pytest

from router.assign.command import EscalateTask, PostponeTask, TransferTask
from router.assign.policy import ChannelPolicy
from router.insight.figures import AgentFigures, QueueFigures
from router.insight.statistics import Statistics
from tests.contact_center import START_S, Center, S, policy_of

HOUR = 3_600.0


def queue_of(center: Center, name: str = "care", window_s: float = HOUR) -> QueueFigures:
    return next(each for each in center.statistics.queues(window_s, center.now_ns) if each.queue == name)


def agent_of(center: Center, name: str = "ana", window_s: float = HOUR) -> AgentFigures:
    return next(each for each in center.statistics.agents(window_s, center.now_ns) if each.resource_id == name)


@pytest.fixture
def morning() -> Center:
    """One agent, chats one by one with a wrap-up, a target of 20 s.

    one    comes 10, accepted 15 (5 s), talk until 75, wrapped 85: 70 s
    two    comes 20, accepted 90 (70 s), talk until 190, wrapped 200: 110 s
    three  comes 30, gone 45 (15 s, within the target)
    four   comes 40, gone 100 (60 s)
    five   comes 50, gone 53 (3 s: short)
    six    comes 60, waits
    """
    center = Center(policy_of("care", target_s=20.0, short_abandon_s=5.0, channels={"chat": ChannelPolicy(wrap_s=60)}))
    center.agent("ana", "care")
    center.at(10).task("one", "care")
    center.at(15).accept("one")
    center.at(20).task("two", "care")
    center.at(30).task("three", "care")
    center.at(40).task("four", "care")
    center.at(45).abandon("three")
    center.at(50).task("five", "care")
    center.at(53).abandon("five")
    center.at(60).task("six", "care")
    center.at(75).complete("one")
    center.at(85).complete("one")  # the wrap-up
    center.at(90).accept("two")
    center.at(100).abandon("four")
    center.at(190).complete("two")
    center.at(200).presence("ana", "away")
    center.complete("two")
    return center.at(300)


def test_answered_and_abandoned(morning: Center) -> None:
    care = queue_of(morning)
    assert (care.queued, care.answered, care.abandoned, care.short_abandoned, care.left) == (6, 2, 2, 1, 0)
    assert care.asa_s == (5 + 70) / 2
    assert care.sl1_share == 1 / 2
    assert care.sl2_share == (1 + 1) / (2 + 2)
    assert care.abandoned_share == 2 / (6 - 1)
    assert (care.waiting, care.longest_wait_s) == (1, 300 - 60)
    assert (care.completed, care.canceled) == (2, 3)


def test_handling_time_is_talk_and_wrap_up(morning: Center) -> None:
    assert queue_of(morning).aht_s == agent_of(morning).aht_s == (70 + 110) / 2
    assert agent_of(morning).handled == 2


def test_time_integrals(morning: Center) -> None:
    care, ana = queue_of(morning), agent_of(morning)
    # Her first event was at 0, so the window of an hour holds the five minutes that there are.
    assert ana.signed_in_s == 300
    assert ana.available_s == 200
    assert ana.occupancy_share == care.occupancy_share == (70 + 110) / 200
    assert ana.utilisation_share == care.utilisation_share == (70 + 110) / 300
    waited = 5 + 70 + 15 + 60 + 3 + (300 - 60)
    assert care.mean_waiting * care.window_s == pytest.approx(waited)
    assert care.window_s == HOUR
    assert (care.agents, care.available) == (1, 0)


def test_a_window_begins_at_its_full_minute(morning: Center) -> None:
    # The last 200 s begin at 100; what is told begins at 60, where four was to leave still, and six came.
    care = queue_of(morning, window_s=200)
    assert care.window_s == 300 - 60
    assert (care.queued, care.answered, care.abandoned, care.asa_s) == (1, 1, 1, 70)
    assert care.abandoned_share == 1
    assert care.occupancy_share == (85 - 60 + 110) / 140
    assert care.utilisation_share == (85 - 60 + 110) / 240


def test_offers_that_expire_and_are_declined() -> None:
    center = Center(policy_of("care", max_missed=5, cooldown_s=0.0))
    center.agent("ana", "care")
    center.task("one", "care")  # offered at 0, expires at 30 and 60 (and the grace), declined at 70
    center.at(70).decline("one")
    center.at(75).accept("one")
    care, ana = queue_of(center), agent_of(center)
    assert (care.offers, care.expired, care.declined) == (4, 2, 1)
    assert (ana.offers, ana.expired, ana.declined, ana.accepted) == (4, 2, 1, 1)
    assert care.rona_share == ana.rona_share == 2 / 4


def test_handed_on_it_waits_anew() -> None:
    center = Center(policy_of("care", "sales", channels={"chat": ChannelPolicy(wrap_s=0)}))
    center.agent("ana", "care")
    center.agent("ben", "sales")
    center.task("one", "care")
    center.at(10).accept("one")
    center.at(70).transfer("one", "sales")
    center.at(100).accept("one")
    center.at(150).complete("one")
    center.task("two", "care")
    center.at(160).transfer("two", "sales")
    care, sales = queue_of(center), queue_of(center, "sales")
    assert (care.queued, care.answered, care.asa_s, care.left) == (2, 1, 10, 1)
    assert (care.handled, care.transferred_share, care.aht_s) == (1, 1, 60)
    assert (sales.queued, sales.answered, sales.asa_s, sales.left, sales.waiting) == (2, 1, 30, 0, 1)
    assert (sales.handled, sales.transferred_share, sales.aht_s) == (1, 0, 50)
    assert (care.occupancy_share, sales.occupancy_share) == (60 / 160, 50 / 160)


def test_forced_by_a_supervisor_is_an_answer() -> None:
    center = Center(policy_of("care"))
    center.agent("ana", "care", presence="away")
    center.task("one", "care")
    center.at(50).do(TransferTask(task_id="one", resource_id="ana", is_forced=True))
    care = queue_of(center)
    assert (care.queued, care.answered, care.asa_s, care.waiting) == (1, 1, 50, 0)


def test_callbacks_are_not_abandoned() -> None:
    center = Center(policy_of("care"))
    center.task("one", "care", is_callback=True)
    center.task("two", "care")
    center.do(PostponeTask(task_id="two"))
    center.task("three", "care")
    for name in ("one", "two", "three"):
        center.at(60).abandon(name)
    care = queue_of(center)
    assert (care.queued, care.callbacks, care.abandoned, care.left) == (3, 2, 1, 2)
    assert care.abandoned_share == 1


def test_bots_contain_and_queues_deflect() -> None:
    center = Center(policy_of("care", channels={"chat": ChannelPolicy(wrap_s=0)}))
    center.agent("robot", "care", kind="bot", capacity=9)
    for name in ("one", "two", "three"):
        center.task(name, "care")
    center.at(60).complete("one")
    center.do(EscalateTask(task_id="two"))
    center.agent("ana", "care")
    center.at(70).accept("two")
    center.at(80).complete("two")
    center.at(90).do(TransferTask(task_id="three", resource_id="ana"))
    center.abandon("three")
    center.presence("robot", "away")
    care = queue_of(center)
    assert (care.completed, care.canceled) == (2, 1)
    assert care.containment_share == 1 / 3
    assert care.deflection_share == 1 / 3


def test_an_agent_of_two_queues_with_room_for_three() -> None:
    center = Center(policy_of("care", "sales", channels={"chat": ChannelPolicy(wrap_s=0)}))
    center.agent("ana", "care", "sales", capacity=3)
    center.task("one", "care")
    center.accept("one")
    center.task("two", "sales")
    center.accept("two")
    center.at(50).complete("two")
    center.at(100)
    for queue in ("care", "sales"):
        assert queue_of(center, queue).occupancy_share == (2 * 50 + 50) / 300
        assert queue_of(center, queue).agents == 1
    center.do(TransferTask(task_id="one", resource_id="ana", is_forced=True))
    center.presence("ana", "offline")
    assert [queue_of(center, queue).agents for queue in ("care", "sales")] == [0, 0]


def test_events_and_the_state_restore_them(morning: Center) -> None:
    """A restart: all events folded anew are the same; with the state alone the gauges are right."""
    again = Statistics(morning.state.policy)
    for event in morning.events:
        again.fold(event)
    told = morning.statistics.queues(HOUR, morning.now_ns), morning.statistics.agents(HOUR, morning.now_ns)
    assert (again.queues(HOUR, morning.now_ns), again.agents(HOUR, morning.now_ns)) == told
    again.align(morning.state, morning.now_ns)
    assert (again.queues(HOUR, morning.now_ns), again.agents(HOUR, morning.now_ns)) == told

    fresh = Statistics(morning.state.policy)
    fresh.align(morning.state, morning.now_ns)
    care = fresh.queues(HOUR, morning.now_ns)[0]
    assert (care.waiting, care.longest_wait_s, care.agents, care.available) == (1, 240, 1, 0)
    seen = len(morning.events)
    morning.presence("ana", "available")
    morning.at(330).accept("six")
    for event in morning.events[seen:]:
        fresh.fold(event)
    assert fresh.queues(HOUR, morning.now_ns)[0].asa_s == 270


def test_order_of_what_happens_at_once_does_not_matter() -> None:
    """Events of different tasks at the same time, told in any order that keeps each task's own."""
    center = Center(policy_of("care", "sales", channels={"chat": ChannelPolicy(wrap_s=0)}))
    for number in range(6):
        center.agent(f"a{number}", "care", "sales")
    for number in range(20):
        center.task(f"t{number}", ("care", "sales")[number % 2])
    for number in range(6):
        center.accept(f"t{number}")
    for number in range(3):
        center.complete(f"t{number}")
    for number in range(10, 15):
        center.abandon(f"t{number}")
    told = center.at(60).statistics
    now_ns, rng = center.now_ns, random.Random(7)
    events = [event for event in center.events if event.at_ns == START_S * S]
    for _ in range(20):
        lines = {subject: [e for e in events if e.subject == subject] for subject in {e.subject for e in events}}
        other, shuffled = Statistics(center.state.policy), []
        while lines:
            subject = rng.choice(sorted(lines))
            shuffled.append(lines[subject].pop(0))
            if not lines[subject]:
                del lines[subject]
        for number, event in enumerate([*shuffled, *center.events[len(events) :]]):
            other.fold(msgspec.structs.replace(event, id=f"1-{number}", position=1 + number))
        assert other.queues(HOUR, now_ns) == told.queues(HOUR, now_ns)
        assert other.agents(HOUR, now_ns) == told.agents(HOUR, now_ns)


def test_an_event_counts_once(morning: Center) -> None:
    told = morning.statistics.queues(HOUR, morning.now_ns)
    for event in morning.events:
        morning.statistics.fold(event)
    assert morning.statistics.queues(HOUR, morning.now_ns) == told
