"""Why a task waits: what blocks it, and that the change that is recommended lets it be offered."""

from __future__ import annotations

import time
from random import Random

import msgspec
import pytest

from router.assign.command import PutResource, SetQueue, UpdateTask
from router.assign.entity import ChannelLimit, Resource
from router.assign.policy import ChannelPolicy, ClassPolicy, HoursPolicy, Policy, QueuePolicy, RampPolicy, Step
from router.assign.transition import Presence, TaskState
from router.insight.explain import explain
from router.insight.explanation import Explanation, Unblock
from tests.contact_center import Center, policy_of


def told(center: Center, name: str) -> Explanation:
    return explain(center.state, center.state.tasks[name], center.now_ns)


def recommended(explanation: Explanation) -> Unblock:
    (change,) = [change for change in explanation.unblock if change.is_recommended]
    assert change is explanation.unblock[0]
    return change


def kept(explanation: Explanation) -> dict[str, int]:
    return {each.name: each.kept for each in explanation.filters}


def test_the_first_filter_that_leaves_nobody_blocks() -> None:
    center = Center(policy_of("care", "sales"))
    center.agent("ana", "care", presence="offline", skills={"french": 5})
    center.agent("ben", "sales", skills={"french": 5})
    center.agent("cem", "care", skills={"french": 1}, channels={"voice": ChannelLimit()})
    center.agent("dora", "care", skills={"french": 2})
    center.agent("eve", "care", skills={"french": 5}, presence="away")
    center.task("one", "care", skills={"french": 4})
    explanation = told(center, "one")
    assert kept(explanation) == {
        "logged_in": 4, "queue": 3, "channel": 2, "kind": 2, "skills": 1, "step_skills": 1, "preferred": 1,
        "condition": 1, "excluded": 1, "presence": 0, "capacity": 0,
    }  # fmt: skip
    assert explanation.blocking == "presence"
    assert recommended(explanation).kind == "presence"
    assert recommended(explanation).about == "away"
    assert [(change.kind, change.about, change.resource_ids) for change in explanation.unblock] == [
        ("presence", "away", ("eve",)),
        ("lower_skill", "french", ("dora",)),
        ("transfer", "sales", ("ben",)),
        ("sign_in", "", ("ana",)),
    ]
    assert explanation.unblock[1].level == 2
    assert explanation.sentences[0] == "Task one has waited 0 s in care: nobody can take it now."
    assert explanation.sentences[1] == "Of those who meet all before that (1) nobody is available."
    assert explanation.sentences[2] == "One who is away becomes available: 1 candidate."


def test_nobody_there_at_all() -> None:
    center = Center(policy_of("care"))
    center.task("one", "care")
    explanation = told(center, "one")
    assert explanation.blocking == "logged_in"
    assert (recommended(explanation).kind, recommended(explanation).candidates) == ("add_resource", 0)
    assert "Nobody at all is signed in." in explanation.sentences
    assert explanation.ewt_s is None


def test_all_at_capacity_with_a_place_and_a_wait() -> None:
    center = Center(policy_of("care", aht_s=100.0, target_s=30.0))
    for name in ("ana", "ben"):
        center.agent(name, "care")
    for number in range(5):
        center.task(f"t{number}", "care")
    for number in range(2):
        center.accept(f"t{number}")
    explanation = told(center.at(20), "t3")
    assert explanation.blocking == "capacity"
    assert (recommended(explanation).kind, recommended(explanation).candidates) == ("capacity", 2)
    assert (explanation.position, explanation.ewt_s, explanation.waited_s) == (2, 100.0, 20.0)
    assert [(each.task_id, each.by) for each in explanation.ahead] == [("t2", "age")]
    assert (explanation.target_s, explanation.slack_s) == (30.0, 10.0)
    assert explanation.sentences[-1] == "It should be accepted within 30 s: in 10 s."


def test_who_is_ahead_and_by_what() -> None:
    policy = Policy(queues={"care": QueuePolicy()}, classes={"gold": ClassPolicy(slope=9.0)})
    center = Center(policy)
    center.task("old", "care")
    center.at(5).task("me", "care")
    center.task("vip", "care", priority=1)
    center.task("gold", "care", service_class="gold")
    center.task("late", "care")
    center.at(50)
    center.task("x", "care")
    explanation = told(center, "me")
    assert {each.task_id: each.by for each in explanation.ahead} == {"gold": "class", "vip": "priority", "old": "age"}
    assert explanation.position == 4


def test_a_step_that_begins_soon_is_worth_waiting_for() -> None:
    steps = (Step(for_s=30.0, skills={"french": 3}), Step(for_s=300.0, skills={"french": 2}), Step())
    center = Center(policy_of("care", steps=steps))
    center.agent("ana", "care", skills={"french": 3}, presence="away")
    center.agent("ben", "care", skills={"french": 2})
    center.agent("cem", "care")
    center.task("one", "care")
    explanation = told(center.at(10), "one")
    assert explanation.blocking == "presence"
    change = recommended(explanation)
    assert (change.kind, change.in_s, change.resource_ids) == ("next_step", 20.0, ("ben",))
    assert [each.kind for each in explanation.unblock[1:]] == ["presence", "lower_step_skill", "drop_step_skill"]
    assert "It is in step 1 of 3; the next one begins in 20 s." in explanation.sentences
    center.at(30)
    assert center.state.tasks["one"].offers[-1].resource_id == "ben"


def test_who_is_held_back_by_the_ramp_and_until_when() -> None:
    """Ana is available: to say that nobody is would be wrong."""
    center = Center(Policy(queues={"care": QueuePolicy()}, ramp=RampPolicy(most=1, window_s=20.0)))
    center.agent("ana", "care", capacity=3, channels={"chat": ChannelLimit(most=3)})
    center.agent("ben", "care", presence="away")
    center.agent("cem", "care", presence="away")
    center.task("one", "care")
    center.accept("one")
    center.task("two", "care")
    explanation = told(center.at(5), "two")
    assert explanation.blocking == "presence"
    assert explanation.sentences[1] == (
        "Of those who meet all before that (3) nobody is available but 1 whom the ramp holds back for another 15 s."
    )
    (ramp,) = [change for change in explanation.unblock if change.about == "ramp"]
    assert (ramp.in_s, ramp.candidates) == (15.0, 1)
    assert ramp.sentence.endswith("is ready for the next in 15 s: 1 candidate.")
    center.at(20)
    assert center.state.tasks["two"].offers[-1].resource_id == "ana"


def test_closed_and_later() -> None:
    week = HoursPolicy(week={"mon": ("10:00-12:00",)})  # it is Monday 08:00
    center = Center(
        Policy(queues={"care": QueuePolicy(hours="office"), "sales": QueuePolicy()}, hours={"office": week})
    )
    center.agent("ana", "care", "sales")
    center.task("one", "care")
    explanation = told(center, "one")
    assert explanation.blocking == "closed"
    change = recommended(explanation)
    assert (change.kind, change.candidates, change.in_s) == ("open_queue", 1, 7_200.0)
    assert explanation.sentences[0] == "Task one has waited 0 s in care: queue care is closed."
    center.do(SetQueue(queue="care", is_open=True))
    assert center.state.tasks["one"].state is TaskState.OFFERED
    center.task("two", "sales", open_ns=center.now_ns + 60 * 10**9, is_callback=True)
    assert told(center, "two").blocking == "later"


def test_a_batch_that_is_gathered_needs_nothing() -> None:
    center = Center(policy_of("care", window_ms=200.0))
    center.agent("ana", "care")
    center.task("one", "care")
    explanation = told(center, "one")
    assert (explanation.blocking, explanation.unblock) == ("matching", ())
    assert explanation.sentences[0] == "Task one has waited 0 s in care: a batch of tasks is being matched."


def test_closed_with_nobody_there_needs_more_than_one_change() -> None:
    week = HoursPolicy(week={"tue": ("10:00-12:00",)})
    center = Center(Policy(queues={"care": QueuePolicy(hours="office")}, hours={"office": week}))
    center.agent("ana", "care", presence="away")
    center.task("one", "care")
    assert [change.kind for change in told(center, "one").unblock] == ["add_resource"]


def test_offers_so_far_and_the_cool_down() -> None:
    center = Center(policy_of("care", cooldown_s=60.0))
    for name in ("ana", "ben"):
        center.agent(name, "care")
    center.agent("cem", "care", presence="away")
    center.task("one", "care")
    explanation = told(center, "one")
    assert (explanation.blocking, explanation.unblock) == ("", ())
    first = explanation.offers[0].resource_id
    assert explanation.sentences[0] == f"Task one is being offered: {first} is asked now."
    center.at(5).decline("one")
    center.at(6).decline("one")
    explanation = told(center.at(10), "one")
    assert explanation.blocking == "presence"
    assert kept(explanation)["excluded"] == 1
    assert (recommended(explanation).kind, recommended(explanation).candidates) == ("lift_exclusion", 2)
    assert [(each.state, each.issued_s) for each in explanation.offers] == [("declined", 5.0), ("declined", 10.0)]
    assert (
        f"Offers so far: 2; {explanation.offers[0].resource_id} was asked 5 s ago: declined." in explanation.sentences
    )


def test_why_it_went_where_it_went() -> None:
    center = Center(policy_of("care", rank="longest_idle"))
    center.agent("ana", "care")
    center.at(10).agent("ben", "care")
    center.at(20).task("one", "care")
    center.at(24).accept("one")
    explanation = told(center, "one")
    assert explanation.chosen is not None
    assert (explanation.chosen.resource_id, explanation.chosen.rank, explanation.chosen.waited_s) == (
        "ana", "longest_idle", 4.0,
    )  # fmt: skip
    assert explanation.sentences == (
        "Task one went to ana after 4 s, who had been idle longest (20 s) of 2 who were free; it is assigned.",
    )
    center.complete("one")
    center.complete("one")
    assert told(center, "one").chosen == explanation.chosen


def apply(center: Center, task_id: str, change: Unblock) -> None:
    """Do what the explanation says, in the cheapest way that the engine has for it."""
    task = center.state.tasks[task_id]
    match change.kind:
        case "presence" | "sign_in":
            center.presence(change.resource_ids[0], "available")
        case "lower_skill":
            assert change.level is not None
            center.do(UpdateTask(task_id=task_id, skills={**task.skills, change.about: change.level}))
        case "drop_skill":
            center.do(UpdateTask(task_id=task_id, skills={k: v for k, v in task.skills.items() if k != change.about}))
        case "transfer":
            center.transfer(task_id, change.about)
        case "capacity":
            who = center.state.resources[change.resource_ids[0]]
            center.do(put(who, capacity=who.capacity + 5, channels={name: ChannelLimit() for name in who.channels}))
        case "channel":
            who = center.state.resources[change.resource_ids[0]]
            center.do(put(who, channels={**who.channels, change.about: ChannelLimit()}))
        case _:
            raise AssertionError(change)


def put(who: Resource, **changes: object) -> PutResource:
    names = ("id", "kind", "name", "queues", "channels", "capacity", "skills")
    return PutResource(**{**{name: getattr(who, name) for name in names}, **changes})


@pytest.mark.parametrize("seed", range(40))
def test_every_change_lets_it_be_offered(seed: int) -> None:
    """Random centers: each change that is told is done in one of its own, and the task is offered to a candidate."""
    for at in range(8):
        center = crowd(seed)
        explanation = told(center, "me")
        if explanation.state != "queued":
            assert not explanation.unblock
            return
        recommended(explanation)
        assert min(each.kept for each in explanation.filters) == 0
        changes = [each for each in explanation.unblock if each.kind != "add_resource"]
        if at >= len(changes):
            break
        apply(center, "me", changes[at])
        task = center.state.tasks["me"]
        assert task.state is TaskState.OFFERED, changes[at]
        assert changes[at].candidates > 5 or task.offers[-1].resource_id in changes[at].resource_ids
    else:
        raise AssertionError("more kinds of changes than there are")


def crowd(seed: int) -> Center:
    """Some agents, none of whom may take task `me`, which is first in its queue."""
    rng = Random(seed)
    channels = {"chat": ChannelPolicy(), "voice": ChannelPolicy(exclusive=False)}
    center = Center(policy_of("care", "sales", channels=channels))
    center.task("me", "care", skills={"french": rng.randint(1, 4)}, priority=9)
    for number in range(12):
        name, queues = f"a{number}", rng.choice((("care",), ("sales",), ("care", "sales")))
        takes = {"voice": ChannelLimit()} if rng.random() < 0.3 else {"chat": ChannelLimit()}
        skills = {"french": rng.randint(1, 3)} if rng.random() < 0.6 else {}
        center.agent(name, *queues, channels=takes, skills=skills, presence="offline")
        if rng.random() < 0.4:
            busy = f"work-{number}"
            center.do(put(center.state.resources[name], queues=("sales",), skills={}))
            center.presence(name, "available")
            center.task(busy, "sales", channel=next(iter(takes)))
            center.do(put(center.state.resources[name], queues=queues, skills=skills))
        else:
            center.presence(name, rng.choice(("offline", "away", "busy")))
    if rng.random() < 0.3:
        center.agent("free", "sales", skills={"french": 5})
    return center


def test_it_costs_20_ms_at_10_000_agents() -> None:
    """In the worst case: all of them lack one thing."""
    center = Center(policy_of("care"))
    for number in range(10_000):
        center.do(
            PutResource(id=f"a{number}", queues=("care",), channels={"chat": ChannelLimit()}, skills={"french": 3})
        )
    for resource in center.state.resources.values():
        resource.used = 1  # full, without 10,000 tasks
        center.state.index.sign(resource, Presence.AVAILABLE)
    center.task("one", "care", skills={"french": 2})
    center.task("two", "care", skills={"french": 4})
    for name, blocking in (("one", "capacity"), ("two", "skills")):
        took = []
        for _ in range(5):
            before = time.thread_time()
            explanation = told(center, name)
            took.append(time.thread_time() - before)
        assert explanation.blocking == blocking
        assert min(took) < 0.040  # twice what is promised: others may be at work on this machine
        print(f"{blocking}: {min(took) * 1e3:.1f} ms")


def test_it_goes_over_the_wire() -> None:
    center = Center(policy_of("care"))
    center.task("one", "care")
    explanation = told(center, "one")
    assert msgspec.json.decode(msgspec.json.encode(explanation), type=Explanation) == explanation
