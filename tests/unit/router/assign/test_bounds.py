"""How much one step does, and what the ramp and sessions allow."""

from __future__ import annotations

from router.assign import command as do
from router.assign.transition import TaskState
from tests.desk_floor import START_NS, Floor


def test_whoever_takes_very_much_is_given_it_in_several_steps_the_oldest_first() -> None:
    floor = Floor({"queues": {"cards": {}}})
    for number in range(250):
        floor.task(f"t{number:03}")
    floor.agent("bot", kind="bot", most=1_000)
    assert floor.events[-1].data["resource_id"] == "bot"
    assert len(floor.engine.state.resources["bot"].tasks) == 100
    late = floor.task("late")
    assert late.state is TaskState.QUEUED, "it is not its turn"
    floor.wait(0)
    assert len(floor.engine.state.resources["bot"].tasks) == 251
    assigned = [event.subject for event in floor.events if event.type == "task.assigned"]
    assert assigned == sorted(assigned, key=lambda name: (name == "late", name))
    assert floor.replayed().hash() == floor.engine.hash()


def test_a_break_does_not_end_the_ramp() -> None:
    floor = Floor({"queues": {"cards": {}}, "ramp": {"most": 1, "window_s": 20}})
    for number in range(9):
        floor.task(f"t{number}")
    floor.agent("ana", most=9)
    for presence in ("away", "available", "away", "available"):
        for task in [each for each in floor.engine.state.tasks.values() if each.state is TaskState.OFFERED]:
            floor.accept(task.id)
        floor.do(do.SetPresence(resource_id="ana", presence=presence))
    assert floor.engine.state.resources["ana"].used == 1
    floor.wait(20)
    assert floor.engine.state.resources["ana"].used == 2


def test_a_new_session_that_is_away_is_not_asked_for_a_moment() -> None:
    floor = Floor({"queues": {"cards": {}}})
    floor.agent("ana")
    floor.task("t")
    stepped = floor.do(do.SetPresence(resource_id="ana", presence="away", session="ana-2"))
    assert [event.type for event in stepped.events] == ["resource.presence", "offer.rescinded"]


def test_an_offer_says_on_what_value_and_among_how_many() -> None:
    floor = Floor({"queues": {"cards": {"rank": "longest_idle"}}})
    floor.agent("ana")
    floor.wait(7)
    floor.agent("ben")
    floor.wait(1)
    offer = floor.task("t").offers[0]
    assert (offer.resource_id, offer.rank, offer.value, offer.candidates) == ("ana", "longest_idle", 8.0, 2)
    assert offer.issued_ns == START_NS + 8 * 10**9
