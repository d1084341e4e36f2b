"""A server with one queue and no clock: Lindley's recursion on arrays. For tests that need thousands of runs."""

from __future__ import annotations

import numpy as np

from loadtest.quantity import Ns
from loadtest.run import PhaseRecord, RunRecord
from loadtest.sample import DEGRADED, NEVER, NOT_SAID, PLANNED, RUNGS, empty
from loadtest.scenario.spec import PhaseSpec, Scenario
from loadtest.view import FOREVER_NS, View, classify

S = 1_000_000_000


def arrivals_s(rate: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Poisson, ascending, in [0, seconds)."""
    return np.sort(rng.uniform(0, seconds, rng.poisson(rate * seconds)))


def sojourns_s(arrivals_s: np.ndarray, service_s: np.ndarray) -> np.ndarray:
    """Waiting and service of each request, first come first served, one server.

    The n-th leaves when the last busy period's services up to its own are done:
    max over k <= n of arrival_k + service_k + ... + service_n.
    """
    done = np.cumsum(service_s)
    left: np.ndarray = done + np.maximum.accumulate(arrivals_s - (done - service_s))
    spent: np.ndarray = left - arrivals_s
    return spent


def view_of(
    arrivals_s: np.ndarray,
    latency_s: np.ndarray,
    seconds: float,
    *,
    rung: str = "large",
    budget_ns: int = 50_000_000,
    looks: int = 1,
) -> View:
    """A measured run of one phase in memory; a latency of `inf` was never answered."""
    count = len(arrivals_s)
    planned, sample = np.zeros(count, PLANNED), empty(count)
    planned["intended_ns"] = arrivals_s * S
    planned["budget_ns"], planned["criticality"] = budget_ns, NOT_SAID
    sample["paced_ns"] = sample["sent_ns"] = planned["intended_ns"]
    came = np.isfinite(latency_s)
    latency_ns = np.where(came, (np.where(came, latency_s, 0) * S).astype(np.int64), FOREVER_NS)
    sample["status"] = np.where(came, 200, 0)
    sample["done_ns"] = np.where(came, planned["intended_ns"] + latency_ns, NEVER)
    sample["rung"], sample["degraded"] = RUNGS.index(rung), DEGRADED.index("none")
    record = RunRecord(
        id="0badcafe",
        scenario=Scenario(name="queue", phases=[PhaseSpec(name="steady", rate=100.0, for_=Ns(seconds * S))]),
        engine="raw",
        command="",
        started_at="2026-01-01T00:00:00+00:00",
        status="complete",
        looks=looks,
        phases=(PhaseRecord(name="steady", start_ns=0, end_ns=round(seconds * S), measure=True),),
    )
    outcome = classify(planned, sample, latency_ns)
    return View(record, np.arange(count), planned, sample, outcome, latency_ns)
