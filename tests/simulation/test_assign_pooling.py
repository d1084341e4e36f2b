"""Skills, fairness, targets and the morning flood: what a pool of agents does, played by the engine on common draws."""

from __future__ import annotations

import os
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

import numpy as np
import pytest

from router.assign.policy import ClassPolicy, Policy, QueuePolicy
from tests.simulation.assign_drive import Customers, Line, Server, drive, line_policy, servers
from tests.simulation.test_assign_queueing import S, poisson

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.slow

TYPES, AGENTS = 5, 20
SKILLED, ARRIVALS = (8_000 if "TAKT_SEEDS" in os.environ else 4_000), 12_000


def asa_s(line: Line, arrivals: Sequence[int], warm_up: int = 0) -> float:
    return float((np.array(line.starts) - np.array(arrivals))[warm_up:].mean()) / S


def skilled(each: int) -> list[Server]:
    """Agents with so many of the types: their own and the ones that follow it."""
    return [
        Server(f"s{number:02d}", ("line",), {f"type{(number + more) % TYPES}": 1 for more in range(each)})
        for number in range(AGENTS)
    ]


@pytest.fixture(scope="module")
def by_skills() -> dict[int, float]:
    """ASA in seconds with 1, 2, 3 and all skills an agent, on the same customers (design, 3.3)."""
    trace = poisson(0.85 * AGENTS / 3, 3, SKILLED, seed=1)
    kinds = np.random.default_rng(2).integers(0, TYPES, SKILLED).tolist()
    tasks = tuple({"queue": "line", "skills": {f"type{each}": 1}} for each in range(TYPES))
    customers = Customers(*trace, kinds=kinds, tasks=tasks)
    return {each: asa_s(drive(line_policy("line"), skilled(each), customers), trace.arrivals) for each in (1, 2, 3, 5)}


def test_two_skills_in_a_chain_do_nearly_what_all_do(by_skills: dict[int, float]) -> None:
    assert by_skills[2] <= 0.25 * by_skills[1]
    assert by_skills[1] > by_skills[2] > by_skills[3] > by_skills[5]


def test_all_skills_are_one_pool(by_skills: dict[int, float]) -> None:
    trace = poisson(0.85 * AGENTS / 3, 3, SKILLED, seed=1)
    pool = drive(line_policy("line"), servers(AGENTS, "line"), Customers(*trace))
    assert by_skills[5] == pytest.approx(asa_s(pool, trace.arrivals), rel=1e-12)


def test_longest_idle_gives_equal_agents_equal_work() -> None:
    trace = poisson(0.7 * 10 / 3, 3, ARRIVALS, seed=3)
    line = drive(line_policy("line", rank="longest_idle"), servers(10, "line"), Customers(*trace))
    busy = occupancies(line, trace.services)
    assert pstdev(busy.values()) / fmean(busy.values()) < 0.02


def occupancies(line: Line, services: Sequence[int]) -> dict[str, float]:
    """Share of the time until the last end, by agent."""
    total = max(line.ends)
    busy: dict[str, float] = dict.fromkeys(sorted(set(line.servers)), 0.0)
    for server, service in zip(line.servers, services, strict=True):
        busy[server] += service / total
    return busy


TARGETS_S = (60, 100)
WANTED_LEVEL = 0.88


def levels(policy: Policy, tasks: tuple[dict[str, object], ...]) -> tuple[float, float]:
    """Shares answered within `TARGETS_S` of two kinds of customers, half each, at an occupancy of 0.9."""
    trace = poisson(10, 0.9, ARRIVALS, seed=4)
    kinds = np.random.default_rng(5).integers(0, 2, ARRIVALS)
    line = drive(policy, servers(10, "line"), Customers(*trace, kinds=kinds.tolist(), tasks=tasks))
    waits_s = (np.array(line.starts) - np.array(trace.arrivals)) / S
    first, second = (float((waits_s[kinds == kind] <= TARGETS_S[kind]).mean()) for kind in (0, 1))
    return first, second


def test_slopes_meet_two_targets_of_which_strict_priority_misses_one() -> None:
    """88 % within 60 s and 88 % within 100 s: each can be met for itself, and by slopes both at once."""
    queue = QueuePolicy(ttl_s=7_776_000.0, most=1_000_000)
    strict = Policy(queues={"line": queue}, keep_closed=0, priority_s=86_400.0)
    high, low = levels(strict, ({"queue": "line", "priority": 1}, {"queue": "line", "priority": 0}))
    assert high > WANTED_LEVEL > low
    slopes = Policy(
        queues={"line": queue}, keep_closed=0, classes={"high": ClassPolicy(slope=1.6), "low": ClassPolicy(slope=1.0)}
    )
    both = levels(slopes, ({"queue": "line", "service_class": "high"}, {"queue": "line", "service_class": "low"}))
    assert min(both) > WANTED_LEVEL


def test_without_classes_the_nearer_target_is_missed() -> None:
    """Else slopes would have nothing to do."""
    high, low = levels(line_policy("line"), ({"queue": "line"}, {"queue": "line"}))
    assert high < WANTED_LEVEL < low
