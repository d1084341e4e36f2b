"""The percentile curve and the attainment curve."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from loadtest.quantity import MS, US, S, show_ns
from loadtest.report.draw.plot import Head, Reading, Tick, figure, frame, label
from loadtest.report.draw.words import percent, time, time_or_dash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.report.section.attainment import Attainment
    from loadtest.report.section.latency import Latency, Quantile

_DECADES_NS = (10 * US, 100 * US, MS, 10 * MS, 100 * MS, S, 10 * S, 100 * S)


def latency_ticks(low_ns: float, high_ns: float) -> list[Tick]:
    """The decades, and where there are few of them 2 and 5 of each."""
    steps = (1,) if high_ns / low_ns > 2_000 else (1, 2, 5)  # noqa: PLR2004 - more than three decades
    return [Tick(d * each, short(d * each)) for d in _DECADES_NS for each in steps if low_ns <= d * each <= high_ns]


def short(ns: int) -> str:
    """A round time, without the digits that a measured one has."""
    number, unit = show_ns(ns).split(" ")
    return f"{float(number):g} {unit}"


def around(values_ns: Sequence[float]) -> tuple[float, float]:
    """Round bounds of a logarithmic axis."""
    steps = [d * each for d in _DECADES_NS for each in (1, 2, 5)]
    low = max((each for each in steps if each <= min(values_ns, default=MS)), default=steps[0])
    high = min((each for each in steps if each >= max(values_ns, default=S)), default=steps[-1])
    return (low, high if high > low else low * 2)


def draw_percentiles(latency: Latency, budgets_ns: tuple[int, ...]) -> str:
    """Both views of the same run; what lies between them was hidden by waiting before sending, or by no answer."""
    curve = latency.curve
    known = [float(ns) for each in curve for ns in (each.intended_ns, each.sent_ns) if ns]
    most = 1 / (1 - curve[-1].q) if curve else 10
    plot = frame((1, most), around([*known, *(float(b) for b in budgets_ns)]), logs="xy")
    ticks = [Tick(1, "0 %"), Tick(2, "50 %")]
    ticks += [Tick(10**i, percent(1 - 10**-i, 4)) for i in range(1, math.floor(math.log10(most) + 0.01) + 1)]
    parts = plot.axes(ticks, latency_ticks(plot.y.low, plot.y.high), "share of requests that took no longer", "latency")
    if len(budgets_ns) == 1:
        y = plot.y(budgets_ns[0])
        parts.append(f'<line class="wanted" x1="{plot.x.begin}" x2="{plot.x.end}" y1="{y}" y2="{y}"/>')
        parts.append(label(plot.x.begin + 4, y - 4, f"budget {short(budgets_ns[0])}", kind="soft"))
    sent = [(1 / (1 - each.q), float(each.sent_ns)) for each in curve if each.sent_ns]
    due = [(1 / (1 - each.q), float(each.intended_ns)) for each in curve if each.intended_ns]
    for kind, points in (("sent", sent), ("due", due)):
        if points:
            parts.append(f'<polyline class="line {kind}" points="{plot.path(*zip(*points, strict=True))}"/>')
    if due and len(due) < len(curve):
        x, y = plot.x(due[-1][0]), plot.y(due[-1][1])
        parts.append(f'<line class="line due never" x1="{x}" x2="{x}" y1="{y}" y2="{plot.y.end}"/>')
        parts.append(label(x - 5, plot.y.end + 12, "no answer beyond", "end"))
    return figure(
        Head(
            "percentiles",
            "Latency by percentile",
            "; ".join(f"{percent(each.q, 4)}: {time(each.intended_ns)}" for each in latency.quantiles)
            + " from the intended time.",
        ),
        plot.height,
        parts,
        readings=[Reading(plot.x(1 / (1 - each.q)), _at(each)) for each in curve],
        legend=(("fill due", "from the intended time, of all requests"), ("fill sent", "from sending, of answers")),
    )


def _at(each: Quantile) -> str:
    return (
        f"{percent(each.q, 3)} took at most {time(each.intended_ns)} from the intended time"
        f" ({time_or_dash(each.sent_ns)} from sending)"
    )


def draw_attainment(attainment: Attainment) -> str:
    """Read off any objective: how many would have been in time, had the budget been that."""
    budgets = attainment.budgets_ns
    plot = frame((budgets[0], budgets[-1]), (0, 1), logs="x")
    parts = plot.axes(
        latency_ticks(budgets[0], budgets[-1]),
        [Tick(i / 5, f"{20 * i} %") for i in range(6)],
        "budget, from the intended time",
        "answered in time, of all",
    )
    if len(attainment.own_budgets_ns) == 1:
        x = plot.x(attainment.own_budgets_ns[0])
        parts.append(f'<line class="wanted" x1="{x}" x2="{x}" y1="{plot.y.begin}" y2="{plot.y.end}"/>')
        words = f"budget sent: {short(attainment.own_budgets_ns[0])}"
        parts.append(label(x + 4, plot.y.begin - 6, words, kind="soft"))
    for i, curve in reversed(list(enumerate(attainment.curves))):
        parts.append(f'<polyline class="line s{i}" points="{plot.path(budgets, curve.shares)}"/>')
    readings = [
        Reading(
            plot.x(budget),
            f"within {show_ns(budget)}: "
            + ", ".join(f"{curve.name} {percent(curve.shares[i], 2)}" for curve in attainment.curves),
        )
        for i, budget in enumerate(budgets)
    ]
    legend = [(f"fill s{i}", curve.name) for i, curve in enumerate(attainment.curves)]
    return figure(
        Head(
            "attainment-curve",
            "In time, for every budget",
            "; ".join(f"within {show_ns(mark.budget_ns)} {percent(mark.share)}" for mark in attainment.marks),
        ),
        plot.height,
        parts,
        readings=readings,
        legend=legend if len(legend) > 1 else (),
    )
