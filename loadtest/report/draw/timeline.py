"""What happened when: latencies as a heat map, and which rung answered."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from loadtest.quantity import S
from loadtest.report.draw.curve import latency_ticks
from loadtest.report.draw.plot import TOP, Frame, Head, Reading, Tick, figure, frame, label, nice
from loadtest.report.draw.words import clock, counted, percent, rate, time

if TYPE_CHECKING:
    from loadtest.report.section.ladder import Ladder
    from loadtest.report.section.latency import HeatMap

_STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600)
_TICKS = 10
_NEVER_PX = 14
_NAME_PX = 12  # phases' names, below the title of the axis
_ROOM_PX = 60  # a name of a phase needs as much
_BAND_PX, _CHAR_PX = 14, 7


def _time_ticks(end_ns: int) -> list[Tick]:
    step = next((each for each in _STEPS_S if each * _TICKS * S >= end_ns), _STEPS_S[-1])
    return [Tick(at * step * S, clock(round(at * step * S))) for at in range(math.floor(end_ns / (step * S)) + 1)]


def _kind(name: str) -> str:
    """A band's class in the style."""
    return "k-" + name.replace(" ", "-")


def draw_heat(heat: HeatMap, ladder: Ladder) -> str:
    """A column a window, darker where more of its requests lie; at the top those that were never answered."""
    plot = frame(
        (0, ladder.end_ns), (heat.edges_ns[0], heat.edges_ns[-1]), height=345, top=TOP + _NAME_PX + _NEVER_PX, logs="y"
    )
    parts = plot.axes(
        _time_ticks(ladder.end_ns), latency_ticks(plot.y.low, plot.y.high), "time of the run (min:s)", "latency"
    )
    readings = []
    for at, (row, never) in enumerate(zip(heat.counts, heat.never, strict=True)):
        total = sum(row) + never
        if not total:
            continue
        begin, end = plot.x(at * heat.window_ns), plot.x(min((at + 1) * heat.window_ns, ladder.end_ns))
        width = round(max(0.5, end - begin), 1)
        for i, requests in enumerate(row):
            if requests:
                y, bottom = plot.y(heat.edges_ns[i + 1]), plot.y(heat.edges_ns[i])
                parts.append(_cell("heat", begin, y, width, bottom - y, requests / total))
        if never:
            parts.append(_cell("heat lost", begin, plot.y.end - _NEVER_PX, width, _NEVER_PX - 2, never / total))
        longest = max((heat.edges_ns[i + 1] for i, requests in enumerate(row) if requests), default=None)
        words = f"{clock(at * heat.window_ns)}: {counted(total, 'request')}, median below {_median(heat, row, total)}"
        words += f", longest below {time(longest)}" if longest else ""
        readings.append(Reading((begin + end) / 2, words + (f", {counted(never, 'request')} never" if never else "")))
    legend = [("fill heat", "share of the requests due then")]
    legend += [("fill heat lost", "never answered")] if any(heat.never) else []
    return figure(
        Head(
            "heat",
            "Latency over time",
            f"{sum(map(sum, heat.counts)):,} answered and {sum(heat.never):,} unanswered requests in windows of"
            f" {time(heat.window_ns)}.",
        ),
        plot.height,
        [*_happenings(plot, ladder, _NEVER_PX), *parts],
        readings=readings,
        legend=legend,
    )


def _cell(kind: str, x: float, y: float, width: float, height: float, share: float) -> str:
    # The root shows a few slow ones beside many fast ones.
    return (
        f'<rect class="{kind}" x="{x}" y="{round(y, 1)}" width="{width}" height="{round(height, 1)}"'
        f' fill-opacity="{0.12 + 0.88 * math.sqrt(share):.2f}"/>'
    )


def _median(heat: HeatMap, row: tuple[int, ...], total: int) -> str:
    at = next((i for i, sofar in enumerate(accumulate(row)) if 2 * sofar >= total), None)
    return time(None if at is None else heat.edges_ns[at + 1])


def draw_mix(ladder: Ladder) -> str:
    """Requests a second by who answered them, stacked up to the rate; the line is what came in time."""
    per_s = S / ladder.window_ns
    ticks = nice(max(ladder.scheduled) * per_s)
    plot = frame((0, ladder.end_ns), (0, ticks[-1]), height=330, top=TOP + _NAME_PX)
    windows = range(len(ladder.scheduled))
    edges = [min(at * ladder.window_ns, ladder.end_ns) for at in (*windows, len(windows))]
    parts, labels, below = [], [], [0] * len(ladder.scheduled)
    for band in ladder.bands:
        above = [low + more for low, more in zip(below, band.counts, strict=True)]
        upper, lower = _outline(plot, edges, above, per_s), _outline(plot, edges, below, per_s)
        parts.append(f'<polygon class="fill {_kind(band.name)}" points="{" ".join((*upper, *reversed(lower)))}"/>')
        labels += _name(plot, band.name, edges, [each * per_s for each in below], [each * per_s for each in above])
        below = above
    parts.append(f'<polyline class="line intime" points="{" ".join(_outline(plot, edges, ladder.attained, per_s))}"/>')
    axes = plot.axes(
        _time_ticks(ladder.end_ns), [Tick(t, f"{t:,g}") for t in ticks], "time of the run (min:s)", "requests per s"
    )
    legend = [(f"fill {_kind(band.name)}", f"{band.name} {percent(band.share, 1)}") for band in ladder.bands]
    return figure(
        Head(
            "mix",
            "Who answered, over time",
            "; ".join(f"{band.name}: {band.total:,} requests, {percent(band.share)}" for band in ladder.bands),
        ),
        plot.height,
        [*axes, *parts, *labels, *_happenings(plot, ladder)],
        readings=_mix_readings(plot, ladder, per_s),
        legend=[*legend, ("fill intime", "in time (line)")],
    )


def _name(plot: Frame, name: str, edges: list[int], below: list[float], above: list[float]) -> list[str]:
    """A band's name where the band has most room for it; nothing where it has none."""
    wide = min(len(below), math.ceil(_CHAR_PX * (len(name) + 1) / (plot.x(edges[1]) - plot.x(edges[0]) or 1)))
    rooms = [
        (plot.y(max(below[at : at + wide])) - plot.y(min(above[at : at + wide])), at)
        for at in range(len(below) - wide + 1)
    ]
    room, at = max(rooms)
    if room < _BAND_PX:
        return []
    y = (plot.y(max(below[at : at + wide])) + plot.y(min(above[at : at + wide]))) / 2 + 4
    return [label((plot.x(edges[at]) + plot.x(edges[at + wide])) / 2, y, name, "middle", "label on")]


def _outline(plot: Frame, edges: list[int], heights: tuple[int, ...] | list[int], per_s: float) -> list[str]:
    """Steps, as a window has one number."""
    points = []
    for (begin, end), height in zip(pairwise(edges), heights, strict=True):
        y = plot.y(height * per_s)
        points += [f"{plot.x(begin)},{y}", f"{plot.x(end)},{y}"]
    return points


def _mix_readings(plot: Frame, ladder: Ladder, per_s: float) -> list[Reading]:
    readings = []
    for at, due in enumerate(ladder.scheduled):
        if due:
            shares = ", ".join(f"{b.name} {percent(b.counts[at] / due, 0)}" for b in ladder.bands if b.counts[at])
            begin = at * ladder.window_ns
            words = f"{clock(begin)}: {rate(due * per_s)}, in time {percent(ladder.attained[at] / due, 1)}; {shares}"
            readings.append(Reading(plot.x(begin + ladder.window_ns // 2), words))
    return readings


def _happenings(plot: Frame, ladder: Ladder, lift: int = 0) -> list[str]:
    """Phases and faults behind, or over, a drawing. Args: lift: of the phases' names, above what is at the top."""
    top, bottom = plot.y.end, plot.y.begin
    parts = []
    ends = (*ladder.phase_starts_ns[1:], ladder.end_ns)
    for name, begin, end, measured in zip(ladder.phases, ladder.phase_starts_ns, ends, ladder.measured, strict=True):
        x, right = plot.x(begin), plot.x(end)
        if not measured:
            parts.append(_span("unmeasured", x, right, top, bottom))
        parts.append(f'<line class="phase" x1="{x}" x2="{x}" y1="{top - 8 - lift}" y2="{bottom}"/>')
        if right - x >= _ROOM_PX:
            parts.append(label(x + 3, top - 4 - lift, name, kind="soft"))
    for fault in ladder.faults:
        x, right = plot.x(fault.begin_ns), plot.x(fault.end_ns)
        parts.append(_span("fault", x, max(right, x + 2), top, bottom))
        anchor, at = ("end", right - 3) if x > (plot.x.begin + plot.x.end) / 2 else ("start", x + 3)
        parts.append(label(at, top + 12, fault.name, anchor, "label faulty"))
    return parts


def _span(kind: str, x: float, right: float, top: float, bottom: float) -> str:
    width, height = round(max(0, right - x), 1), round(bottom - top, 1)
    return f'<rect class="{kind}" x="{x}" y="{top}" width="{width}" height="{height}"/>'
