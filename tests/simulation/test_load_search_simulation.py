"""Search finds the capacity of a queue that has one: M/M/1, p99 <= 50 ms, judged by the gates of the product.

In the long run the sojourn times of M/M/1 are exponential with rate mu - lambda, so p99 is 50 ms at
lambda = mu - ln(100) / 50 ms. `TAKT_SEEDS=200` and more plays the 200 that the goal is about.
"""

from __future__ import annotations

import math
import os

import numpy as np
import pytest

from loadtest.gate.judge import judge, overall
from loadtest.scenario.spec import GateSpec
from loadtest.search import Bracket, Search, Settings
from tests.lindley import S, arrivals_s, sojourns_s, view_of

SEEDS = min(200, int(os.environ.get("TAKT_SEEDS", "16")))
LIMIT_S = 0.05
OBJECTIVE = (GateSpec(expr="p99 <= 50ms"),)
# The slowest and the fastest server's capacities are 208/s and 1408/s: at most four doublings of `--from 100`.
SLOWEST, FASTEST = 300.0, 1_500.0


def search_one(seed: int) -> tuple[float, Bracket]:
    """The true capacity, and what is found."""
    service_rate = float(np.exp(np.random.default_rng(seed).uniform(math.log(SLOWEST), math.log(FASTEST))))
    settings = Settings(lowest=100, seed=1_000 * seed)
    search = Search(settings)
    while (step := search.next()) is not None:
        rng, seconds = np.random.default_rng(step.seed), step.for_ns / S
        at_s = arrivals_s(step.rate, seconds, rng)
        latency_s = sojourns_s(at_s, rng.exponential(1 / service_rate, len(at_s)))
        results = judge(view_of(at_s, latency_s, seconds, looks=settings.looks), OBJECTIVE)
        search.record(step, overall(results))
    return service_rate - math.log(100) / LIMIT_S, search.result


@pytest.mark.timeout(600)
def test_brackets_the_capacity_of_a_queue() -> None:
    found = [search_one(seed) for seed in range(SEEDS)]
    within = sum((each.highest_pass or 0) <= truth <= (each.lowest_fail or math.inf) for truth, each in found)
    assert within >= math.floor(0.95 * SEEDS)
    assert sum(each.confirmed for _, each in found) >= math.ceil(0.95 * SEEDS)
    widths = [(each.lowest_fail or math.inf) / (each.highest_pass or math.nan) for _, each in found]
    assert np.median(widths) < 1.2, "20 s of a queue near its limit decide no more than this"
    # A step is a rate of the search, however often it is repeated; the confirmation is a stage of its own.
    steps = [len({tried.step.rate for tried in each.steps if tried.step.kind != "confirm"}) for _, each in found]
    assert np.median(steps) <= 10
    assert np.quantile(steps, 0.9) <= 10
