"""What went wrong, by class, and the requests to look at first."""

from __future__ import annotations

import numpy as np

from loadtest.report.section.part import Part
from loadtest.sample import DEGRADED, ERRORS, NEVER, RUNGS
from loadtest.view import ERROR, FOREVER_NS, OK, OUTCOMES, SHED, UNFINISHED, UNSENT, View

_WORST = 20


class Failure(Part, frozen=True, kw_only=True):
    """A class of requests that got no 200. `example_row`: the first of them, in the run's arrays."""

    outcome: str
    what: str
    requests: int
    share: float
    example_row: int


class Worst(Part, frozen=True, kw_only=True):
    """A request with a 200 that took long. `decision_id` is what `takt explain` takes; empty: not told."""

    row: int
    at_ns: int
    phase: str
    latency_ns: int
    budget_ns: int
    waited_ns: int
    server_ns: int | None
    outcome: str
    rung: str
    degraded: str
    decision_id: str


class Failures(Part, frozen=True, kw_only=True):
    """Of the measured requests."""

    classes: tuple[Failure, ...]
    worst: tuple[Worst, ...]


def tell_failures(measured: View) -> Failures:
    return Failures(classes=_classes(measured), worst=_worst(measured))


def _classes(view: View) -> tuple[Failure, ...]:
    found = []
    for outcome in (ERROR, UNFINISHED, UNSENT, SHED):
        at = np.flatnonzero(view.outcome == outcome)
        status = view.sample["status"][at]
        for value in np.unique(status).tolist():
            rows = view.row[at[status == value]]
            found.append(
                Failure(
                    outcome=OUTCOMES[outcome],
                    what=_what(outcome, value),
                    requests=len(rows),
                    share=len(rows) / len(view),
                    example_row=int(rows[0]),
                )
            )
    return tuple(sorted(found, key=lambda each: -each.requests))


def _what(outcome: int, status: int) -> str:
    if status in ERRORS:
        return ERRORS[status]
    if status > 0:
        return f"HTTP {status}"
    return "never sent" if outcome == UNSENT else "sent, not answered before the end"


def _worst(view: View) -> tuple[Worst, ...]:
    answered = np.flatnonzero(view.latency_ns != FOREVER_NS)
    slowest = answered[np.argsort(-view.latency_ns[answered], kind="stable")[:_WORST]]
    return tuple(_tell(view, int(at)) for at in slowest)


def _tell(view: View, at: int) -> Worst:
    planned, sample = view.planned[at], view.sample[at]
    decision = int(sample["decision_high"]) << 64 | int(sample["decision_low"])
    return Worst(
        row=int(view.row[at]),
        at_ns=int(planned["intended_ns"]),
        phase=view.record.phases[int(planned["phase"])].name,
        latency_ns=int(view.latency_ns[at]),
        budget_ns=int(planned["budget_ns"]),
        waited_ns=int(sample["sent_ns"] - planned["intended_ns"]),
        server_ns=int(sample["server_us"]) * 1_000 if sample["server_us"] != NEVER else None,
        outcome="in time" if view.outcome[at] == OK else "late",
        rung=RUNGS[sample["rung"]] or "not told",
        degraded=DEGRADED[sample["degraded"]] or "not told",
        decision_id=f"{decision:032x}" if decision else "",
    )
