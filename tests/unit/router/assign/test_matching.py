"""Who is asked, and which task goes first."""

from __future__ import annotations

from typing import Any

from router.assign import command as do
from router.assign.entity import ChannelLimit
from router.assign.transition import TaskState
from tests.desk_floor import START_NS, Floor


def floor_of(**queue: Any) -> Floor:
    return Floor({"queues": {"cards": queue, "loans": {}}})


def test_the_longest_idle_is_asked_first() -> None:
    floor = floor_of(rank="longest_idle")
    for name in ("zoe", "ana"):
        floor.agent(name)
        floor.wait(1)
    assert floor.task("t").offers[0].resource_id == "zoe"


def test_chats_go_where_most_room_is() -> None:
    floor = floor_of()
    floor.agent("ana", most=4)
    floor.agent("ben", most=2)
    asked = [floor.task(f"t{number}").offers[0].resource_id for number in range(6)]
    assert asked == ["ana", "ben", "ana", "ana", "ben", "ana"]


def test_round_robin_asks_everybody_in_turn() -> None:
    floor = floor_of(rank="round_robin")
    for name in ("ana", "ben", "cem"):
        floor.agent(name, most=9)
    asked = []
    for number in range(6):
        floor.wait(1)
        asked.append(floor.task(f"t{number}").offers[0].resource_id)
    assert asked == ["ana", "ben", "cem", "ana", "ben", "cem"]


def test_cost_counts_what_a_failure_costs() -> None:
    floor = floor_of(rank="cost")
    floor.agent("ana", cost=4.0)
    floor.agent("bot", kind="bot", cost=1.0, success=0.2)
    assert floor.task("t").offers[0].resource_id == "ana"


def test_load_decides_between_a_bot_and_a_person() -> None:
    steps = [{"kinds": ["agent"], "for_s": 60}, {"kinds": ["agent", "bot"]}]
    floor = floor_of(steps=steps)
    floor.agent("ana", most=1)
    floor.agent("bot", kind="bot", most=50)
    floor.task("first")
    floor.accept("first")
    floor.task("second")
    floor.wait(59)
    assert floor.get("second").state is TaskState.QUEUED
    floor.wait(1)
    assert floor.holder("second") == "bot"


def test_a_score_finds_the_agent_and_the_reason_is_told() -> None:
    document = {
        "queues": {"cards": {"rank": "score", "score": "fit"}},
        "scores": {"fit": {"weights": {"task.context.german * agent.skill.german": 1.0}}},
    }
    floor = Floor(document)
    floor.agent("ana", skills={"german": 2})
    floor.agent("ben", skills={"german": 5})
    task = floor.task("t", context={"german": 1})
    assert (task.offers[0].resource_id, task.offers[0].rank) == ("ben", "score")


def test_a_freed_agent_takes_the_oldest() -> None:
    floor = floor_of()
    for name in ("a", "b", "c"):
        floor.task(name)
        floor.wait(1)
    floor.agent("ana", most=1)
    assert floor.asked("a") == ["ana"]


def test_a_priority_is_worth_some_waiting_but_not_all() -> None:
    floor = Floor({"queues": {"cards": {}}, "priority_s": 60})
    floor.task("old")
    floor.wait(50)
    floor.task("urgent", priority=1)
    floor.agent("ana", most=1)
    assert floor.asked("urgent") == ["ana"]
    assert floor.get("urgent").offers[0].order == "priority"
    floor.wait(0)
    other = Floor({"queues": {"cards": {}}, "priority_s": 60})
    other.task("old")
    other.wait(70)
    other.task("urgent", priority=1)
    other.agent("ana", most=1)
    assert other.asked("old") == ["ana"]


def test_a_class_that_ages_faster_overtakes() -> None:
    floor = Floor({"queues": {"cards": {}}, "classes": {"hot": {"slope": 4.0}}})
    floor.task("plain")
    floor.wait(30)
    floor.task("hot", service_class="hot")
    floor.wait(20)
    floor.agent("ana", most=1)
    assert floor.asked("hot") == ["ana"], "20 s at 4 are more than 50 s at 1"


def test_the_nearness_of_the_target_counts() -> None:
    floor = Floor({"queues": {"cards": {}}, "classes": {"standard": {"boost_s": 600}}})
    floor.task("patient", target_s=3600.0)
    floor.wait(10)
    floor.task("late", target_s=20.0)
    floor.wait(15)
    floor.agent("ana", most=1)
    assert floor.asked("late") == ["ana"]
    assert floor.get("late").offers[0].order == "deadline"


def test_steps_widen_on_one_clock_that_no_offer_resets() -> None:
    steps = [{"skills": {"cards": 4}, "for_s": 40}, {"skills": {"cards": 2}, "for_s": 40}, {}]
    floor = floor_of(steps=steps, cooldown_s=300)
    floor.agent("expert", skills={"cards": 5})
    floor.agent("absent", skills={"cards": 5}, presence="away")  # or the cool-down would be short
    floor.agent("novice")
    floor.task("t")
    assert floor.asked("t") == ["expert"]
    floor.wait(35)  # expired by now
    assert floor.get("t").state is TaskState.QUEUED
    floor.wait(44)
    assert floor.get("t").step == 1
    floor.wait(1)
    assert floor.asked("t") == ["novice"]


def test_a_step_that_nobody_signed_in_can_meet_is_skipped() -> None:
    floor = floor_of(steps=[{"skills": {"cards": 4}, "for_s": 300}, {}])
    floor.agent("expert", skills={"cards": 5}, presence="offline")
    floor.agent("novice")
    assert floor.task("t").offers[0].resource_id == "novice"


def test_hard_skills_are_never_relaxed() -> None:
    floor = floor_of(steps=[{"skills": {"cards": 4}, "for_s": 1}, {}])
    floor.agent("novice", skills={"german": 2})
    floor.task("t", skills={"german": 3})
    floor.wait(3600)
    assert floor.get("t").state is TaskState.QUEUED


def test_a_condition_chooses_resources() -> None:
    floor = floor_of(steps=[{"when": "resource['attributes'].get('team') == 'b'"}])
    floor.agent("ana", attributes={"team": "a"})
    floor.agent("ben", attributes={"team": "b"})
    assert floor.task("t").offers[0].resource_id == "ben"


def test_the_preferred_agent_is_asked_first_and_waited_for_where_a_step_says_so() -> None:
    floor = floor_of(steps=[{"preferred": True, "for_s": 30}, {}])
    floor.agent("ana", most=1)
    floor.agent("ben", most=1)
    floor.task("busy", preferred=("ben",))
    floor.accept("busy")
    floor.task("t", preferred=("ben",))
    assert floor.get("t").state is TaskState.QUEUED
    floor.wait(30)
    assert floor.asked("t") == ["ana"]


def test_an_exclusive_channel_takes_all_of_an_agent() -> None:
    floor = Floor({"queues": {"cards": {}}, "channels": {"voice": {"exclusive": True, "weight": 1}}})
    both = {"chat": ChannelLimit(), "voice": ChannelLimit()}
    floor.agent("ana", channels=both, capacity=5)
    floor.task("chat")
    floor.task("call", channel="voice")
    assert floor.get("call").state is TaskState.QUEUED
    floor.do(do.CancelTask(task_id="chat"))
    assert floor.asked("call") == ["ana"]
    floor.task("another")
    assert floor.get("another").state is TaskState.QUEUED


def test_weights_and_the_most_of_a_channel_bound_what_is_held() -> None:
    floor = Floor({"queues": {"cards": {}}, "channels": {"email": {"weight": 2}}})
    floor.agent("ana", channels={"chat": ChannelLimit(most=2), "email": ChannelLimit()}, capacity=5)
    for name in ("c1", "c2", "c3"):
        floor.task(name)
    floor.task("e1", channel="email")
    floor.task("e2", channel="email")
    states = {name: floor.get(name).state.value for name in ("c1", "c2", "c3", "e1", "e2")}
    assert states == {"c1": "offered", "c2": "offered", "c3": "queued", "e1": "offered", "e2": "queued"}
    assert floor.engine.state.resources["ana"].used == 4


def test_the_ramp_holds_back_the_morning_flood() -> None:
    floor = Floor({"queues": {"cards": {}}, "ramp": {"most": 1, "window_s": 20, "during_s": 60}})
    for number in range(9):
        floor.task(f"t{number}")
    floor.agent("ana", most=9)
    used = []
    for _ in range(4):
        used.append(floor.engine.state.resources["ana"].used)
        for task in [each for each in floor.engine.state.tasks.values() if each.state is TaskState.OFFERED]:
            floor.accept(task.id)
        floor.wait(20)
    assert used == [1, 2, 3, 9], "after a minute the ramp is over"


def test_a_place_in_the_queue_counts_all_classes() -> None:
    floor = Floor({"queues": {"cards": {}}, "classes": {"hot": {"slope": 3.0}}, "priority_s": 60})
    for name, more in (("a", {}), ("b", {"service_class": "hot"}), ("c", {"priority": 2}), ("d", {})):
        floor.task(name, **more)
        floor.wait(10)
    places = {name: floor.engine.state.position_of(floor.get(name)) for name in "abcd"}
    # Urgency by now: a 40, b 3 x 30 = 90, c 120 + 20, d 10.
    assert places == {"c": 1, "b": 2, "a": 3, "d": 4}


def test_a_batch_is_gathered_solved_outside_and_offered() -> None:
    floor = floor_of(window_ms=100)
    floor.agent("ana", most=1)
    floor.agent("ben", most=1)
    floor.task("t")
    floor.task("u")
    assert floor.get("t").state is TaskState.QUEUED
    floor.now_ns += 100_000_000
    (matching,) = floor.do(do.Tick()).matchings
    assert (matching.task_ids, set(matching.resource_ids)) == (("t", "u"), {"ana", "ben"})
    pairs = (do.Pair("t", "ben", 0.9), do.Pair("u", "ana", 0.8))
    floor.do(do.Propose(number=matching.number, pairs=pairs))
    assert (floor.asked("t"), floor.asked("u")) == (["ben"], ["ana"])


def test_without_an_answer_of_the_solver_everybody_is_matched_all_the_same() -> None:
    floor = floor_of(window_ms=100)
    floor.agent("ana", most=1)
    floor.agent("ben", most=1)
    floor.task("t")
    floor.task("u")
    floor.wait(1)
    assert {*floor.asked("t"), *floor.asked("u")} == {"ana", "ben"}


def test_who_is_near_the_target_goes_before_who_is_older_in_another_line() -> None:
    floor = Floor({"queues": {"a": {}, "b": {}}, "classes": {"hot": {"boost_s": 100.0, "target_s": 10.0}}})
    floor.task("old", "a")
    floor.wait(20)
    floor.task("near", "b", service_class="hot")
    floor.wait(9)  # 29 s of waiting against 9 and nine tenths of 100
    floor.agent("ana", "a", "b", most=1)
    assert (floor.asked("near"), floor.asked("old")) == (["ana"], [])


def test_a_proposal_may_come_in_parts() -> None:
    floor = floor_of(window_ms=100)
    for name in ("ana", "ben", "cem"):
        floor.agent(name, most=1)
    for name in "tuv":
        floor.task(name)
    floor.now_ns += 100_000_000
    (matching,) = floor.do(do.Tick()).matchings
    floor.do(do.Propose(number=matching.number, pairs=(do.Pair("t", "ben"),), has_more=True))
    assert (floor.asked("t"), floor.asked("u")) == (["ben"], [])
    floor.do(do.Propose(number=matching.number, pairs=(do.Pair("u", "cem"),)))
    assert floor.asked("u") == ["cem"]
    floor.wait(0.1)
    assert floor.asked("v") == ["ana"], "who was left over is gathered anew"


def test_a_part_of_which_nothing_holds_ends_the_matching() -> None:
    floor = floor_of(window_ms=100)
    floor.agent("ana", most=1)
    floor.agent("ben", most=1)
    floor.task("t")
    floor.task("u")
    floor.now_ns += 100_000_000
    (matching,) = floor.do(do.Tick()).matchings
    floor.do(do.Propose(number=matching.number, pairs=(do.Pair("gone", "ben"),), has_more=True))
    assert {*floor.asked("t"), *floor.asked("u")} == {"ana", "ben"}
    assert floor.do(do.Propose(number=matching.number, pairs=(do.Pair("t", "ben"),))).is_repeat


def test_a_proposal_that_has_become_wrong_does_no_harm() -> None:
    floor = floor_of(window_ms=100)
    floor.agent("ana", most=1)
    floor.agent("ben", most=1)
    floor.task("t")
    floor.task("u")
    floor.now_ns = START_NS + 100_000_000
    (matching,) = floor.do(do.Tick()).matchings
    floor.do(do.SetPresence(resource_id="ben", presence="away"))
    floor.do(do.CancelTask(task_id="u"))
    pairs = (do.Pair("t", "ben"), do.Pair("u", "ana"), do.Pair("gone", "ana"))
    floor.do(do.Propose(number=matching.number, pairs=pairs))
    assert floor.asked("t") == ["ana"], "who is left over is matched at once"
    assert floor.do(do.Propose(number=matching.number, pairs=pairs)).is_repeat


def test_a_proposal_of_which_half_has_become_wrong_passes_nobody_over_by_too_much() -> None:
    for waited_s, whose in ((30, "u"), (61, "t")):
        floor = floor_of(window_ms=100, max_overtake_s=60)
        floor.task("t")
        floor.wait(waited_s)
        floor.task("u")
        floor.agent("ana", most=1)
        floor.agent("ben", most=1)
        floor.now_ns = floor.engine.due_ns() or 0
        (matching,) = floor.do(do.Tick()).matchings
        floor.do(do.SetPresence(resource_id="ben", presence="away"))
        floor.do(do.Propose(number=matching.number, pairs=(do.Pair("t", "ben"), do.Pair("u", "ana"))))
        assert floor.asked(whose) == ["ana"], waited_s


def test_a_step_is_skipped_as_soon_as_the_last_who_could_meet_it_signs_out() -> None:
    for leaving in (
        do.SetPresence(resource_id="expert", presence="offline"),
        do.Suspect(resource_id="expert", session="expert-1"),
    ):
        floor = floor_of(steps=[{"skills": {"cards": 4}, "for_s": 300}, {}])
        floor.agent("expert", skills={"cards": 5}, most=1)
        floor.agent("novice")
        floor.task("held")
        floor.accept("held")
        floor.task("t")
        assert floor.get("t").state is TaskState.QUEUED
        floor.do(leaving)
        floor.wait(30)
        assert (floor.asked("t"), floor.get("t").step) == (["novice"], 1)
        assert floor.replayed().hash() == floor.engine.hash()


def test_the_nearness_of_the_target_counts_without_an_answer_of_the_solver_too() -> None:
    floor = Floor({"queues": {"cards": {"window_ms": 100}}, "classes": {"standard": {"boost_s": 600}}})
    floor.task("patient", target_s=3600.0)
    floor.wait(10)
    floor.task("late", target_s=20.0)
    floor.wait(15)
    floor.agent("ana", most=1)
    floor.wait(1)
    assert floor.asked("late") == ["ana"]
