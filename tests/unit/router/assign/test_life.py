"""Tasks: created once, moved with their age, handed over with what is known, and ended."""

from __future__ import annotations

import pytest

from router.assign import command as do
from router.assign.errors import BadCommand, Conflict, Full, KeyReused, StaleFence
from router.assign.transition import TaskState
from tests.desk_floor import START_NS, Floor, S

TWO = {"queues": {"cards": {"escalate_to": "people"}, "people": {}}, "channels": {"chat": {"wrap_s": 10}}}


def with_bot() -> Floor:
    floor = Floor(TWO)
    floor.agent("bot", kind="bot", most=50)
    floor.agent("ana", "people")
    floor.task("t", context={"order": 17})
    return floor


def test_a_task_is_created_once_for_each_id_and_open_dedupe_key() -> None:
    floor = Floor(TWO)
    floor.task("t", dedupe_key="session-1")
    again = floor.do(do.CreateTask(id="t", queue="cards"))
    same_session = floor.do(do.CreateTask(id="u", queue="cards", dedupe_key="session-1"))
    assert (again.subject, again.is_repeat) == ("t", True)
    assert (same_session.subject, same_session.is_repeat) == ("t", True)
    floor.do(do.CancelTask(task_id="t", reason="abandoned"))
    assert floor.do(do.CreateTask(id="u", queue="cards", dedupe_key="session-1")).subject == "u"


def test_an_idempotency_key_is_one_command() -> None:
    floor = Floor(TWO)
    first = do.CreateTask(id="t", queue="cards", key="k", digest=b"1")
    floor.do(first)
    repeated = floor.do(do.CreateTask(id="u", queue="cards", key="k", digest=b"1"))
    assert (repeated.subject, repeated.is_repeat) == ("t", True)
    with pytest.raises(KeyReused):
        floor.do(do.CreateTask(id="u", queue="people", key="k", digest=b"2"))
    floor.wait(86_401)
    floor.do(do.CreateTask(id="v", queue="cards", key="another", digest=b"3"))
    assert list(floor.engine.state.keys) == ["another"], "a key is remembered for a day"


def test_completing_begins_the_wrap_up_which_ends_by_itself_or_by_word() -> None:
    floor = Floor(TWO)
    floor.agent("ana", "cards", most=1)
    floor.task("t")
    floor.accept("t")
    floor.wait(60)
    floor.do(do.CompleteTask(task_id="t", outcome="solved"))
    assert floor.get("t").state is TaskState.WRAPPING
    assert floor.engine.state.resources["ana"].used == 1
    floor.task("u")
    floor.wait(10)
    done = floor.get("t")
    assert (done.state, done.outcome) == (TaskState.COMPLETED, "solved")
    assert (floor.last("task.completed")["handled_s"], floor.last("task.completed")["wrap_s"]) == (60.0, 10.0)
    assert floor.asked("u") == ["ana"]
    floor.accept("u")
    floor.do(do.CompleteTask(task_id="u"))
    floor.do(do.CompleteTask(task_id="u", outcome="refunded"))
    assert floor.get("u").outcome == "refunded"
    assert floor.do(do.CompleteTask(task_id="u")).is_repeat
    assert floor.engine.state.queues["cards"].aht_ns == 70 * S + (0 - 70 * S) // 16


def test_what_is_over_stays_over() -> None:
    floor = Floor(TWO)
    floor.task("t")
    floor.do(do.CancelTask(task_id="t", reason="abandoned"))
    assert floor.do(do.CancelTask(task_id="t")).is_repeat
    for command in (
        do.CompleteTask(task_id="t"), do.RequeueTask(task_id="t"), do.TransferTask(task_id="t", queue="people"),
        do.PauseTask(task_id="t"), do.ResumeTask(task_id="t"), do.EscalateTask(task_id="t"),
        do.PostponeTask(task_id="t"), do.UpdateTask(task_id="t", priority=1), do.Signal(task_id="t"),
    ):  # fmt: skip
        with pytest.raises(Conflict):
            floor.do(command)
    assert floor.get("t").outcome == "abandoned"


def test_canceling_takes_the_offer_back_in_the_same_step() -> None:
    floor = Floor(TWO)
    floor.agent("ana", most=1)
    floor.task("t")
    floor.task("u")
    stepped = floor.do(do.CancelTask(task_id="t", reason="abandoned"))
    assert [event.type for event in stepped.events] == ["offer.rescinded", "task.canceled", "offer.issued"]
    assert floor.asked("u") == ["ana"]


def test_a_bot_hands_over_with_all_it_knows_in_one_step() -> None:
    floor = with_bot()
    fence = floor.get("t").assignment.fence  # type: ignore[union-attr] # the bot has it
    stepped = floor.do(do.EscalateTask(task_id="t", fence=fence, context={"tried": "reset"}))
    assert [event.type for event in stepped.events] == ["task.released", "task.escalated", "offer.issued"]
    task = floor.get("t")
    assert (task.queue, task.leg, task.context) == ("people", 1, {"order": 17, "tried": "reset"})
    assert floor.asked("t") == ["ana"]
    assert task.queued_ns == START_NS
    with pytest.raises(StaleFence):
        floor.do(do.Signal(task_id="t", source="bot", is_turn=True, fence=fence))
    assert not floor.engine.state.resources["bot"].tasks


def test_an_explicit_wish_for_a_person_ends_the_bot_at_once() -> None:
    floor = with_bot()
    floor.do(do.Signal(task_id="t", wants_human=True))
    assert floor.asked("t") == ["ana"]


def test_a_bot_has_so_many_turns_and_so_much_time() -> None:
    for is_failed in (False, True):
        floor, turns = with_bot(), 0
        while floor.holder("t") == "bot":
            fence = floor.get("t").assignment.fence  # type: ignore[union-attr] # the bot has it
            floor.do(do.Signal(task_id="t", source="bot", fence=fence, is_turn=True, is_failed=is_failed))
            turns += 1
        assert turns == (2 if is_failed else 8)
    floor = with_bot()
    floor.wait(299)
    assert floor.holder("t") == "bot"
    floor.wait(1)
    assert floor.asked("t") == ["ana"]


def test_a_mood_that_falls_goes_to_people_and_comes_first() -> None:
    floor = with_bot()
    for sentiment in (0.2, 0.0, -0.2):
        floor.do(do.Signal(task_id="t", sentiment=sentiment))
    assert floor.get("t").is_upset
    assert floor.asked("t") == ["ana"]
    waiting = Floor({"queues": {"cards": {}}})
    waiting.task("calm")
    waiting.wait(60)
    waiting.task("angry")
    waiting.do(do.Signal(task_id="angry", sentiment=-0.9))
    assert waiting.engine.state.position_of(waiting.get("angry")) == 1
    for _ in range(3):
        waiting.do(do.Signal(task_id="angry", sentiment=0.5))
    assert waiting.engine.state.position_of(waiting.get("angry")) == 2


def test_a_transfer_keeps_the_age_and_asks_the_named_agent_first() -> None:
    floor = Floor(TWO)
    floor.agent("ana")
    floor.task("t")
    floor.accept("t")
    floor.wait(100)
    floor.agent("cem", "people")
    floor.wait(1)
    floor.agent("ben", "people")
    floor.do(do.TransferTask(task_id="t", queue="people", resource_id="ben"))
    assert floor.asked("t") == ["ben"]
    assert floor.get("t").queued_ns == START_NS
    with pytest.raises(Conflict):
        floor.do(do.TransferTask(task_id="t", queue="people", resource_id="ana"))
    with pytest.raises(BadCommand):
        floor.do(do.TransferTask(task_id="t"))


def test_a_supervisor_can_force_a_task_on_somebody_who_is_full() -> None:
    floor = Floor(TWO)
    floor.agent("ana", most=1)
    floor.task("t")
    floor.accept("t")
    floor.task("u")
    floor.do(do.TransferTask(task_id="u", resource_id="ana", is_forced=True))
    assignment = floor.get("u").assignment
    assert assignment is not None
    assert assignment.is_forced
    assert floor.engine.state.resources["ana"].used == 2


def test_requeueing_can_leave_out_whom_it_came_from() -> None:
    floor = Floor(TWO)
    floor.agent("ana")
    floor.task("t")
    floor.accept("t")
    floor.do(do.RequeueTask(task_id="t", is_excluding=True))
    assert floor.get("t").state is TaskState.QUEUED
    floor.agent("ben")
    assert floor.asked("t") == ["ben"]


def test_a_silent_customer_is_paused_and_comes_back_to_the_same_agent_where_there_is_room() -> None:
    floor = Floor({"queues": {"cards": {}}, "channels": {"chat": {"pause_after_s": 600}}})
    floor.agent("ana", most=2, capacity=2, reserve=1)
    floor.task("t")
    floor.accept("t")
    floor.wait(600)
    assert floor.get("t").state is TaskState.PAUSED
    assert floor.engine.state.resources["ana"].used == 0
    floor.task("u")
    floor.accept("u")
    floor.task("v")
    assert floor.get("v").state is TaskState.QUEUED, "the reserve is for those who come back"
    floor.do(do.Signal(task_id="t"))
    assert (floor.get("t").state, floor.engine.state.resources["ana"].used) == (TaskState.ASSIGNED, 2)


def test_who_comes_back_to_a_full_agent_waits_for_him_first() -> None:
    floor = Floor({"queues": {"cards": {}}})
    floor.agent("ana", most=1)
    floor.task("t")
    floor.accept("t")
    floor.do(do.PauseTask(task_id="t"))
    floor.task("u")
    floor.accept("u")
    floor.do(do.ResumeTask(task_id="t"))
    task = floor.get("t")
    assert (task.state, task.preferred) == (TaskState.QUEUED, ("ana",))
    floor.do(do.CancelTask(task_id="u"))
    assert floor.asked("t") == ["ana"]


def test_a_callback_keeps_its_place_until_its_time() -> None:
    floor = Floor({"queues": {"cards": {}}})
    floor.task("t")
    floor.wait(10)
    floor.task("u")
    floor.do(do.PostponeTask(task_id="t", open_ns=START_NS + 3600 * S))
    assert floor.get("t").state is TaskState.SCHEDULED
    floor.wait(3590)
    assert floor.get("t").state is TaskState.QUEUED
    assert floor.engine.state.position_of(floor.get("t")) == 1, "its age is that of its first call"


def test_a_customer_who_gives_no_sign_of_life_has_left() -> None:
    floor = Floor({"queues": {"cards": {}}})
    floor.task("t", customer_lease_s=30.0)
    floor.wait(20)
    floor.do(do.Signal(task_id="t"))
    floor.wait(29)
    assert floor.get("t").state is TaskState.QUEUED
    floor.wait(1)
    assert floor.get("t").outcome == "abandoned"


def test_a_full_queue_says_so_or_overflows() -> None:
    floor = Floor({"queues": {"cards": {"most": 1}}})
    floor.task("t")
    with pytest.raises(Full):
        floor.task("u")
    other = Floor({
        "queues": {"cards": {"most": 1, "overflow": [{"when": "waiting > 1", "queue": "people"}]}, "people": {}},
    })  # fmt: skip
    other.task("t")
    assert other.task("u").queue == "people"
    assert other.told("u") == ["task.queued", "task.overflowed"]


def test_triggers_after_a_while_move_call_back_or_turn_away() -> None:
    overflow = [
        {"when": "agents == 0", "after_s": 60, "queue": "people"},
        {"when": "waited_s >= 30", "after_s": 30, "priority": 1},
    ]
    floor = Floor({"queues": {"cards": {"overflow": overflow}, "people": {
        "overflow": [{"when": "True", "after_s": 100, "then": "cancel"}]}}})  # fmt: skip
    floor.task("t")
    floor.wait(30)
    assert floor.get("t").priority == 1
    floor.wait(30)
    assert floor.get("t").queue == "people"
    floor.wait(100)
    assert (floor.get("t").state, floor.get("t").outcome) == (TaskState.CANCELED, "deflected")


def test_a_circle_of_queues_ends() -> None:
    floor = Floor({"queues": {
        "a": {"overflow": [{"when": "True", "queue": "b"}]}, "b": {"overflow": [{"when": "True", "queue": "a"}]},
    }})  # fmt: skip
    assert floor.task("t", queue="a").overflows == 8


def test_a_closed_queue_schedules_for_its_opening() -> None:
    hours = {"office": {"week": {day: ["08:00-18:00"] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}}}
    floor = Floor({"queues": {"cards": {"hours": "office"}}, "hours": hours})
    floor.now_ns = START_NS - START_NS % (86_400 * S) + 20 * 3600 * S
    floor.do(do.Resume(epoch=1))
    task = floor.task("t")
    assert task.state is TaskState.SCHEDULED
    floor.agent("ana")
    floor.wait(12 * 3600 - 1)
    assert floor.get("t").state is TaskState.SCHEDULED
    floor.wait(1)
    assert floor.asked("t") == ["ana"]
    assert floor.told("cards") == ["queue.closed", "queue.opened"]


def test_a_queue_can_be_closed_and_opened_by_hand() -> None:
    floor = Floor({"queues": {"cards": {}}})
    floor.do(do.SetQueue(queue="cards", is_open=False))
    floor.agent("ana")
    floor.task("t")
    assert floor.get("t").state is TaskState.SCHEDULED
    floor.do(do.SetQueue(queue="cards", is_open=None))
    assert floor.asked("t") == ["ana"]


def test_what_waits_too_long_is_given_up_and_a_missed_target_is_told_once() -> None:
    floor = Floor({"queues": {"cards": {"ttl_s": 100, "target_s": 20}}})
    floor.task("t")
    floor.wait(100)
    assert floor.get("t").outcome == "ttl"
    assert floor.told("t") == ["task.queued", "task.sla_breached", "task.canceled"]


def test_a_warning_is_told_once_before_a_target_is_missed() -> None:
    floor = Floor({"queues": {"cards": {"ttl_s": 100, "target_s": 20, "warn_share": 0.75}}})
    floor.task("t")
    floor.wait(14.9)
    assert floor.told("t") == ["task.queued"]
    floor.wait(0.1)
    assert floor.told("t") == ["task.queued", "task.sla_warning"]
    floor.wait(5)
    assert floor.told("t") == ["task.queued", "task.sla_warning", "task.sla_breached"]


def test_no_warning_comes_after_the_target_when_nobody_looked_in_time() -> None:
    floor = Floor({"queues": {"cards": {"target_s": 20, "warn_share": 0.5}}})
    floor.task("t")
    floor.now_ns += 25_000_000_000
    floor.do(do.Tick())
    assert floor.told("t") == ["task.queued", "task.sla_breached"]


def test_a_change_names_the_version_it_is_of() -> None:
    floor = Floor({"queues": {"cards": {}}, "skills": ["german"]})
    task = floor.task("t")
    with pytest.raises(StaleFence):
        floor.do(do.UpdateTask(task_id="t", if_version=task.version + 1, priority=2))
    with pytest.raises(BadCommand):
        floor.do(do.UpdateTask(task_id="t", skills={"french": 3}))
    floor.do(do.UpdateTask(task_id="t", if_version=task.version, skills={"german": 3}))
    floor.agent("ana")
    assert floor.get("t").state is TaskState.QUEUED
    floor.agent("ben", skills={"german": 3})
    assert floor.asked("t") == ["ben"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weight", 0), ("target_s", 0.0), ("target_s", float("nan")), ("ttl_s", float("inf")), ("ttl_s", -1.0),
        ("customer_lease_s", -1.0), ("customer_lease_s", float("inf")), ("open_ns", 1 << 62),
    ],
)  # fmt: skip
def test_a_value_that_can_not_be_is_refused_with_its_field(field: str, value: float) -> None:
    floor = Floor(TWO)
    before = floor.engine.hash()
    with pytest.raises(BadCommand, match=field):
        floor.task("t", **{field: value})  # type: ignore[arg-type] # none of them is the queue
    assert floor.engine.hash() == before
