"""Out of one pair of hands into another."""

from __future__ import annotations

from typing import Any

import pytest

from router.assign import command as do
from router.assign.errors import BadCommand, Conflict, LostRace
from router.assign.transition import TaskState
from tests.desk_floor import Floor, S

TWO: dict[str, Any] = {"queues": {"cards": {}, "people": {}}}


def test_who_accepted_a_task_that_has_gone_on_is_told_so() -> None:
    floor = Floor(TWO)
    floor.agent("ana")
    floor.task("t")
    offer = floor.offer_of("t")
    floor.do(do.Accept(offer_id=offer))
    floor.do(do.TransferTask(task_id="t", queue="people"))
    with pytest.raises(LostRace, match="went on"):
        floor.do(do.Accept(offer_id=offer))


def test_a_wish_for_a_person_does_not_end_the_offer_to_one() -> None:
    floor = Floor(TWO)
    floor.agent("ana")
    floor.task("t")
    offer, entered_ns = floor.offer_of("t"), floor.get("t").entered_ns
    floor.wait(10)
    floor.do(do.Signal(task_id="t", wants_human=True))
    assert floor.offer_of("t") == offer
    assert (floor.get("t").kinds, floor.get("t").entered_ns) == (("agent",), entered_ns)


def test_a_wish_for_a_person_while_it_waits_keeps_bots_away() -> None:
    floor = Floor(TWO)
    floor.task("t")
    floor.wait(10)
    floor.do(do.Signal(task_id="t", wants_human=True))
    floor.agent("bot", kind="bot")
    assert floor.get("t").state is TaskState.QUEUED
    floor.agent("ana")
    assert floor.asked("t") == ["ana"]
    assert floor.told("t") == ["task.queued", "task.signal", "task.updated", "offer.issued"]


def test_an_escalation_by_an_agent_is_for_others() -> None:
    floor = Floor(TWO)
    floor.agent("ana")
    floor.task("t")
    floor.accept("t")
    floor.do(do.EscalateTask(task_id="t", reason="beyond me"))
    assert floor.get("t").state is TaskState.QUEUED
    floor.agent("ben")
    assert floor.asked("t") == ["ben"]


def test_requeueing_without_whom_it_rings_at() -> None:
    floor = Floor(TWO)
    floor.agent("ana")
    floor.task("t")
    floor.do(do.RequeueTask(task_id="t", is_excluding=True))
    assert floor.asked("t") == []


def test_a_forced_assignment_counts_the_wait_that_it_ends() -> None:
    floor = Floor(TWO)
    floor.agent("ana", presence="away")
    floor.task("t")
    floor.wait(50)
    floor.do(do.TransferTask(task_id="t", resource_id="ana", is_forced=True))
    assert floor.last("task.assigned")["waited_s"] == 50.0
    assert floor.get("t").offers[-1].rank == "force"
    floor.do(do.TransferTask(task_id="t", queue="people", resource_id="ana", is_forced=True))
    assert floor.last("task.assigned")["waited_s"] == 0.0


def test_whoever_has_a_forced_task_of_another_channel_can_still_be_changed() -> None:
    floor = Floor(TWO)
    floor.agent("ana")
    floor.task("mail", channel="email")
    floor.do(do.TransferTask(task_id="mail", resource_id="ana", is_forced=True))
    floor.do(do.PutResource(id="ana", queues=("cards",), channels=floor.engine.state.resources["ana"].channels))
    assert floor.holder("mail") == "ana"


def test_a_person_can_give_a_task_to_a_bot_by_name() -> None:
    floor = Floor(TWO)
    floor.agent("ana", "people")
    floor.agent("bot", "cards", kind="bot")
    floor.task("t")
    floor.do(do.EscalateTask(task_id="t", queue="people"))
    floor.accept("t")
    with pytest.raises(Conflict):
        floor.do(do.TransferTask(task_id="t", resource_id="bot"))
    floor.do(do.TransferTask(task_id="t", queue="cards", resource_id="bot"))
    assert floor.holder("t") == "bot"


def test_a_conversation_that_goes_on_is_not_given_up() -> None:
    floor = Floor({"queues": {"cards": {"ttl_s": 100}}})
    floor.agent("ana")
    floor.task("t")
    floor.accept("t")
    for _ in range(3):
        floor.wait(90)
        floor.do(do.Signal(task_id="t"))
    assert floor.holder("t") == "ana"
    floor.wait(100)
    assert floor.get("t").outcome == "ttl"


def test_whose_a_canceled_task_was_is_still_told() -> None:
    floor = Floor(TWO)
    floor.agent("ana")
    floor.task("t")
    floor.accept("t")
    floor.do(do.CancelTask(task_id="t", reason="abandoned"))
    assert floor.holder("t") == "ana"
    assert floor.engine.state.resources["ana"].used == 0
    assert floor.restored().hash() == floor.engine.hash()


def test_the_outcome_that_was_said_first_stays_unless_another_is() -> None:
    floor = Floor(TWO)
    floor.agent("ana")
    for name, said in (("t", "solved"), ("u", "")):
        floor.task(name)
        floor.accept(name)
        floor.do(do.CompleteTask(task_id=name, outcome=said))
        floor.do(do.CompleteTask(task_id=name))
    assert (floor.get("t").outcome, floor.get("u").outcome) == ("solved", "completed")


def test_a_bots_time_does_not_end_in_a_persons_hands_while_the_customer_is_silent() -> None:
    floor = Floor({"queues": {"cards": {}}, "channels": {"chat": {"pause_after_s": 60}}})
    floor.agent("bot", kind="bot")
    floor.task("t")
    floor.agent("ana")
    floor.wait(900)
    assert (floor.get("t").state, floor.holder("t")) == (TaskState.PAUSED, "bot")
    floor.do(do.Signal(task_id="t"))
    floor.wait(0)
    assert floor.asked("t") == ["ana"]
    assert floor.replayed().hash() == floor.engine.hash()


def test_another_class_brings_its_target_with_it() -> None:
    floor = Floor({"queues": {"cards": {"target_s": 300}}, "classes": {"hot": {"target_s": 30}, "plain": {}}})
    floor.task("t")
    floor.wait(10)
    floor.do(do.UpdateTask(task_id="t", service_class="hot"))
    assert (floor.get("t").target_s, floor.get("t").target_ns) == (30.0, floor.get("t").entered_ns + 30 * S)
    floor.do(do.UpdateTask(task_id="t", service_class="plain"))
    assert floor.get("t").target_s == 30.0, "a class without one changes nothing"
    floor.wait(20)
    assert floor.told("t")[-1] == "task.sla_breached"
    assert floor.restored().hash() == floor.engine.hash()


def test_a_target_that_moves_on_is_warned_of_again() -> None:
    document = {"queues": {"cards": {"target_s": 20, "warn_share": 0.5}}, "classes": {"slow": {"target_s": 60}}}
    floor = Floor(document)
    floor.task("t")
    floor.wait(10)
    floor.do(do.UpdateTask(task_id="t", service_class="slow"))
    floor.wait(20)
    assert floor.told("t") == ["task.queued", "task.sla_warning", "task.updated", "task.sla_warning"]
    floor.do(do.TransferTask(task_id="t", queue="cards", is_age_reset=True))
    floor.wait(30)
    assert floor.told("t")[-1] == "task.sla_warning"
    assert floor.restored().hash() == floor.engine.hash()


def test_a_context_does_not_grow_without_end() -> None:
    floor = Floor(TWO)
    floor.task("t")
    before = floor.engine.hash()
    more = {str(number): 1 for number in range(1_001)}
    for command in (
        do.UpdateTask(task_id="t", context=more), do.Signal(task_id="t", context=more),
        do.TransferTask(task_id="t", queue="people", context=more), do.EscalateTask(task_id="t", context=more),
    ):  # fmt: skip
        with pytest.raises(BadCommand, match="context"):
            floor.do(command)
    assert floor.engine.hash() == before


def test_a_callback_that_is_forced_on_somebody_before_its_time_is_not_younger_than_new() -> None:
    floor = Floor(TWO)
    floor.agent("ana")
    floor.task("t", open_ns=floor.now_ns + 3600 * S)
    floor.do(do.TransferTask(task_id="t", resource_id="ana", is_forced=True))
    assert (floor.last("task.assigned")["age_s"], floor.get("t").open_ns) == (0.0, 0)
    floor.do(do.RequeueTask(task_id="t"))
    assert floor.asked("t") == ["ana"]


def test_who_is_excluded_for_good_is_so_for_a_transfer_too() -> None:
    floor = Floor(TWO)
    floor.agent("ana")
    floor.task("t", excluded=("ana",))
    with pytest.raises(Conflict, match="excluded"):
        floor.do(do.TransferTask(task_id="t", resource_id="ana"))
    floor.do(do.TransferTask(task_id="t", resource_id="ana", is_forced=True))
    floor.do(do.RequeueTask(task_id="t"))
    assert floor.asked("t") == [], "a supervisor's word is for once"
