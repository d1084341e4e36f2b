"""A day that was played is a log; read back, it is the same day again."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest

from router.assign.command import CreateTask
from router.assign.engine import Engine
from router.assign.policy import Policy
from router.policy.errors import PolicyError
from router.simulate.day import Day, S
from router.simulate.measure import measure
from router.simulate.play import play
from router.simulate.replay import Record
from tests.simulated_days import START_NS, Watched, agent, always, customer, day, never, no_pairs, policy, run


def record_of(played: Day, chosen: Policy | None = None) -> Record:
    """What the log of a server would hold of a day."""
    engine = Watched(chosen or policy())
    play(played, engine, no_pairs)
    record = Record()
    record.read(engine.commands, Engine(never, chosen or policy()))
    assert record.left_out == 0
    return record


def busy_day(customers: int = 250) -> Day:
    people = [agent(f"a{n}", shift_s=(n * 60, 3500), reaction=always(4), wrap=always(8)) for n in range(3)]
    came = [customer(f"c{at:03d}", 60 + at * 13, 20 + 7 * at % 60, 25 + at * 31 % 200) for at in range(customers)]
    return day(came, people)


def test_who_came_and_who_was_there_is_as_it_was() -> None:
    original = busy_day()
    drawn = record_of(original).draw(1)
    assert [(each.at_ns, each.task.id) for each in drawn.customers] == [
        (each.at_ns, each.task.id) for each in original.customers
    ]
    assert [each.resource.id for each in drawn.agents] == [each.resource.id for each in original.agents]
    assert [each.shifts[0][0] for each in drawn.agents] == [each.shifts[0][0] for each in original.agents]


def test_who_was_served_takes_as_long_and_who_left_waits_as_long() -> None:
    original = busy_day()
    ended = {name: journey.end for name, journey in run(original).journeys.items()}
    drawn = {each.task.id: each for each in record_of(original).draw(1).customers}
    assert {"completed", "abandoned"} == set(ended.values())
    for each in original.customers:
        if ended[each.task.id] == "completed":
            assert drawn[each.task.id].handling_ns == each.handling_ns
        else:
            assert drawn[each.task.id].patience_ns == each.patience_ns


def test_who_was_answered_had_at_least_that_much_patience() -> None:
    original = busy_day()
    journeys = run(original).journeys
    record = record_of(original)
    drawn = {each.task.id: each for each in record.draw(1).customers}
    answered = [name for name, journey in journeys.items() if journey.end == "completed"]
    assert all((drawn[name].patience_ns or 0) >= journeys[name].waited_ns for name in answered)
    assert {name: drawn[name].patience_ns for name in answered} != {
        each.task.id: each.patience_ns for each in record.draw(2).customers if each.task.id in answered
    }


def test_patience_is_that_of_censored_times() -> None:
    """Exponential patience of 60 s, of which two of three are never seen to their end, is estimated as 60 s."""
    people = [agent(f"a{n}") for n in range(4)]
    patiences = np.random.default_rng(1).exponential(60, 700).tolist()
    came = [customer(f"c{at:03d}", at * 5, 30, patience) for at, patience in enumerate(patiences)]
    drawn = record_of(day(came, people))
    known = fmean((each.patience_ns or 0) / S for seed in range(5) for each in drawn.draw(seed).customers)
    assert known == pytest.approx(60, rel=0.15)


def test_the_replay_of_a_day_under_its_own_policy_comes_near_to_it() -> None:
    """SL within 2 points and ASA within 10 % in the mean over what was not known."""
    original = busy_day()
    happened = measure(run(original), {"line": 20.0}).lines[0]
    record = record_of(original)
    again = [measure(run(record.draw(seed)), {"line": 20.0}).lines[0] for seed in range(8)]
    assert fmean(each.service_level or 0 for each in again) == pytest.approx(happened.service_level, abs=0.02)
    assert fmean(each.asa_s or 0 for each in again) == pytest.approx(happened.asa_s, rel=0.1)


def test_reactions_and_shares_of_agents_are_those_that_were_seen() -> None:
    people = [agent("no", decline_share=1.0, reaction=always(3)), agent("yes", reaction=always(6), wrap=always(9))]
    drawn = record_of(day([customer(f"c{at}", 200 * at, 20) for at in range(10)], people)).draw(0)
    no, yes = drawn.agents
    assert (no.decline_share, yes.decline_share) == (1.0, 0.0)
    assert yes.reaction.at_ns(0.5) == 6 * S
    assert yes.wrap.at_ns(0.5) == 9 * S


def test_a_bot_keeps_its_success_and_its_times() -> None:
    bot = agent("bot", resource={"kind": "bot", "success": 0.0}, handling=always(30))
    chosen = policy(line={})
    drawn = record_of(day([customer(f"c{at}", 50 * at, 20) for at in range(5)], [bot, agent("ana")]), chosen).draw(0)
    played = next(each for each in drawn.agents if each.resource.id == "bot")
    assert played.handling is not None
    taken = {each.handling_ns for each in drawn.customers}
    assert played.resource.success < 1 or taken == {20 * S}


def test_a_log_with_nobody_in_it_is_refused() -> None:
    with pytest.raises(PolicyError, match="the log holds 0 tasks and 0 resources to play"):
        Record().read([], Engine(never, policy()))


def test_what_speaks_of_what_is_gone_is_left_out_and_counted() -> None:
    engine = Watched(policy())
    play(busy_day(20), engine, no_pairs)
    first = next(at for at, (_, command) in enumerate(engine.commands) if isinstance(command, CreateTask))
    record = Record()
    record.read([*engine.commands[:first], *engine.commands[first + 1 :]], Engine(never, policy()))
    assert record.left_out > 0


def test_a_policy_without_the_logs_queues_is_refused() -> None:
    record = record_of(busy_day(5))
    record.check_fit(policy(), "queues.toml")
    with pytest.raises(PolicyError, match=r"other.toml: the log has tasks or agents of line: no such queues here"):
        record.check_fit(policy(other={}), "other.toml")
    assert START_NS > 0
