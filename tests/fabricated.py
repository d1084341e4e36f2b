"""Runs that never ran: made from arrays, for the tests of whatever reads runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadtest.payload import Payload
from loadtest.quantity import Ns
from loadtest.run import PhaseRecord, Run, RunRecord, WorkerHealth, create, open_run, save
from loadtest.sample import DEGRADED, NEVER, NOT_SAID, PLANNED, REASONS, RUNGS
from loadtest.scenario.spec import PhaseSpec, Scenario

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike

MS, S = 1_000_000, 1_000_000_000


def scenario(seconds: float = 10, **fields: object) -> Scenario:
    """A scenario of one Poisson phase, `steady`."""
    phases = [PhaseSpec(name="steady", rate=100.0, for_=Ns(seconds * S))]
    return Scenario(**{"name": "fabricated", "phases": phases, **fields})  # type: ignore[arg-type]


def fabricate(
    path: Path,
    latency_ns: ArrayLike,
    *,
    intended_ns: ArrayLike | None = None,
    rate: float = 100.0,
    budget_ns: ArrayLike = 50 * MS,
    status: ArrayLike = 200,
    rung: ArrayLike = "large",
    degraded: ArrayLike = "none",
    lag_ns: ArrayLike = 20_000,
    phases: tuple[PhaseRecord, ...] = (),
    phase: ArrayLike = 0,
    of: Scenario | None = None,
    labels: tuple[str | None, ...] = ("cards", "loans"),
    **fields: object,
) -> Run:
    """Write a run to `path` and open it.

    Args:
        latency_ns: of each request from its intended time; NEVER: unfinished.
        intended_ns: by default evenly at `rate`.
        labels: the payloads' labels; row i sent payload i % len(labels) and was answered with that label as its route.
        fields: of the RunRecord, in place of what would be there.
    """
    latency = np.asarray(latency_ns, np.int64)
    count = len(latency)
    intended = np.arange(count) * round(S / rate) if intended_ns is None else np.asarray(intended_ns, np.int64)
    planned = np.zeros(count, PLANNED)
    planned["intended_ns"], planned["budget_ns"] = intended, budget_ns
    planned["phase"], planned["criticality"] = phase, NOT_SAID
    planned["payload"] = np.arange(count) % len(labels)
    end_ns = int(intended.max()) + 1 if count else 0
    names = tuple(sorted({label for label in labels if label is not None}))
    record = RunRecord(
        **{  # type: ignore[arg-type]
            "id": "0badcafe",
            "scenario": of or scenario(end_ns / S),
            "engine": "raw",
            "command": "takt loadtest run fabricated",
            "started_at": "2026-01-01T00:00:00+00:00",
            "status": "complete",
            "ended_ns": end_ns,
            "phases": phases or (PhaseRecord(name="steady", start_ns=0, end_ns=end_ns, measure=True),),
            "channels": ("chat",),
            "routes": names,
            "workers": (WorkerHealth(index=0, ended="done", wall_ns=end_ns, cpu_ns=end_ns // 5, paced_total=count),),
            **fields,
        }
    )
    create(path, record, planned, tuple(Payload({"text": f"text {at}"}, label) for at, label in enumerate(labels)))
    run = open_run(path, writable=True)
    samples = run.samples
    never = latency == NEVER
    samples["paced_ns"] = intended + np.asarray(lag_ns, np.int64)
    samples["sent_ns"] = samples["paced_ns"] + 5_000
    samples["done_ns"] = np.where(never, NEVER, intended + latency)
    samples["first_ns"] = samples["done_ns"]
    samples["status"] = np.where(never, 0, status)
    for field, words, value in (("rung", RUNGS, rung), ("degraded", DEGRADED, degraded)):
        chosen = np.broadcast_to(np.asarray(value), (count,))
        samples[field] = [words.index(str(each)) for each in chosen]
    samples["reason"] = REASONS.index("model")
    samples["route"] = [names.index(label) if (label := labels[at % len(labels)]) else NEVER for at in range(count)]
    samples["server_us"] = np.where(never, NEVER, np.maximum(0, latency) // 2_000)
    samples["stages_us"][:, 6] = np.maximum(0, samples["server_us"])
    save(path, record)
    return open_run(path)
