"""Overflow: when a trigger is looked at, and what it does."""

from __future__ import annotations

from router.assign import command as do
from router.assign.transition import TaskState
from tests.desk_floor import Floor


def test_a_trigger_acts_though_one_agent_after_the_other_lets_it_ring() -> None:
    overflow = [{"when": "True", "after_s": 60, "queue": "people"}]
    floor = Floor({"queues": {"cards": {"overflow": overflow}, "people": {}}})
    for name in ("ana", "ben", "cem", "dia", "eve"):
        floor.agent(name, most=1)
    floor.task("t")
    floor.wait(91)
    assert floor.get("t").queue == "people", "30 s each: at the end of the second offer the trigger is due"


def test_a_time_that_floats_can_not_write_exactly_comes_all_the_same() -> None:
    floor = Floor({"queues": {"cards": {"overflow": [{"when": "True", "after_s": 2.01, "priority": 1}]}}})
    floor.task("t")
    floor.now_ns = floor.engine.due_ns() or 0
    floor.do(do.Tick())
    assert floor.get("t").priority == 1


def test_a_trigger_that_calls_back_says_so_once() -> None:
    floor = Floor({"queues": {"cards": {"overflow": [{"when": "True", "then": "callback"}]}}})
    floor.task("t")
    floor.do(do.RequeueTask(task_id="t"))
    assert floor.told("t").count("task.updated") == 1


def test_moves_by_triggers_are_counted_for_one_wait_not_for_a_life() -> None:
    floor = Floor({"queues": {
        "cards": {"overflow": [{"when": "agents == 0", "queue": "people"}]}, "people": {},
    }})  # fmt: skip
    floor.agent("ana", "people")
    floor.task("t")
    floor.accept("t")
    assert floor.get("t").overflows == 0


def test_a_new_policys_triggers_are_looked_at_by_those_who_wait_already() -> None:
    before = {"queues": {"cards": {"overflow": [{"when": "False", "after_s": 1, "queue": "people"}]}, "people": {}}}
    floor = Floor(before)
    floor.task("t")
    floor.wait(5)
    after = {"queues": {"cards": {"overflow": [{"when": "True", "after_s": 2, "queue": "people"}]}, "people": {}}}
    floor.do(do.Configure(policy=Floor(after).policy))
    assert (floor.get("t").queue, floor.get("t").state) == ("people", TaskState.QUEUED)
    assert floor.replayed().hash() == floor.engine.hash()
