"""Bars: where the time of requests went, and histograms."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from loadtest.quantity import show_ns
from loadtest.report.draw.curve import latency_ticks
from loadtest.report.draw.plot import WIDTH, Head, Reading, Tick, figure, frame, label, nice
from loadtest.report.draw.words import counted, percent

if TYPE_CHECKING:
    from loadtest.report.section.part import Histogram
    from loadtest.report.section.stage import Waterfall

_BAR_PX, _ROW_PX, _SIDE = 26, 52, 8
_LEAST_PX = 46


def draw_waterfall(waterfall: Waterfall) -> str:
    """Mean stay of all answers, and of the late ones, cut into what it was spent on; each bar is its own 100 %."""
    bars = [("all answers", [float(step.mean_ns) for step in waterfall.steps])]
    if waterfall.late:
        bars.append((f"{waterfall.late:,} late ones", [float(step.late_mean_ns or 0) for step in waterfall.steps]))
    parts = []
    for row, (name, means) in enumerate(bars):
        total, top = sum(means) or 1, row * _ROW_PX + 20
        parts.append(label(_SIDE, top - 5, f"{name}: {show_ns(total)} in the mean"))
        x = float(_SIDE)
        for step, mean in zip(waterfall.steps, means, strict=True):
            width = (WIDTH - 2 * _SIDE) * mean / total
            words = f"{step.name}: {show_ns(mean)}, {percent(mean / total, 1)}"
            parts.append(
                f'<rect class="fill t-{step.name.split(" ")[0]}" x="{x:.1f}" y="{top}" width="{width:.1f}"'
                f' height="{_BAR_PX}"><title>{words}</title></rect>'
            )
            if width >= max(_LEAST_PX, 8 * len(step.name)):
                parts.append(label(x + width / 2, top + 17, step.name, "middle", "label on"))
            x += width
    told = "; ".join(f"{step.name} {show_ns(step.mean_ns)}" for step in waterfall.steps)
    legend = [(f"fill t-{step.name.split(' ')[0]}", step.name) for step in waterfall.steps]
    return figure(Head("waterfall", "Where the time went", told), len(bars) * _ROW_PX, parts, legend=legend)


def draw_histogram(slug: str, name: str, drawn: Histogram, x_title: str) -> str:
    """Requests by a time, on a logarithmic axis cut to where there are any."""
    used = [i for i, count in enumerate(drawn.counts) if count]
    if not used:
        return ""
    first, last = max(0, used[0] - 1), min(len(drawn.counts) - 1, used[-1] + 1)
    total, edges = sum(drawn.counts), drawn.edges_ns[first : last + 2]
    ticks = nice(max(drawn.counts) / total)
    plot = frame((edges[0], edges[-1]), (0, ticks[-1]), height=220, logs="x")
    parts = plot.axes(
        latency_ticks(edges[0], edges[-1]),
        [Tick(each, percent(each, 1)) for each in ticks],
        x_title,
        "share of requests",
    )
    readings = []
    for (low, high), count in zip(pairwise(edges), drawn.counts[first : last + 1], strict=True):
        x, right, y = plot.x(low), plot.x(high), plot.y(count / total)
        if count:
            # One request among many is a hair; it is made visible.
            top = round(min(y, plot.y.begin - 1), 1)
            parts.append(
                f'<rect class="fill s0" x="{x}" y="{top}" width="{round(right - x - 0.5, 1)}"'
                f' height="{round(plot.y.begin - top, 1)}"/>'
            )
        words = f"{show_ns(low)} to {show_ns(high)}: {counted(count, 'request')}, {percent(count / total)}"
        readings.append(Reading((x + right) / 2, words))
    told = f"{total:,} requests, from {show_ns(drawn.edges_ns[used[0]])} to {show_ns(drawn.edges_ns[used[-1] + 1])}"
    return figure(Head(slug, name, told), plot.height, parts, readings=readings)
