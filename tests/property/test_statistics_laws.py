"""Whatever happens in a contact center, its statistics agree with its state, and nothing gets lost on the way."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from router.assign.command import (
    EscalateTask,
    PauseTask,
    PostponeTask,
    PutResource,
    RequeueTask,
    ResumeTask,
    SetQueue,
    TransferTask,
)
from router.assign.entity import ChannelLimit
from router.assign.errors import Refused
from router.assign.policy import ChannelPolicy, Policy, QueuePolicy, Trigger
from router.assign.transition import TERMINAL, Presence
from router.insight.figures import L, Q
from router.insight.statistics import Statistics
from tests.contact_center import Center

if TYPE_CHECKING:
    from router.assign.state import State

QUEUES = ("care", "sales")
HOUR = 3_600.0


def random_day(seed: int, steps: int = 400) -> Center:
    """About two hours of everything that can happen."""
    rng = Random(seed)
    queue = QueuePolicy(short_abandon_s=5.0, cooldown_s=20.0, missed_s=60.0, ttl_s=900.0)
    full = Trigger(when="waiting > 20", then="cancel")
    policy = Policy(
        queues={"care": queue, "sales": QueuePolicy(overflow=(full,))},
        channels={"chat": ChannelPolicy(wrap_s=20.0, pause_after_s=120.0)},
    )
    center = Center(policy, compile_condition=lambda _: lambda facts: bool(facts.get("waiting", 0) > 20))
    for number in range(6):
        center.agent(
            f"a{number}", *rng.choice((("care",), ("sales",), QUEUES)), capacity=rng.randint(1, 3),
            kind="bot" if number == 5 else "agent",
        )  # fmt: skip
    for step in range(steps):
        center.at(center.now_s + rng.expovariate(1 / 18))
        try:
            happen(center, rng, step)
        except Refused:
            continue
    return center


def happen(center: Center, rng: Random, step: int) -> None:
    names = [name for name, task in center.state.tasks.items() if task.state not in TERMINAL]
    name, agent = rng.choice(names) if names else "", f"a{rng.randrange(6)}"
    match rng.randrange(16) if names else 0:
        case 0 | 1 | 2 | 3:
            center.task(f"t{step}", rng.choice(QUEUES), is_callback=rng.random() < 0.1)
        case 4 | 5 | 6:
            center.accept(name)
        case 7:
            center.complete(name)
        case 8:
            center.abandon(name)
        case 9:
            center.presence(agent, rng.choice(("available", "available", "away", "busy", "draining", "offline")))
        case 10 | 11:
            is_forced = rng.random() < 0.5
            to = {"resource_id": agent, "is_forced": True} if is_forced else {"queue": rng.choice(QUEUES)}
            center.do(TransferTask(task_id=name, **to))
        case 12:
            center.decline(name)
        case 13 | 14:
            later_ns = center.now_ns + rng.choice((0, 60)) * 10**9
            moves = [of(task_id=name) for of in (PauseTask, ResumeTask, RequeueTask, EscalateTask)]
            opens = SetQueue(queue=rng.choice(QUEUES), is_open=rng.choice((None, None, False, True)))
            center.do(rng.choice([*moves, PostponeTask(task_id=name, open_ns=later_ns), opens]))
        case _:
            queues = rng.choice((("care",), ("sales",), QUEUES))
            kind = center.state.resources[agent].kind
            center.do(
                PutResource(
                    id=agent, queues=queues, kind=kind, channels={"chat": ChannelLimit()}, capacity=rng.randint(1, 3)
                )
            )


def levels_of(state: State, queue: str) -> list[int]:
    """What `L` says, counted anew."""
    told = [0] * len(L)
    for resource in state.resources.values():
        if queue not in resource.queues or resource.presence is Presence.OFFLINE:
            continue
        held = [state.tasks[name].assignment for name in resource.tasks]
        busy = sum(each.weight for each in held if each is not None and each.resource_id == resource.id)
        is_working = resource.presence in {Presence.AVAILABLE, Presence.BUSY} or busy > 0
        told[L.BUSY] += min(busy, resource.capacity)
        told[L.WORKING] += resource.capacity if is_working else 0
        told[L.SIGNED] += resource.capacity
        told[L.AGENTS] += 1
        told[L.AVAILABLE] += resource.presence is Presence.AVAILABLE
    told[L.WAITING] = state.queues[queue].waiting
    return told


@pytest.mark.parametrize("seed", range(25))
def test_levels_are_those_of_the_state_and_nothing_is_lost(seed: int) -> None:
    center = random_day(seed)
    statistics = center.statistics
    for name in QUEUES:
        assert [statistics.level(name, level) for level in L] == levels_of(center.state, name)
        totals = {counter: statistics.total(name, counter) for counter in Q}
        ended = (Q.ANSWERED, Q.ABANDONED, Q.SHORT_ABANDONED, Q.LEFT)
        assert totals[Q.QUEUED] == sum(totals[each] for each in ended) + center.state.queues[name].waiting
        settled = (Q.ACCEPTED, Q.DECLINED, Q.EXPIRED, Q.RESCINDED)
        pending = [
            offer for task in center.state.tasks.values() if task.queue == name for offer in task.offers
            if offer.state == "pending"
        ]  # fmt: skip
        assert totals[Q.OFFERS] == sum(totals[each] for each in settled) + len(pending)
        waits = [
            center.state.now_ns - task.entered_ns
            for task in center.state.tasks.values()
            if task.queue == name and task.state in {"queued", "offered"}
        ]
        assert statistics.longest_wait_s(name, center.state.now_ns) == max(waits, default=0) / 1e9
    assert sum(statistics.total(name, Q.COMPLETED) for name in QUEUES) > 0


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_in_their_bounds(seed: int) -> None:
    center = random_day(seed)
    for window_s in (60, 900, HOUR, 86_400):
        queues = center.statistics.queues(window_s, center.now_ns)
        for each in (*queues, *center.statistics.agents(window_s, center.now_ns)):
            for field in each.__struct_fields__:
                value = getattr(each, field)
                assert value is None or not field.endswith("_share") or 0 <= value <= 1, (field, value)
                assert value is None or isinstance(value, (str, tuple)) or value >= 0, (field, value)
        for queue in queues:
            assert queue.occupancy_share is None or queue.occupancy_share >= (queue.utilisation_share or 0)


@pytest.mark.parametrize("seed", range(5))
def test_aligned_they_go_on_as_the_others(seed: int) -> None:
    """From the middle of a day on, statistics that knew the state alone count as those that saw all of it."""
    center = random_day(seed, 150)
    fresh = Statistics(center.state.policy)
    fresh.align(center.state, center.state.now_ns)
    before = {(name, each): center.statistics.total(name, each) for name in QUEUES for each in Q}
    seen, rng = len(center.events), Random(seed)
    for step in range(150):
        center.at(center.now_s + rng.expovariate(1 / 18))
        try:
            happen(center, rng, 1_000 + step)
        except Refused:
            continue
    for event in center.events[seen:]:
        fresh.fold(event)
    for name in QUEUES:
        assert [fresh.level(name, level) for level in L] == [center.statistics.level(name, level) for level in L]
        for counter in set(Q) - {Q.BOT_ENDED, Q.CONTAINED}:  # who had a task before is not in the state
            assert fresh.total(name, counter) == center.statistics.total(name, counter) - before[name, counter]
