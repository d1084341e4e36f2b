"""Where the time went: stage by stage as the server tells, and what of it the server cannot see."""

from __future__ import annotations

import numpy as np

from loadtest.quantity import US, S
from loadtest.report.section.part import Histogram, Part, histogram, ranked
from loadtest.sample import NEVER, STAGES
from loadtest.view import LATE, View

_GAP_QUANTILES = np.array([0.5, 0.9, 0.99, 0.999, 1])


class Step(Part, frozen=True, kw_only=True):
    """A part of the latency; `kind`: before the request was written, in the server, or between them."""

    name: str
    kind: str
    mean_ns: int
    p99_ns: int
    late_mean_ns: int | None
    late_p99_ns: int | None


class Gap(Part, frozen=True, kw_only=True):
    """Client's measure (done - sent) less server's claim: network, accept queue, event loops.

    `claimed_in_time`: answers that came late to the client though the server's claim is within the budget.
    """

    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None
    p999_ns: int | None
    max_ns: int | None
    late: int
    claimed_in_time: int
    histogram: Histogram


class Waterfall(Part, frozen=True, kw_only=True):
    """Of answers whose server told its own time: `told` of `answered`; `late` of them came late. Means add up."""

    answered: int
    told: int
    late: int
    steps: tuple[Step, ...]
    gap: Gap


def tell_waterfall(measured: View) -> Waterfall | None:
    """None: no answer tells its time."""
    answered = measured.is_answered
    told = measured.where(answered & (measured.sample["server_us"] != NEVER))
    if not len(told):
        return None
    late = told.outcome == LATE
    return Waterfall(
        answered=int(answered.sum()),
        told=len(told),
        late=int(late.sum()),
        steps=tuple(_step(name, kind, spent, late) for name, kind, spent in _spent(told) if spent.any()),
        gap=_gap(told, late),
    )


def _spent(view: View) -> list[tuple[str, str, np.ndarray]]:
    """Name, kind and ns of each part; of a request they sum to its latency, save where a server claims too much."""
    sample = view.sample
    server = sample["server_us"].astype(np.int64) * US
    stages = np.maximum(0, sample["stages_us"].astype(np.int64)) * US
    return [
        ("generator", "before", sample["paced_ns"] - view.planned["intended_ns"]),
        ("connection", "before", sample["sent_ns"] - sample["paced_ns"]),
        *((name, "server", stages[:, at]) for at, name in enumerate(STAGES)),
        ("untold", "server", np.maximum(0, server - stages.sum(axis=1))),
        ("outside the server", "between", np.maximum(0, sample["done_ns"] - sample["sent_ns"] - server)),
    ]


def _step(name: str, kind: str, spent: np.ndarray, late: np.ndarray) -> Step:
    of_late = spent[late]
    return Step(
        name=name,
        kind=kind,
        mean_ns=int(spent.mean()),
        p99_ns=ranked(np.sort(spent), np.array([0.99]))[0] or 0,
        late_mean_ns=int(of_late.mean()) if len(of_late) else None,
        late_p99_ns=ranked(np.sort(of_late), np.array([0.99]))[0],
    )


def _gap(view: View, late: np.ndarray) -> Gap:
    server = view.sample["server_us"].astype(np.int64) * US
    gap = np.sort(view.sample["done_ns"] - view.sample["sent_ns"] - server)
    p50, p90, p99, p999, longest = ranked(gap, _GAP_QUANTILES)
    return Gap(
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99,
        p999_ns=p999,
        max_ns=longest,
        late=int(late.sum()),
        claimed_in_time=int((late & (server <= view.planned["budget_ns"])).sum()),
        histogram=histogram(gap, 10 * US, 10 * S, 6),
    )
