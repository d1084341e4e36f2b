"""The morning flood: a night's backlog, and agents who sign in one after the other."""

from __future__ import annotations

from router.assign.command import Accept, CreateTask, PutResource, SetPresence, Tick
from router.assign.engine import Engine
from router.assign.entity import ChannelLimit
from router.assign.policy import Policy, QueuePolicy, RampPolicy
from tests.simulation.assign_drive import START_NS, no_conditions

S = 1_000_000_000
BACKLOG, CAPACITY = 200, 100
SIGN_IN_S = {"first": 0, "second": 120, "third": 240}
LOOK_S = 240 + 300
"""Three have been online for five minutes."""


def morning(ramp: RampPolicy, until_s: int) -> dict[str, int]:
    """How many chats each agent holds: everybody accepts at once, and no chat ends."""
    engine = Engine(no_conditions, Policy(queues={"line": QueuePolicy(rank="least_load")}, ramp=ramp))
    accepting: list[str] = []

    def step(command: CreateTask | PutResource | SetPresence | Accept | Tick, now_ns: int) -> None:
        stepped = engine.step(command, now_ns)
        accepting.extend(event.data["offer_id"] for event in stepped.events if event.type == "offer.issued")
        while accepting:
            step(Accept(offer_id=accepting.pop()), now_ns)

    def run_until(now_ns: int) -> None:
        while (due_ns := engine.due_ns()) is not None and due_ns <= now_ns:
            step(Tick(), due_ns)

    for number in range(BACKLOG):
        step(CreateTask(id=f"t{number:03d}", queue="line"), START_NS - 3_600 * S + number)
    for name, at_s in SIGN_IN_S.items():
        if at_s > until_s:
            break
        now_ns = START_NS + at_s * S
        run_until(now_ns)
        channels = {"chat": ChannelLimit()}
        step(PutResource(id=name, queues=("line",), channels=channels, capacity=CAPACITY), now_ns)
        step(SetPresence(resource_id=name, presence="available", session=name), now_ns)
    run_until(START_NS + until_s * S)
    return {name: resource.used for name, resource in engine.state.resources.items()}


def test_without_a_ramp_the_first_one_in_gets_all_they_can_hold() -> None:
    held = morning(RampPolicy(), LOOK_S)
    assert held["first"] == CAPACITY
    assert held["third"] == 0


def test_with_a_ramp_the_first_one_in_holds_no_more_than_half_above_the_average() -> None:
    held = morning(RampPolicy(most=1), LOOK_S)
    assert sum(held.values()) > 3
    assert held["first"] <= 1.5 * sum(held.values()) / 3


def test_a_ramp_gives_no_more_than_it_says_in_any_window() -> None:
    for until_s in range(0, 121, 20):
        assert morning(RampPolicy(most=2, window_s=30, during_s=600), until_s)["first"] == 2 * (until_s // 30 + 1)
