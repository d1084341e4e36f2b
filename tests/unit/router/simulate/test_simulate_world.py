from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import pytest

from router.assign.policy import Policy, QueuePolicy
from router.policy.errors import PolicyError
from router.queues import read_queues
from router.simulate.day import S, Sampled, Spread, shares
from router.simulate.draw import draw_day
from router.simulate.world import SLOT_S, World, check_fit, find_world, read_world, shipped

if TYPE_CHECKING:
    from pathlib import Path

WORLD = """\
date = 2026-03-30
timezone = "Europe/Berlin"
from = "08:00"
to = "09:00"
policies = ["queues.toml"]

[streams.chats]
queue = "line"
per_slot = [4, 0, 8, 2]
handling = { mean_s = 300 }
patience = { kind = "constant", mean_s = 90 }

[streams.calls]
queue = "line"
channel = "voice"
per_hour = 30
handling = { kind = "lognormal", mean_s = 200, cv = 0.5 }

[crews.team]
count = 12
queues = ["line"]
channels = { chat = 2, voice = 1 }
capacity = 2
shifts = ["08:00-08:30", "08:45-09:00"]
"""


def written(folder: Path, text: str = WORLD) -> World:
    path = folder / "world.toml"
    path.write_text(text, encoding="utf-8")
    return read_world(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("per_hour = 30", "per_hours = 30", "streams.calls: object contains unknown field `per_hours`"),
        ("per_slot = [4, 0, 8, 2]", "per_slot = [4, 0]", "streams.chats.per_slot: has 2 numbers; 08:00 to 09:00 has 4"),
        ("per_hour = 30\n", "", "streams.calls: needs either per_hour or per_slot"),
        ("per_hour = 30", "per_hour = 30\nper_slot = [1, 1, 1, 1]", "streams.calls: needs either per_hour or per_slot"),
        ('"lognormal"', '"normal"', "streams.calls: handling.kind: invalid enum value 'normal'; allowed: exp"),
        ("count = 12", "count = 0", "crews.team: count: expected `int` >= 1"),
        ('to = "09:00"', 'to = "08:50"', "from 08:00 to 08:50: must be some quarters of an hour"),
        ('to = "09:00"', 'to = "9:00"', "to: expected `str` matching regex"),
        ("Europe/Berlin", "Europe/Berlim", "timezone: there is no 'Europe/Berlim'"),
        ("08:45-09:00", "08:15-09:00", "crews.team.shifts: 08:15-09:00 must end after it begins, and follow"),
        ("[4, 0, 8, 2]", "[0, 99999, 99999, 99999]", "300,027 customers are expected; at most 200,000 are allowed"),
        ("count = 12", 'count = "many"', "crews.team: count: expected `int`, got `str`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in WORLD
    with pytest.raises(PolicyError) as refused:
        written(tmp_path, WORLD.replace(old, new))
    assert said in str(refused.value)
    assert "world.toml" in str(refused.value)


def test_a_world_needs_the_queues_and_skills_of_the_policy(tmp_path: Path) -> None:
    world = written(tmp_path)
    check_fit(world, Policy(queues={"line": QueuePolicy()}), "world.toml", "queues.toml")
    with pytest.raises(PolicyError, match=r"streams.chats.queue: 'line' is not a queue of queues.toml; there are rank"):
        check_fit(world, Policy(queues={"rank": QueuePolicy()}), "world.toml", "queues.toml")
    skilled = written(tmp_path, WORLD.replace("capacity = 2", "capacity = 2\nskills = { french = 3 }"))
    with pytest.raises(PolicyError, match=r"crews.team.skills: 'french' is not in `skills` of queues.toml: german"):
        check_fit(skilled, Policy(queues={"line": QueuePolicy()}, skills=("german",)), "world.toml", "queues.toml")


def test_worlds_that_are_shipped_fit_their_policies() -> None:
    assert "day" in shipped()
    for path in shipped().values():
        world = read_world(path)
        assert len(world.policies) > 1
        for name in world.policies:
            check_fit(world, read_queues(path.parent / name), str(path), name)


def test_a_world_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(PolicyError, match=r"nowhere: no such file, nor a world that comes with Takt: day"):
        find_world("nowhere")


def test_the_same_seed_is_the_same_day(tmp_path: Path) -> None:
    world = written(tmp_path)
    assert draw_day(world, 3) == draw_day(world, 3)
    assert draw_day(world, 3).customers != draw_day(world, 4).customers


def test_a_stream_does_not_change_with_its_neighbours(tmp_path: Path) -> None:
    alone = WORLD[: WORLD.index("[streams.calls]")] + WORLD[WORLD.index("[crews.team]") :]
    both, one = draw_day(written(tmp_path), 1), draw_day(written(tmp_path, alone), 1)
    assert [each for each in both.customers if each.stream == "chats"] == list(one.customers)


def test_customers_come_when_and_as_often_as_it_says(tmp_path: Path) -> None:
    world = written(tmp_path)
    counts = np.zeros(4)
    days = 400
    for seed in range(days):
        day = draw_day(world, seed)
        ats = [(each.at_ns - day.start_ns) / (SLOT_S * S) for each in day.customers if each.stream == "chats"]
        counts += np.histogram(ats, bins=range(5))[0]
    assert counts[1] == 0
    for slot, rate in enumerate((4, 0, 8, 2)):
        assert counts[slot] / days == pytest.approx(rate, abs=4 * (rate / days) ** 0.5)


def test_clock_times_are_those_of_the_place_also_after_the_change_to_summer_time(tmp_path: Path) -> None:
    day = draw_day(written(tmp_path), 0)
    assert day.start_ns == 1_774_850_400 * S  # 2026-03-30T06:00Z
    eve = written(tmp_path, WORLD.replace("2026-03-30", "2026-03-29"))
    assert draw_day(eve, 0).start_ns == day.start_ns - 86_400 * S
    assert [(end - start) // S for start, end in day.agents[0].shifts] == [1800, 900]
    assert [each.resource.id for each in day.agents[:2]] == ["team-01", "team-02"]


@pytest.mark.parametrize(
    "spread",
    [Spread(mean_s=300), Spread(mean_s=300, kind="lognormal", cv=0.8), Spread(mean_s=300, kind="constant")],
)
def test_times_have_the_mean_that_they_say(spread: Spread) -> None:
    even = (np.arange(100_000) + 0.5) / 100_000
    drawn = [spread.at_ns(share) / S for share in even]
    assert fmean(drawn) == pytest.approx(300, rel=0.005)
    if spread.kind == "lognormal":
        assert np.std(drawn) / 300 == pytest.approx(0.8, rel=0.02)
    assert drawn == sorted(drawn)


def test_what_was_seen_is_drawn_evenly() -> None:
    seen = Sampled((1, 2, 3, 4))
    assert [seen.at_ns(share) for share in (0.01, 0.26, 0.6, 0.99)] == [1, 2, 3, 4]


def test_shares_are_even_and_depend_on_seed_and_name() -> None:
    drawn = np.array([shares(0, f"offer-{number}") for number in range(4_000)])
    assert (drawn > 0).all() and (drawn < 1).all()
    assert np.abs(drawn.mean(axis=0) - 0.5).max() < 4 / (12 * 4_000) ** 0.5
    assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 4 / 4_000**0.5
    assert shares(0, "a") != shares(1, "a") != shares(1, "b")
