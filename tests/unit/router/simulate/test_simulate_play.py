from __future__ import annotations

from collections import Counter

import pytest

from router.simulate.day import S
from router.simulate.measure import measure
from router.simulate.played import Played
from tests.simulated_days import START_NS, agent, always, customer, day, policy, run


def waited_s(played: Played) -> dict[str, float]:
    return {name: journey.waited_ns / S for name, journey in played.journeys.items()}


def ends(played: Played) -> dict[str, str]:
    return {name: journey.end for name, journey in played.journeys.items()}


def test_one_agent_takes_one_after_the_other() -> None:
    """Accepts after 5 s, talks for 60 s, wraps up for 10 s: the second waits until 75 s, and 5 s more."""
    one = agent("ana", reaction=always(5), wrap=always(10))
    played = run(day([customer("a", 0, 60), customer("b", 20, 30)], [one]))
    assert waited_s(played) == {"a": 5, "b": 60}
    assert ends(played) == {"a": "completed", "b": "completed"}
    meter = played.meters["ana"]
    assert meter.busy_ns == (60 + 10 + 30 + 10) * S
    assert meter.duty_ns == 3600 * S
    assert meter.answered == 2


def test_a_wrap_up_is_no_longer_than_the_channel_allows() -> None:
    one = agent("ana", wrap=always(500))
    played = run(day([customer("a", 0, 60), customer("b", 0, 60)], [one]))
    assert waited_s(played) == {"a": 0, "b": 60 + 60}


def test_who_is_impatient_leaves_and_takes_nobodys_time() -> None:
    played = run(day([customer("a", 0, 100), customer("b", 10, 60, 40), customer("c", 20, 60, 200)], [agent("ana")]))
    assert ends(played) == {"a": "completed", "b": "abandoned", "c": "completed"}
    assert waited_s(played) == {"a": 0, "b": 40, "c": 80}


def test_patience_runs_while_an_offer_stands_too() -> None:
    slow = agent("ana", reaction=always(20))
    played = run(day([customer("a", 0, 60, 15)], [slow]))
    assert ends(played) == {"a": "abandoned"}
    assert played.late == 1


def test_who_declines_is_passed_by() -> None:
    no = agent("a_first", decline_share=1.0, reaction=always(3))
    yes = agent("b_second", reaction=always(2))
    played = run(day([customer("a", 0, 60)], [no, yes]))
    assert waited_s(played) == {"a": 3 + 2}
    assert played.declined == 1
    assert played.meters["b_second"].answered == 1


def test_offers_that_are_missed_run_out() -> None:
    deaf = agent("a_first", miss_share=1.0)
    played = run(day([customer("a", 0, 60)], [deaf, agent("b_second")]))
    assert waited_s(played) == {"a": 30.25}  # offer_s of a chat, and the grace for a late accept
    assert played.expired == 1


def test_a_bot_that_cannot_help_hands_over_and_both_waits_count() -> None:
    bot = agent("bot", resource={"kind": "bot", "queues": ("bots",), "success": 0.0}, handling=always(30))
    one = agent("ana", shift_s=(100, 3600), reaction=always(4))
    chosen = policy(bots={"escalate_to": "line"}, line={})
    played = run(day([customer("a", 10, 60, queue="bots")], [bot, one]), chosen)
    journey = played.journeys["a"]
    assert (journey.legs, journey.answered_by, journey.end) == (2, "bot", "completed")
    assert waited_s(played) == {"a": 100 - 40 + 4}
    assert measure(played, {"bots": 60.0, "line": 60.0}).contained_share == 0


def test_a_bot_that_helps_needs_nobody() -> None:
    bot = agent("bot", resource={"kind": "bot", "success": 1.0}, handling=always(30))
    outcome = measure(run(day([customer("a", 10, 60)], [bot])), {"line": 60.0})
    assert outcome.contained_share == 1
    assert outcome.agents == ()


def test_shifts_end_when_what_was_begun_is_done() -> None:
    """At 50 s it takes nobody new; the talk until 90 s counts as duty, the time after it does not."""
    early, late = agent("a_early", shift_s=(0, 50)), agent("b_late", shift_s=(200, 3600))
    played = run(day([customer("a", 30, 60), customer("b", 60, 60)], [early, late]))
    assert waited_s(played) == {"a": 0, "b": 140}
    assert played.meters["a_early"].duty_ns == 90 * S


def test_nobody_there_leaves_them_unserved() -> None:
    played = run(day([customer("a", 10, 60), customer("b", 20, 60, 100)], [agent("ana", shift_s=(0, 5))]))
    line = measure(played, {"line": 60.0}).lines[0]
    assert (line.customers, line.answered, line.abandoned, line.unserved) == (2, 0, 1, 1)


def test_a_queue_that_is_full_turns_away() -> None:
    chosen = policy(line={"most": 1})
    customers = [customer(name, at, 100) for at, name in enumerate("abc")]
    line = measure(run(day(customers, [agent("ana")]), chosen), {"line": 60.0}).lines[0]
    assert (line.answered, line.turned_away) == (2, 1)


def test_faster_agents_take_less() -> None:
    played = run(day([customer("a", 0, 60)], [agent("ana", speed=2.0)]))
    assert played.meters["ana"].busy_ns == 30 * S


def test_weights_count_in_occupancy() -> None:
    two = agent("ana", resource={"capacity": 4})
    played = run(day([customer("a", 0, 90, weight=3)], [two]))
    assert played.meters["ana"].busy_ns == 3 * 90 * S
    assert played.meters["ana"].duty_ns == 4 * 3600 * S


@pytest.mark.parametrize("seed", range(3))
def test_chance_is_the_seeds(seed: int) -> None:
    def reached(which: int) -> list[str]:
        agents = [agent(f"a{number}", decline_share=0.5) for number in range(4)]
        played = run(day([customer(f"c{at}", at * 100, 30) for at in range(20)], agents, seed=which))
        return [journey.answered_by for journey in played.journeys.values()]

    assert reached(seed) == reached(seed)
    assert reached(seed) != reached(seed + 10)


def test_everybody_ends_in_one_way() -> None:
    agents = [agent(f"a{number}", reaction=always(7), decline_share=0.2, miss_share=0.1) for number in range(3)]
    customers = [customer(f"c{at}", at * 11, 40 + at % 60, 30 + at % 100) for at in range(200)]
    played = run(day(customers, agents))
    line = measure(played, {"line": 20.0}).lines[0]
    assert line.answered + line.abandoned + line.turned_away + line.unserved == 200
    assert Counter(ends(played).values())["abandoned"] == line.abandoned > 0
    assert all(meter.used == 0 for meter in played.meters.values())
    assert all(journey.answered_ns >= START_NS for journey in played.journeys.values() if journey.answered_ns)
