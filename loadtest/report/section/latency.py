"""How long answers took: from the intended time, and as a tool would have it that starts its clock when it sends."""

from __future__ import annotations

import numpy as np

from loadtest.report.section.part import Part, phases_of, ranked, share_of, window_ns
from loadtest.sample import NOT_SAID, RUNGS
from loadtest.view import FOREVER_NS, View

QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999)
_POINTS = 200
_WINDOWS = 120
_PER_DECADE = 10
_LOWEST, _HIGHEST = 4, 11  # decades of the heat map in ns: 10 µs to 100 s


class Quantile(Part, frozen=True, kw_only=True):
    """The latency that a share `q` does not exceed.

    `intended_ns` is of all requests and counts from when each was due. `sent_ns` is of those with a 200 and counts
    from when each was written: what is missing in it is coordinated omission.
    """

    q: float
    intended_ns: int | None
    sent_ns: int | None


class HeatMap(Part, frozen=True, kw_only=True):
    """Requests by time and latency. `counts[window][bucket]`; bucket i ends at `edges_ns[i + 1]`; never apart."""

    window_ns: int
    edges_ns: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]
    never: tuple[int, ...]


class Group(Part, frozen=True, kw_only=True):
    """Some of the requests: a phase, a criticality, a channel or a rung. `attained`: in time, of all of them."""

    by: str
    name: str
    scheduled: int
    per_second: float | None
    attained: float | None
    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None
    p999_ns: int | None
    max_ns: int | None


class Latency(Part, frozen=True, kw_only=True):
    """`mean_ns` is of those with a 200."""

    quantiles: tuple[Quantile, ...]
    curve: tuple[Quantile, ...]
    mean_ns: int | None
    max_ns: int | None
    unanswered: int
    heat: HeatMap
    groups: tuple[Group, ...]


def tell_latency(whole: View, measured: View) -> Latency:
    """Args: whole: warm-up included, for what is told over time."""
    intended, sent = np.sort(measured.latency_ns), np.sort(measured.send_latency_ns)
    answered = measured.latency_ns[measured.is_answered]
    tail = np.unique(1 - 1 / np.geomspace(1, max(2, len(measured)), _POINTS))
    return Latency(
        quantiles=_quantiles(intended, sent, np.array(QUANTILES)),
        curve=_quantiles(intended, sent, tail),
        mean_ns=int(answered.mean()) if len(answered) else None,
        max_ns=int(answered.max()) if len(answered) else None,
        unanswered=len(measured) - len(answered),
        heat=_heat(whole),
        groups=tuple(_groups(measured)),
    )


def _quantiles(intended: np.ndarray, sent: np.ndarray, shares: np.ndarray) -> tuple[Quantile, ...]:
    found = zip(shares, ranked(intended, shares), ranked(sent, shares), strict=True)
    return tuple(Quantile(q=float(q), intended_ns=whole, sent_ns=part) for q, whole, part in found)


def _heat(view: View) -> HeatMap:
    span_ns = max(1, view.record.ended_ns, int(view.planned["intended_ns"].max(initial=0)) + 1)
    window = window_ns(span_ns, _WINDOWS)
    windows = -(-span_ns // window)
    at = view.planned["intended_ns"] // window
    exponents = np.arange(_LOWEST * _PER_DECADE, _HIGHEST * _PER_DECADE + 1)
    edges = np.round(10 ** (exponents / _PER_DECADE)).astype(np.int64)
    has_end = view.latency_ns != FOREVER_NS
    bucket = np.clip(np.searchsorted(edges, view.latency_ns[has_end], side="right") - 1, 0, len(edges) - 2)
    flat = np.bincount(at[has_end] * (len(edges) - 1) + bucket, minlength=windows * (len(edges) - 1))
    counts = flat.reshape(windows, len(edges) - 1)
    used = np.flatnonzero(counts.sum(axis=0))
    first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (20, 30)
    return HeatMap(
        window_ns=window,
        edges_ns=tuple(edges[first : last + 1].tolist()),
        counts=tuple(tuple(row) for row in counts[:, first:last].tolist()),
        never=tuple(np.bincount(at[~has_end], minlength=windows).tolist()),
    )


def _groups(view: View) -> list[Group]:
    record = view.record
    groups: list[Group] = []
    met = view.met()

    def add(by: str, name: str, mask: np.ndarray, span_ns: int) -> None:
        # Not `view.where`: it would copy every field of every request once more.
        groups.append(_group(by, name, np.sort(view.latency_ns[mask]), int(met[mask].sum()), span_ns))

    for name, numbers in phases_of(record).items():
        span_ns = sum(record.phases[at].end_ns - record.phases[at].start_ns for at in numbers)
        add("phase", name, np.isin(view.planned["phase"], numbers), span_ns)
    measured_ns = sum(phase.end_ns - phase.start_ns for phase in record.phases if phase.measure)
    for by, names in (("criticality", record.criticalities), ("channel", record.channels)):
        if len(names) > 1:
            for i, name in enumerate(names):
                add(by, name, view.planned[by] == i, measured_ns)
    if record.criticalities and (unsaid := view.planned["criticality"] == NOT_SAID).any():
        add("criticality", "not said", unsaid, measured_ns)
    for i, rung in enumerate(RUNGS):
        mask = view.is_answered & (view.sample["rung"] == i)
        if mask.any():
            add("rung", rung or "not told", mask, measured_ns)
    return groups


def _group(by: str, name: str, sorted_ns: np.ndarray, met: int, span_ns: int) -> Group:
    p50, p90, p99, p999, longest = ranked(sorted_ns, np.array([0.5, 0.9, 0.99, 0.999, 1]))
    return Group(
        by=by,
        name=name,
        scheduled=len(sorted_ns),
        per_second=share_of(len(sorted_ns) * 1e9, span_ns),
        attained=share_of(met, len(sorted_ns)),
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99,
        p999_ns=p999,
        max_ns=longest,
    )
