"""Figures as inline SVG: lines, and estimates with their intervals. Colours are classes of the page's style."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH = 640
SERIES = 6
"""So many lines have colours of their own."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 20, 24, 42
_ROUND = (1, 2, 2.5, 5, 10)
_ROW, _TICKS = 30, 5
_NAME_CHARS = 26


class Series(NamedTuple):
    """A line; where a value is None it has a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]


class Interval(NamedTuple):
    name: str
    mean: float
    low: float | None
    high: float | None
    words: str


class Axis(NamedTuple):
    """What stands at an axis, and how its values are written."""

    title: str
    show: Callable[[float], str]


def nice(high: float) -> list[float]:
    """Round numbers from 0 to at least `high`."""
    if high <= 0:
        return [0.0, 1.0]
    raw = high / _TICKS
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * each for each in _ROUND if size * each >= raw * 0.999)
    return [step * i for i in range(math.ceil(high / step - 1e-9) + 1)]


def draw_lines(slug: str, title: str, series: Sequence[Series], x: Axis, y: Axis, *, height: int = 280) -> str:
    """Lines over a common axis from the least x on; y begins at 0."""
    points = [(at, value) for each in series for at, value in each.points if value is not None]
    if not points:
        return ""
    low, high = min(at for at, _ in points), max(at for at, _ in points)
    ticks = nice(max(value for _, value in points))
    bottom = height - _BOTTOM

    def across(at: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (at - low) / ((high - low) or 1)

    def up(value: float) -> float:
        return bottom - (bottom - _TOP) * value / ticks[-1]

    parts = [_y_axis(up(tick), y.show(tick)) for tick in ticks]
    parts += [_tick(across(at), bottom, x.show(at)) for at in nice(high) if low <= at <= high]
    parts.append(_titles(x.title, y.title, height))
    for number, each in enumerate(series):
        for run in _runs(each.points):
            path = " ".join(f"{across(at):.1f},{up(value):.1f}" for at, value in run)
            parts.append(f'<polyline class="line s{number % SERIES}" points="{path}"/>')
    told = "; ".join(f"{each.name}: {_told(each, y)}" for each in series)
    return _figure(slug, title, told, height, parts, [each.name for each in series])


def draw_intervals(slug: str, title: str, rows: Sequence[Interval], axis: Axis) -> str:
    """A dot for each mean and a bar for its interval, below each other."""
    ends = [value for row in rows for value in (row.mean, row.high) if value is not None]
    ticks = nice(max(ends, default=0))
    height = _TOP + _ROW * len(rows) + _BOTTOM
    left, bottom = 190, height - _BOTTOM

    def across(value: float) -> float:
        return left + (WIDTH - left - 90) * max(0.0, value) / ticks[-1]

    parts = [_tick(across(tick), bottom, axis.show(tick)) for tick in ticks]
    parts.append(f'<text class="axis" x="{left}" y="{height - 6}">{escape(axis.title)}</text>')
    for number, row in enumerate(rows):
        y, kind = _TOP + _ROW * number + _ROW / 2, f"s{number % SERIES}"
        name = row.name if len(row.name) <= _NAME_CHARS else f"{row.name[: _NAME_CHARS - 1]}…"
        parts.append(f'<text class="label" x="{left - 10}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        if row.low is not None and row.high is not None:
            ends_at = f'x1="{across(row.low):.1f}" x2="{across(row.high):.1f}"'
            parts.append(f'<line class="line {kind}" {ends_at} y1="{y}" y2="{y}"/>')
        parts.append(
            f'<circle class="fill {kind}" cx="{across(row.mean):.1f}" cy="{y}" r="5">'
            f"<title>{escape(f'{row.name}: {row.words}')}</title></circle>"
        )
        right = across(max(row.mean, row.high or row.mean)) + 10
        parts.append(f'<text class="label" x="{right:.1f}" y="{y + 4}">{escape(axis.show(row.mean))}</text>')
    told = "; ".join(f"{row.name}: {row.words}" for row in rows)
    return _figure(slug, title, told, height, parts, [])


def _runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """The stretches without a gap."""
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((at, value))
    return [run for run in runs if run]


def _told(series: Series, axis: Axis) -> str:
    values = [value for _, value in series.points if value is not None]
    return f"{axis.show(min(values))} to {axis.show(max(values))}" if values else "nothing"


def _y_axis(y: float, words: str) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(words)}</text>'
    )


def _tick(x: float, bottom: int, words: str) -> str:
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        f'<text class="tick" x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{escape(words)}</text>'
    )


def _titles(x_title: str, y_title: str, height: int) -> str:
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    return (
        f'<text class="axis" x="{middle}" y="{height - 6}" text-anchor="middle">{escape(x_title)}</text>'
        f'<text class="axis" x="10" y="12">{escape(y_title)}</text>'
    )


def _figure(slug: str, title: str, told: str, height: int, parts: Sequence[str], names: Sequence[str]) -> str:
    keys = "".join(
        f'<li><svg class="key" viewBox="0 0 12 12" aria-hidden="true"><rect class="fill s{number % SERIES}"'
        f' width="12" height="12"/></svg>{escape(name)}</li>'
        for number, name in enumerate(names)
    )
    return (
        f'<figure id="{slug}"><figcaption>{escape(title)}</figcaption>'
        f'<svg role="img" aria-labelledby="{slug}-t {slug}-d" viewBox="0 0 {WIDTH} {height}">'
        f'<title id="{slug}-t">{escape(title)}</title><desc id="{slug}-d">{escape(told)}</desc>{"".join(parts)}</svg>'
        + (f'<ul class="legend">{keys}</ul>' if keys else "")
        + "</figure>"
    )
