"""What is said of a wait as it begins, beside what it came to be, of all who waited."""

from __future__ import annotations

import heapq
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from router.assign.entity import ChannelLimit
from router.assign.policy import ChannelPolicy
from router.assign.transition import TaskState
from router.assign.wait import expected_wait_s, queue_wait_s
from tests.contact_center import Center, policy_of

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

AHT_S = 180.0
CUSTOMERS = 6_000


def center_of(*queues: str) -> Center:
    # What is held is released as it is completed; servers take what they get.
    return Center(policy_of(*queues, aht_s=AHT_S, ttl_s=7e6, channels={"chat": ChannelPolicy(wrap_s=0)}))


def play(
    center: Center, rate_s: float, kinds: Callable[[Random], dict[str, Any]], seed: int
) -> list[tuple[str, float, float]]:
    """Poisson arrivals and exponential service. Returns of each who waited: of which kind, expected and real wait."""
    rng, arrival_s, at_s = Random(seed), 0.0, 0.0
    told: dict[str, tuple[str, float, float]] = {}
    waits: list[tuple[str, float, float]] = []
    ends: list[tuple[float, str]] = []
    started: set[str] = set()
    number = 0

    def begin() -> None:
        """Of all who were assigned by what has just happened."""
        for event in center.events:
            if event.type == "task.assigned" and event.subject not in started:
                started.add(event.subject)
                heapq.heappush(ends, (at_s + rng.expovariate(1 / AHT_S), event.subject))
                if event.subject in told:
                    kind, came_s, expected_s = told.pop(event.subject)
                    waits.append((kind, expected_s, at_s - came_s))
        center.events.clear()

    while number < CUSTOMERS or told:
        if number < CUSTOMERS and (not ends or arrival_s <= ends[0][0]):
            at_s = arrival_s
            kind = kinds(rng)
            task = center.at(at_s).task(f"t{number}", **kind)
            if task.state is TaskState.QUEUED:
                wait_s = expected_wait_s(center.state, task)
                assert wait_s is not None
                told[task.id] = str(min(kind.get("skills", {"": 0})) or kind["queue"]), at_s, wait_s
            number += 1
            arrival_s = at_s + rng.expovariate(rate_s)
        else:
            at_s, name = heapq.heappop(ends)
            center.at(at_s).complete(name)
        begin()
    return waits


def bias(waits: list[tuple[str, float, float]], kind: str | None = None) -> float:
    """By how much too long, on average."""
    some = [(expected, real) for name, expected, real in waits if kind in {None, name}]
    assert len(some) > 500
    return sum(expected for expected, _ in some) / sum(real for _, real in some) - 1


def error(waits: list[tuple[str, float, float]]) -> float:
    """Mean absolute error, of the mean wait."""
    return sum(abs(expected - real) for _, expected, real in waits) / sum(real for _, _, real in waits)


def servers(center: Center, count: int, *queues: str, prefix: str = "a", **more: Any) -> None:
    for number in range(count):
        center.agent(f"{prefix}{number}", *queues, kind="workflow", **more)


def test_one_line() -> None:
    """M/M/10 at 92 %: what is said is the mean given the place, so there is no bias, and the rest is chance."""
    center = center_of("care")
    servers(center, 10, "care")
    waits = play(center, 10 * 0.92 / AHT_S, lambda _: {"queue": "care"}, seed=1)
    assert abs(bias(waits)) < 0.08
    assert error(waits) < 0.5


def test_two_queues_that_share_agents() -> None:
    """Half of them in both: the other queue's work is part of the wait."""
    center = center_of("care", "sales")
    servers(center, 6, "care", "sales", prefix="both")
    servers(center, 3, "care", prefix="care")
    servers(center, 3, "sales", prefix="sales")
    waits = play(
        center, 12 * 0.92 / AHT_S, lambda rng: {"queue": "care" if rng.random() < 0.5 else "sales"}, seed=2
    )  # fmt: skip
    assert abs(bias(waits)) < 0.12
    assert abs(bias(waits, "care")) < 0.15
    assert abs(bias(waits, "sales")) < 0.15


def test_a_skill_that_some_have() -> None:
    """A third of the tasks needs it, and so do 5 of 12 agents have it."""
    center = center_of("care")
    servers(center, 7, "care", prefix="plain")
    servers(center, 5, "care", prefix="french", skills={"french": 3})

    def kinds(rng: Random) -> dict[str, Any]:
        return {"queue": "care"} | ({"skills": {"french": 2}} if rng.random() < 1 / 3 else {})

    waits = play(center, 12 * 0.92 / AHT_S, kinds, seed=3)
    assert abs(bias(waits)) < 0.12
    assert abs(bias(waits, "french")) < 0.15


def test_who_is_away_serves_nobody_and_who_is_free_at_once() -> None:
    center = center_of("care")
    assert queue_wait_s(center.state, "care") is None
    servers(center, 2, "care")
    assert queue_wait_s(center.state, "care") == 0.0
    assert queue_wait_s(center.state, "care", "voice") is None
    for number in range(5):
        center.task(f"t{number}", "care")
    assert [expected_wait_s(center.state, center.state.tasks[f"t{n}"]) for n in range(2, 5)] == [90.0, 180.0, 270.0]
    assert queue_wait_s(center.state, "care") == 360.0
    center.presence("a0", "away")
    assert queue_wait_s(center.state, "care") == 720.0
    center.presence("a1", "away")
    assert queue_wait_s(center.state, "care") is None


@pytest.mark.parametrize(("most", "capacity", "slots"), [(3, 10, 3), (5, 4, 4), (9, 9, 9)])
def test_one_who_holds_many_counts_for_as_many(most: int, capacity: int, slots: int) -> None:
    center = center_of("care")
    servers(center, 1, "care", capacity=capacity, channels={"chat": ChannelLimit(most=most)})
    for number in range(slots + 1):
        center.task(f"t{number}", "care")
    assert expected_wait_s(center.state, center.state.tasks[f"t{slots}"]) == AHT_S / slots


def test_handling_time_is_measured() -> None:
    center = center_of("care")
    servers(center, 1, "care")
    center.task("one", "care")
    center.at(60).complete("one")
    center.task("two", "care")
    three = center.task("three", "care")
    assert expected_wait_s(center.state, three) == 60.0
