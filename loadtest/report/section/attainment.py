"""Which share of all requests is answered in time, for every budget that one might have promised."""

from __future__ import annotations

import numpy as np

from loadtest.quantity import MS, S
from loadtest.report.section.part import Part, phases_of, share_of
from loadtest.view import FOREVER_NS, View

_POINTS_PER_DECADE = 60
_MARKS_NS = tuple(each * MS for each in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000))
_MOST_CURVES = 6


class Mark(Part, frozen=True, kw_only=True):
    """`share` of all scheduled requests was answered within `budget_ns` of its intended time."""

    budget_ns: int
    share: float


class Curve(Part, frozen=True, kw_only=True):
    """`shares[i]` belongs to `Attainment.budgets_ns[i]`."""

    name: str
    shares: tuple[float, ...]


class Attainment(Part, frozen=True, kw_only=True):
    """`own`: share that met the budget it was sent with; `budgets_ns`: the budgets sent, ascending, at most ten."""

    own: float | None
    own_budgets_ns: tuple[int, ...]
    marks: tuple[Mark, ...]
    budgets_ns: tuple[int, ...]
    curves: tuple[Curve, ...]


def tell_attainment(measured: View) -> Attainment:
    """The first curve is of all measured requests, the others of phases, where there are several but not too many."""
    latency = np.sort(measured.latency_ns)
    budgets = _budgets(latency)
    curves = [Curve(name="all", shares=_shares(latency, budgets))]
    phases = phases_of(measured.record)
    if 1 < len(phases) <= _MOST_CURVES:
        for name, numbers in phases.items():
            part = np.sort(measured.latency_ns[np.isin(measured.planned["phase"], numbers)])
            curves.append(Curve(name=name, shares=_shares(part, budgets)))
    marks = zip(_MARKS_NS, _shares(latency, np.array(_MARKS_NS)), strict=True)
    own = np.unique(measured.planned["budget_ns"])
    return Attainment(
        own=share_of(int(measured.met().sum()), len(measured)),
        own_budgets_ns=tuple(own[np.unique(np.linspace(0, len(own) - 1, min(10, len(own))).astype(int))].tolist()),
        marks=tuple(Mark(budget_ns=budget, share=share) for budget, share in marks),
        budgets_ns=tuple(budgets.tolist()),
        curves=tuple(curves),
    )


def _budgets(sorted_ns: np.ndarray) -> np.ndarray:
    """From 1 ms to 1 s, a decade further where answers are."""
    finite = sorted_ns[: np.searchsorted(sorted_ns, FOREVER_NS)]
    low = MS // 10 if len(finite) and finite[len(finite) // 2] < MS else MS
    high = 10 * S if len(finite) and finite[-1] > S else S
    decades = round(np.log10(high / low))
    return np.round(np.geomspace(low, high, decades * _POINTS_PER_DECADE + 1)).astype(np.int64)


def _shares(sorted_ns: np.ndarray, budgets: np.ndarray) -> tuple[float, ...]:
    within = np.searchsorted(sorted_ns, budgets, side="right")
    return tuple((within / max(1, len(sorted_ns))).tolist())
