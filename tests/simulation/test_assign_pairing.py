"""Pairing by score: worth as much as an oracle's where pairs differ, and nothing where scores only add up.

A model is learned from the outcomes of one day under longest-idle, and used on another. The oracle knows the true
scores, and is a loop of its own (assign_reference.py) under the same age guard.
"""

from __future__ import annotations

import itertools
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from router.assign.policy import Policy, QueuePolicy, ScorePolicy
from router.simulate.pair import Solver
from tests.simulation.assign_drive import Customers, Server, drive
from tests.simulation.assign_reference import paired
from tests.simulation.test_assign_queueing import S, poisson

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

CORNERS = tuple(itertools.product((-1, 1), repeat=3))
"""What a customer, or an agent, is like."""
AGENTS, LOAD = 24, 0.9
COUNT = 4_000 if "TAKT_SEEDS" in os.environ else 2_500
GUARD_S = 10
STAFF = [
    Server(f"s{number:02d}", ("line",), attributes={f"y{i}": v for i, v in enumerate(CORNERS[number % 8])})
    for number in range(AGENTS)
]
TASKS = tuple({"queue": "line", "context": {f"x{i}": v for i, v in enumerate(corner)}} for corner in CORNERS)


def interactive(customer: int, agent: int) -> float:
    """The chance of success of two kinds: who is alike goes well together."""
    products = (a * b for a, b in zip(CORNERS[customer], CORNERS[agent], strict=True))
    return 0.5 + sum(weight * product for weight, product in zip((0.18, 0.14, 0.10), products, strict=True))


def additive(customer: int, agent: int) -> float:
    """Good customers and good agents; no pair is better than the sum of its sides."""
    return 0.5 + 0.2 * CORNERS[customer][0] + 0.2 * CORNERS[agent][1]


class Result(NamedTuple):
    success: float
    service_level: float
    spread: float
    """Highest occupancy / lowest."""


class Day(NamedTuple):
    customers: Customers
    kinds: list[int]


def day(seed: int, load: float = LOAD) -> Day:
    trace = poisson(AGENTS * load / 3, 3, COUNT, seed=seed)
    kinds = np.random.default_rng([seed, 1]).integers(0, len(CORNERS), COUNT).tolist()
    return Day(Customers(*trace, kinds=kinds, tasks=TASKS), kinds)


def policy(weights: dict[str, float], **more: object) -> Policy:
    queue = QueuePolicy(ttl_s=7_776_000.0, most=1_000_000, max_overtake_s=float(GUARD_S), **more)  # type: ignore[arg-type]
    return Policy(queues={"line": queue}, scores={"success": ScorePolicy(weights=weights)}, keep_closed=0)


def play(chosen: Policy, played: Day, score: Callable[[int, int], float]) -> tuple[Result, list[int]]:
    line = drive(chosen, STAFF, played.customers, answer=Solver(chosen, Path()))
    agents = [int(name[1:]) for name in line.servers]
    waits = np.array(line.starts) - np.array(played.customers.arrivals)
    busy = np.bincount(agents, weights=played.customers.services, minlength=AGENTS)
    success = float(np.mean([score(kind, agent % 8) for kind, agent in zip(played.kinds, agents, strict=True)]))
    return Result(success, float((waits <= 20 * S).mean()), float(busy.max() / busy.min())), agents


@cache
def usual_of(seed: int, load: float, score: Callable[[int, int], float]) -> Result:
    """The day under longest-idle."""
    return play(policy({}), day(seed, load), score)[0]


@cache
def learn(score: Callable[[int, int], float]) -> dict[str, float]:
    """Weights by least squares on what one day's outcomes were, with products of all pairs of traits and each alone."""
    past = day(seed=11)
    _, agents = play(policy({}), past, score)
    traits = np.array([CORNERS[kind] for kind in past.kinds]), np.array([CORNERS[agent % 8] for agent in agents])
    chance = np.array([score(kind, agent % 8) for kind, agent in zip(past.kinds, agents, strict=True)])
    outcomes = np.random.default_rng(12).random(COUNT) < chance
    named = {f"task.context.x{i}": traits[0][:, i] for i in range(3)}
    named |= {f"agent.attributes.y{i}": traits[1][:, i] for i in range(3)}
    named |= {
        f"task.context.x{i} * agent.attributes.y{j}": traits[0][:, i] * traits[1][:, j]
        for i in range(3)
        for j in range(3)
    }
    columns = np.column_stack([np.ones(COUNT), *named.values()])
    found = np.linalg.lstsq(columns, outcomes.astype(float), rcond=None)[0]
    return dict(zip(named, found[1:].tolist(), strict=True))


@pytest.mark.parametrize("how", [{}, {"window_ms": 100.0, "urgency_share": 0.0}], ids=["at once", "in batches"])
def test_interactive_scores_are_worth_what_they_are_to_an_oracle(how: dict[str, float]) -> None:
    """At the same service level, and with work as evenly spread."""
    today = day(seed=21)
    usual = usual_of(21, LOAD, interactive)
    paired_up, _ = play(policy(learn(interactive), rank="score", score="success", **how), today, interactive)
    arrivals, services = today.customers.arrivals, today.customers.services
    best = paired(arrivals, services, AGENTS, lambda c, s: interactive(today.kinds[c], s % 8), GUARD_S * S)
    oracle = np.mean([interactive(kind, agent % 8) for kind, agent in zip(today.kinds, best, strict=True)])
    assert paired_up.success - usual.success >= 0.8 * (oracle - usual.success)
    assert oracle - usual.success > 0.1
    assert paired_up.service_level == pytest.approx(usual.service_level, abs=0.005)
    assert paired_up.spread <= 1.15


@pytest.mark.parametrize("how", [{}, {"window_ms": 100.0, "urgency_share": 0.0}], ids=["at once", "in batches"])
def test_additive_scores_are_worth_nothing(how: dict[str, float]) -> None:
    """Where agents are not spare, whoever takes whom, the sum is the same: less than a tenth of what pairs can gain."""
    today = day(seed=22, load=0.97)
    usual = usual_of(22, 0.97, additive)
    paired_up, _ = play(policy(learn(additive), rank="score", score="success", **how), today, additive)
    assert paired_up.success == pytest.approx(usual.success, abs=0.01)
