"""Tasks that wait for a time: callbacks, and queues that are closed."""

from __future__ import annotations

from typing import Any

from router.assign import command as do
from router.assign.transition import TaskState
from tests.desk_floor import START_NS, Floor, S

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_S = 86_400
MIDNIGHT_NS = START_NS - START_NS % (DAY_S * S)
OFFICE: dict[str, Any] = {"office": {"week": {day: ["08:00-18:00"] for day in DAYS}}}


def closed(hours: dict[str, Any] | None = None, **queue: Any) -> Floor:
    """At eight in the evening."""
    queues = {"cards": {"hours": "office", **queue}, "loans": {}}
    floor = Floor({"queues": queues, "hours": hours or OFFICE})
    floor.now_ns = MIDNIGHT_NS + 20 * 3600 * S
    floor.do(do.Resume(epoch=1))
    return floor


def test_a_callback_keeps_its_time_in_another_queue() -> None:
    floor = Floor({"queues": {"cards": {}, "loans": {}}})
    floor.agent("ana", "loans")
    floor.task("t", open_ns=START_NS + 3600 * S)
    floor.do(do.TransferTask(task_id="t", queue="loans"))
    floor.do(do.Signal(task_id="t", queue="cards"))
    floor.do(do.TransferTask(task_id="t", queue="loans"))
    assert floor.get("t").state is TaskState.SCHEDULED
    floor.wait(3599)
    assert floor.get("t").state is TaskState.SCHEDULED
    floor.wait(1)
    assert floor.asked("t") == ["ana"]


def test_a_task_for_later_is_a_callback_and_no_restart_brings_it_forward() -> None:
    floor = Floor({"queues": {"cards": {}}})
    task = floor.task("t", open_ns=START_NS + 3600 * S)
    floor.do(do.Resume(epoch=1))
    assert (task.state, task.is_callback) == (TaskState.SCHEDULED, True)


def test_a_callback_whose_time_has_come_while_it_was_closed_waits_for_nothing_but_the_opening() -> None:
    floor = closed()
    floor.task("t", open_ns=floor.now_ns + 3600 * S)
    floor.wait(3601)
    assert floor.get("t").state is TaskState.SCHEDULED
    assert floor.get("t").open_ns == MIDNIGHT_NS + (DAY_S + 8 * 3600) * S
    floor.do(do.SetQueue(queue="cards", is_open=True))
    assert floor.get("t").state is TaskState.QUEUED


def test_a_callback_can_be_asked_for_at_another_time_or_at_once() -> None:
    floor = Floor({"queues": {"cards": {}}})
    floor.agent("ana")
    floor.task("t", open_ns=START_NS + 3600 * S)
    floor.do(do.PostponeTask(task_id="t", open_ns=START_NS + 7200 * S))
    floor.wait(3600)
    assert floor.get("t").state is TaskState.SCHEDULED
    floor.do(do.PostponeTask(task_id="t"))
    assert floor.asked("t") == ["ana"]


def test_what_a_queue_is_like_now_says_nothing_about_the_time_of_a_callback() -> None:
    floor = closed(overflow=[{"when": "not is_open", "then": "cancel"}])
    assert floor.task("late").state is TaskState.CANCELED
    assert floor.task("t", open_ns=MIDNIGHT_NS + (DAY_S + 9 * 3600) * S).state is TaskState.SCHEDULED
    floor.wait(13 * 3600)
    assert floor.get("t").state is TaskState.QUEUED


def test_who_is_called_back_need_not_stay_on_the_line() -> None:
    floor = Floor({"queues": {"cards": {"overflow": [{"when": "agents == 0", "then": "callback"}]}}})
    floor.task("t", customer_lease_s=30.0)
    floor.wait(60)
    assert (floor.get("t").state, floor.get("t").is_callback) == (TaskState.QUEUED, True)


def test_a_customer_who_leaves_while_it_is_closed_is_gone_then_and_not_in_the_morning() -> None:
    floor = closed()
    floor.task("t", customer_lease_s=30.0)
    floor.wait(30)
    assert floor.get("t").outcome == "abandoned"


def test_a_weekend_is_longer_than_the_time_to_live_and_costs_nothing() -> None:
    floor = closed({"office": {"week": {"mon": ["08:00-18:00"]}}}, ttl_s=3600)
    floor.task("t")
    while floor.get("t").state is TaskState.SCHEDULED:
        floor.wait(3600)
    assert floor.get("t").state is TaskState.QUEUED
    floor.wait(3600)
    assert floor.get("t").outcome == "ttl"


def test_a_queue_opens_the_most_urgent_first_and_many_in_several_steps() -> None:
    floor = closed()
    for number in range(250):
        floor.task(f"t{number:03}", priority=int(number == 249))
    floor.agent("ana", most=1)
    floor.wait(12 * 3600 - 1)
    floor.now_ns += S
    sizes = []
    while (due_ns := floor.engine.due_ns()) is not None and due_ns <= floor.now_ns:
        before = len(floor.events)
        floor.do(do.Tick())
        sizes.append(sum(event.type == "task.queued" for event in floor.events[before:]))
    assert (sum(sizes), max(sizes)) == (250, 100)
    assert floor.asked("t249") == ["ana"]
    assert floor.replayed().hash() == floor.engine.hash()
