"""Accuracy against the number of examples as one SVG file that needs nothing beside it, on light and dark pages."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEIGHT, _PANEL_WIDTH = 400, 490
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 190, 56, 44
_COLOURS = ("#e8590c", "#1c7ed6", "#15aabf", "#868e96", "#2f9e44", "#be4bdb")  # told apart on white and on black
_LABEL_GAP = 15
_STEP = 5  # percent between lines of the grid
_STYLE = """
    text { font: 12px system-ui, sans-serif; fill: #343a40 }
    .title { font-size: 15px; font-weight: 600 }
    .grid { stroke: #868e96; stroke-opacity: .3 }
    .line { fill: none; stroke-width: 2 }
    @media (prefers-color-scheme: dark) { text { fill: #dee2e6 } }
"""


class Mark(NamedTuple):
    """One point of a line: which tick it stands on, the mean, the lowest and the highest of the seeds, in percent."""

    tick: int
    mean: float
    low: float
    high: float


class Line(NamedTuple):
    name: str
    marks: Sequence[Mark]


class Panel(NamedTuple):
    title: str
    lines: Sequence[Line]


def draw(panels: Sequence[Panel], ticks: Sequence[str]) -> str:
    """The SVG's text. All panels share ticks, scale, and a colour for each place in `lines`."""
    values = [mark.low for panel in panels for line in panel.lines for mark in line.marks]
    floor = int(min(values) // _STEP * _STEP)
    body = "".join(_panel(panel, ticks, floor, at * _PANEL_WIDTH) for at, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(panels) * _PANEL_WIDTH} {_HEIGHT}" role="img"'
        f' aria-label="Accuracy by examples of each route"><style>{_STYLE}</style>{body}\n</svg>\n'
    )


def _panel(panel: Panel, ticks: Sequence[str], floor: int, left: int) -> str:
    """Grid, lines, and each line's name where it ends."""
    width = _PANEL_WIDTH - _LEFT - _RIGHT

    def x(tick: int) -> float:
        return left + _LEFT + width * (tick / max(1, len(ticks) - 1))

    def y(percent: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (100 - percent) / (100 - floor)

    parts = [f'<text class="title" x="{left + _LEFT}" y="24">{escape(panel.title)}: accuracy, %</text>']
    for percent in range(floor, 101, _STEP):
        at = f"{y(percent):.1f}"
        parts.append(f'<path class="grid" d="M{x(0):.1f} {at}H{x(len(ticks) - 1):.1f}"/>')
        parts.append(f'<text x="{x(0) - 8:.1f}" y="{at}" dy=".35em" text-anchor="end">{percent}</text>')
    for tick, label in enumerate(ticks):
        parts.append(f'<text x="{x(tick):.1f}" y="{_HEIGHT - 24}" text-anchor="middle">{escape(label)}</text>')
    middle = f'x="{x(0) + width / 2:.1f}" y="{_HEIGHT - 6}" text-anchor="middle"'
    parts.append(f"<text {middle}>training examples of each route</text>")
    names = []
    for colour, line in zip(_COLOURS, panel.lines, strict=False):
        if not line.marks:
            continue
        points = " ".join(f"{x(mark.tick):.1f},{y(mark.mean):.1f}" for mark in line.marks)
        parts.append(f'<polyline class="line" stroke="{colour}" points="{points}"/>')
        parts += [
            f'<path stroke="{colour}" d="M{x(mark.tick):.1f} {y(mark.low):.1f}V{y(mark.high):.1f}"/>'
            f'<circle fill="{colour}" cx="{x(mark.tick):.1f}" cy="{y(mark.mean):.1f}" r="3"/>'
            for mark in line.marks
        ]
        last = line.marks[-1]
        names.append((y(last.mean), x(last.tick) + 8, colour, f"{line.name} {last.mean:.1f}"))
    return "\n".join(["", *parts, *_names(names)])


def _names(names: list[tuple[float, float, str, str]]) -> list[str]:
    """Names from the top, each pushed down as far as it must be to stay legible."""
    placed, lowest = [], float("-inf")
    for y, x, colour, name in sorted(names):
        lowest = max(y, lowest + _LABEL_GAP)
        placed.append(f'<text x="{x:.1f}" y="{lowest:.1f}" dy=".35em" style="fill:{colour}">{escape(name)}</text>')
    return placed
