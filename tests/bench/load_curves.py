"""Latency by percentile as one SVG file that needs nothing beside it, on light and dark pages. Both axes are logs."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 210, 48, 48
_COLOURS = ("#e8590c", "#1c7ed6", "#868e96", "#15aabf")  # told apart on white and on black
_PERCENTILES = (0.0, 90.0, 99.0, 99.9, 99.99)
_LABEL_GAP = 15
_STYLE = """
    text { font: 12px system-ui, sans-serif; fill: #343a40 }
    .title { font-size: 15px; font-weight: 600 }
    .grid { stroke: #868e96; stroke-opacity: .3 }
    .line { fill: none; stroke-width: 2 }
    @media (prefers-color-scheme: dark) { text { fill: #dee2e6 } }
"""


class Curve(NamedTuple):
    """Points (share of the requests that were at most as slow, latency in ms), ascending; both above 0."""

    name: str
    points: Sequence[tuple[float, float]]
    is_dashed: bool = False


def draw(title: str, curves: Sequence[Curve]) -> str:
    """The SVG's text."""
    slowest = max(ms for curve in curves for _, ms in curve.points)
    fastest = min(ms for curve in curves for _, ms in curve.points)
    low, high = math.floor(math.log10(fastest)), math.ceil(math.log10(slowest))

    def x(share: float) -> float:
        nines = min(-math.log10(max(1 - share, 1e-9)), len(_PERCENTILES) - 1)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * nines / (len(_PERCENTILES) - 1)

    def y(ms: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - math.log10(ms)) / (high - low)

    parts = [f'<text class="title" x="{_LEFT}" y="24">{escape(title)}</text>']
    for decade in range(low, high + 1):
        at = f"{y(10.0**decade):.1f}"
        parts.append(f'<path class="grid" d="M{_LEFT} {at}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at}" dy=".35em" text-anchor="end">{_time(10.0**decade)}</text>')
    for percentile in _PERCENTILES:
        at = f"{x(percentile / 100):.1f}"
        parts.append(f'<path class="grid" d="M{at} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text x="{at}" y="{_HEIGHT - 28}" text-anchor="middle">{percentile:g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">percentile of the requests</text>')
    names = []
    for colour, curve in zip(_COLOURS, curves, strict=False):
        points = " ".join(f"{x(share):.1f},{y(ms):.1f}" for share, ms in curve.points)
        dashes = ' stroke-dasharray="6 4"' if curve.is_dashed else ""
        parts.append(f'<polyline class="line" stroke="{colour}"{dashes} points="{points}"/>')
        names.append((y(curve.points[-1][1]), colour, curve.name))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        f' aria-label="{escape(title)}"><style>{_STYLE}</style>\n' + "\n".join([*parts, *_names(names)]) + "\n</svg>\n"
    )


def _names(names: list[tuple[float, str, str]]) -> list[str]:
    """Names beside the ends of the curves, each pushed down as far as it must be to stay legible."""
    placed, lowest, x = [], float("-inf"), _WIDTH - _RIGHT + 8
    for y, colour, name in sorted(names, key=lambda each: each[0]):
        lowest = max(y, lowest + _LABEL_GAP)
        placed.append(f'<text x="{x}" y="{lowest:.1f}" dy=".35em" style="fill:{colour}">{escape(name)}</text>')
    return placed


def _time(ms: float) -> str:
    return f"{ms / 1_000:g} s" if ms >= 1_000 else f"{ms:g} ms"
