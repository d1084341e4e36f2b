"""The engine under virtual time against queueing theory: exactly on the same draws, and by the closed forms.

Exactness is the proof, and no seed can break it: the same arrivals and services give the same starts as a recursion
that knows nothing of the engine, to the nanosecond. That the recursion's model is the right one is what the formulas
say: one run of 100,000 arrivals still has a standard deviation of 9 % (design, 3.2), so here they are compared with
what the recursion makes of half a million arrivals, within four of its own standard errors.

`TAKT_ARRIVALS=1000000` is the size for a night: exactness on so many arrivals, and the engine itself against the
formulas, 32 runs of a tenth of it each, within what the project promises (ASA 5 %, P(wait) 2.5 %, SL 0.01,
P(abandon) 3 %).
"""

from __future__ import annotations

import os
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from router.assign.policy import ClassPolicy, Policy, QueuePolicy
from tests.simulation.assign_drive import NEVER, Customers, drive, line_policy, servers
from tests.simulation.assign_reference import cobham, erlang_a, erlang_c, fcfs_starts, ranked_starts

if TYPE_CHECKING:
    from router.assign.command import Command
    from router.assign.engine import Engine

pytestmark = pytest.mark.slow

ARRIVALS = int(os.environ.get("TAKT_ARRIVALS", "10000"))
IS_NIGHT = ARRIVALS >= 1_000_000
RUNS, SIZE = (32, ARRIVALS // 10) if IS_NIGHT else (16, 30_000)
SIGMAS = 4
S = 1_000_000_000
MINUTE = 60 * S
WARM_UP = 1_000


class Trace(NamedTuple):
    arrivals: list[int]
    services: list[int]


def poisson(rate: float, aht: float, count: int, seed: int) -> Trace:
    """M/M: times in ns from rates a minute and minutes."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(MINUTE / rate, count)).astype(np.int64)
    return Trace(arrivals.tolist(), rng.exponential(MINUTE * aht, count).astype(np.int64).tolist())


def test_starts_are_those_of_the_recursion() -> None:
    trace = poisson(8 / 3, 3, ARRIVALS, seed=1)
    line = drive(line_policy("line"), servers(10, "line"), Customers(*trace))
    assert line.starts == fcfs_starts(*trace, 10)


@pytest.mark.parametrize(("count", "load"), [(1, 0.7), (3, 0.95), (40, 0.9), (5, 1.3)])
def test_starts_are_those_of_the_recursion_at_other_sizes_and_loads(count: int, load: float) -> None:
    trace = poisson(count * load / 3, 3, 1_500, seed=count)
    line = drive(line_policy("line"), servers(count, "line"), Customers(*trace))
    assert line.starts == fcfs_starts(*trace, count)


def test_starts_are_those_of_the_recursion_where_many_things_happen_at_once() -> None:
    """Whole minutes, so that arrivals and ends of service fall together."""
    rng = np.random.default_rng(8)
    arrivals = (np.sort(rng.integers(0, 1_200, 2_000)) * MINUTE).tolist()
    services = (rng.integers(1, 6, 2_000) * MINUTE).tolist()
    line = drive(line_policy("line"), servers(6, "line"), Customers(arrivals, services))
    assert line.starts == fcfs_starts(arrivals, services, 6)


def test_starts_are_those_of_the_recursion_where_customers_leave() -> None:
    trace = poisson(11 / 3, 3, ARRIVALS // 2, seed=2)
    patiences = np.random.default_rng(3).exponential(2 * MINUTE, ARRIVALS // 2).astype(np.int64).tolist()
    line = drive(line_policy("line"), servers(10, "line"), Customers(*trace, patiences))
    assert line.starts == fcfs_starts(*trace, 10, patiences)
    assert line.left == line.starts.count(NEVER)


def strict(queue: str) -> Policy:
    """A priority is worth a day: the younger never catches up."""
    return Policy(queues={queue: QueuePolicy(ttl_s=7_776_000.0, most=1_000_000)}, keep_closed=0, priority_s=86_400.0)


def test_priorities_are_served_as_by_a_reference_that_looks_at_everybody() -> None:
    trace = poisson(3.1, 3, 3_000, seed=4)
    kinds = np.random.default_rng(5).integers(0, 2, 3_000).tolist()
    tasks = ({"queue": "line", "priority": 0}, {"queue": "line", "priority": 1})
    line = drive(strict("line"), servers(10, "line"), Customers(*trace, kinds=kinds, tasks=tasks))
    day = 86_400 * S
    assert line.starts == ranked_starts(*trace, 10, lambda each, now: kinds[each] * day + now - trace.arrivals[each])


def test_slopes_are_served_as_by_a_reference_that_looks_at_everybody() -> None:
    """The accumulating priority queue: who is three times as impatient gains three seconds a second."""
    trace = poisson(3.2, 3, 3_000, seed=6)
    kinds = np.random.default_rng(7).integers(0, 2, 3_000).tolist()
    policy = Policy(
        queues={"line": QueuePolicy(ttl_s=7_776_000.0, most=1_000_000)},
        classes={"calm": ClassPolicy(slope=1.0), "hasty": ClassPolicy(slope=3.0)},
        keep_closed=0,
    )
    tasks = ({"queue": "line", "service_class": "calm"}, {"queue": "line", "service_class": "hasty"})
    line = drive(policy, servers(10, "line"), Customers(*trace, kinds=kinds, tasks=tasks))
    slopes = (1, 3)
    wanted = ranked_starts(*trace, 10, lambda each, now: slopes[kinds[each]] * (now - trace.arrivals[each]))
    assert line.starts == wanted
    waits = [(start - arrival) / S for start, arrival in zip(wanted, trace.arrivals, strict=True)]
    calm, hasty = (fmean(wait for wait, kind in zip(waits, kinds, strict=True) if kind == each) for each in (0, 1))
    assert 1 < calm / hasty < 3  # the ratio of the slopes is reached in heavy traffic only


def served(trace: Trace, patiences: list[int] | None = None) -> np.ndarray:
    """Starts of M/M/10: the engine's at night, else the recursion's, which are the same."""
    if IS_NIGHT:
        return np.array(drive(line_policy("line"), servers(10, "line"), Customers(*trace, patiences)).starts)
    return np.array(fcfs_starts(*trace, 10, patiences))


def served_by_priority(trace: Trace, kinds: list[int]) -> np.ndarray:
    """The same, customers of kind 0 before those of kind 1."""
    tasks = ({"queue": "line", "priority": 1}, {"queue": "line", "priority": 0})
    if IS_NIGHT:
        return np.array(drive(strict("line"), servers(10, "line"), Customers(*trace, None, kinds, tasks)).starts)
    return np.array(ranked_starts(*trace, 10, lambda each, _: -kinds[each]))


def check(values: list[float], wanted: float, tolerance: float) -> None:
    """At night within the promised tolerance, else within the standard errors of what was measured (`-rP` shows it)."""
    error = stdev(values) / len(values) ** 0.5
    print(f"{fmean(values):.5g} +- {error:.1g}, by the formula {wanted:.5g}: {fmean(values) / wanted - 1:+.1%}")
    assert error < 0.05 * wanted  # what is too noisy to tell must not pass
    assert fmean(values) == pytest.approx(wanted, abs=tolerance if IS_NIGHT else SIGMAS * error)


def test_erlang_c() -> None:
    wanted = erlang_c(8 / 3, 3, 10)
    waits = []
    for seed in range(RUNS):
        trace = poisson(8 / 3, 3, SIZE, seed=100 + seed)
        waits.append((served(trace) - np.array(trace.arrivals))[WARM_UP:])
    check([float(each.mean()) / MINUTE for each in waits], wanted.asa_min, 0.05 * wanted.asa_min)
    check([float((each > 0).mean()) for each in waits], wanted.wait_share, 0.025 * wanted.wait_share)
    check([float((each <= 20 * S).mean()) for each in waits], wanted.service_level, 0.01)


def test_erlang_a() -> None:
    wanted = erlang_a(11 / 3, 3, 10, 2)
    shares, waiting = [], []
    for seed in range(RUNS):
        trace = poisson(11 / 3, 3, SIZE, seed=200 + seed)
        patiences = np.random.default_rng(300 + seed).exponential(2 * MINUTE, SIZE).astype(np.int64)
        starts = served(trace, patiences.tolist())
        gone = starts == NEVER
        shares.append(float(gone[WARM_UP:].mean()))
        waiting.append(float(np.where(gone, patiences, starts - np.array(trace.arrivals))[WARM_UP:].mean()) / MINUTE)
    check(shares, wanted.abandoned_share, 0.03 * wanted.abandoned_share)
    check(waiting, wanted.wait_min, 0.05 * wanted.wait_min)


def test_priorities_by_cobham() -> None:
    rates = (1.2, 1.5)
    wanted = cobham(rates, 3, 10)
    means: tuple[list[float], list[float]] = ([], [])
    for seed in range(RUNS):
        trace = poisson(sum(rates), 3, SIZE, seed=400 + seed)
        kinds = (np.random.default_rng(500 + seed).random(SIZE) < rates[1] / sum(rates)).astype(int)
        waits = (served_by_priority(trace, kinds.tolist()) - np.array(trace.arrivals)) / MINUTE
        for kind in (0, 1):
            means[kind].append(float(waits[WARM_UP:][kinds[WARM_UP:] == kind].mean()))
    for kind in (0, 1):
        check(means[kind], wanted[kind], 0.05 * wanted[kind])


def test_little_and_conservation() -> None:
    """What the engine itself holds over time is what customers spent in it; nobody is made or lost, at any step.

    The last one leaves an empty system, so the busy cycles are complete; in whole ns the law is exact.
    """
    trace = poisson(11 / 3, 3, 4_000, seed=9)
    patiences = np.random.default_rng(10).exponential(3 * MINUTE, 4_000).astype(np.int64).tolist()
    held, area, last = 0, 0, 0
    total = {"create": 0, "complete": 0, "cancel": 0}

    def see(engine: Engine, command: Command) -> None:
        nonlocal held, area, last
        area += held * (engine.state.now_ns - last)
        last = engine.state.now_ns
        held = engine.state.queues["line"].waiting + sum(each.used for each in engine.state.resources.values())
        name = str(type(command).__struct_config__.tag)
        if name in total:
            total[name] += 1
        assert total["create"] == total["complete"] + total["cancel"] + held

    line = drive(line_policy("line"), servers(10, "line"), Customers(*trace, patiences), see)
    spent = sum(
        patience if end == NEVER else end - arrival
        for end, arrival, patience in zip(line.ends, trace.arrivals, patiences, strict=True)
    )
    assert held == 0
    assert total == {"create": 4_000, "complete": line.completed, "cancel": line.left}
    assert area == spent
