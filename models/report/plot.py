"""Plots as inline SVG: no script, no font, no request; colours come from the page's style."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.findings import RungQuality

_WIDTH, _HEIGHT = 520, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 14, 46
_TICKS = 5
COLOURS = 4
"""Rungs have one of these many colours each, as classes c0, c1 … of the page's style."""


class _Frame(NamedTuple):
    """Data coordinates to those of the picture; `low` is the least y, 1 the largest of both axes."""

    low: float

    def x(self, share: float) -> float:
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, share: float) -> float:
        height = _HEIGHT - _TOP - _BOTTOM
        return round(_TOP + height * (1 - (share - self.low) / (1 - self.low)), 1)

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(x)},{self.y(y)}" for x, y in points)


def draw_coverage(rungs: Sequence[RungQuality], wanted: float) -> str:
    """Accuracy against the share of texts kept, a curve a rung with its threshold marked, and the accuracy wanted."""
    seen = [point.accuracy for rung in rungs for point in (*rung.curve, rung.at_threshold) if point is not None]
    frame = _Frame(int(min(0.9, wanted, *seen) * 20) / 20)
    parts = _axes(frame, "share of texts kept", "right, of those kept")
    height = frame.y(wanted)
    parts.append(
        f'<line class="wanted" x1="{frame.x(0)}" x2="{frame.x(1)}" y1="{height}" y2="{height}"/>'
        f'<text class="tick" x="{frame.x(0) + 4}" y="{height - 4}">{100 * wanted:.4g}% wanted</text>'
    )
    for i, rung in enumerate(rungs):
        points = [(point.kept_share, point.accuracy) for point in rung.curve]
        parts.append(f'<polyline class="line c{i % COLOURS}" points="{frame.path(points)}"/>')
        if (mark := rung.at_threshold) is not None:
            told = f"{rung.name}: threshold {rung.threshold:.2f} keeps {mark.kept_share:.1%}, {mark.accuracy:.1%} right"
            x, y = frame.x(mark.kept_share), frame.y(mark.accuracy)
            parts.append(f'<circle class="dot c{i % COLOURS}" cx="{x}" cy="{y}" r="6">{_title(told)}</circle>')
    return _picture("Accuracy against the share of texts kept", _coverage_words(rungs), parts, rungs)


def draw_reliability(rungs: Sequence[RungQuality]) -> str:
    """How right a rung is when it is so sure; the diagonal is perfect."""
    frame = _Frame(0)
    parts = _axes(frame, "how sure the model was", "how often it was right")
    parts.append(f'<polyline class="wanted" points="{frame.path([(0, 0), (1, 1)])}"/>')
    for i, rung in enumerate(rungs):
        points = [(each.confidence, each.accuracy) for each in rung.bins]
        parts.append(f'<polyline class="line c{i % COLOURS}" points="{frame.path(points)}"/>')
        largest = max(each.rows for each in rung.bins)
        for each in rung.bins:
            told = f"{rung.name}: {each.confidence:.0%} sure, {each.accuracy:.0%} right, {each.rows:,} texts"
            radius = round(2 + 5 * (each.rows / largest) ** 0.5, 1)
            x, y = frame.x(each.confidence), frame.y(each.accuracy)
            parts.append(f'<circle class="dot c{i % COLOURS}" cx="{x}" cy="{y}" r="{radius}">{_title(told)}</circle>')
    words = "; ".join(f"{rung.name}: expected calibration error {rung.ece:.3f}" for rung in rungs)
    return _picture("Reliability of the confidence", words, parts, rungs)


def _coverage_words(rungs: Sequence[RungQuality]) -> str:
    """The plot for those who can't see it."""
    return "; ".join(
        f"{rung.name} keeps {mark.kept_share:.1%} at its threshold and is right on {mark.accuracy:.1%} of that"
        if (mark := rung.at_threshold)
        else f"{rung.name} keeps nothing at its threshold"
        for rung in rungs
    )


def _axes(frame: _Frame, x_title: str, y_title: str) -> list[str]:
    """Grid, ticks and titles."""
    parts = []
    for i in range(_TICKS + 1):
        across = i / _TICKS
        up = frame.low + (1 - frame.low) * across
        x, y = frame.x(across), frame.y(up)
        parts.append(
            f'<line class="grid" x1="{x}" x2="{x}" y1="{frame.y(frame.low)}" y2="{frame.y(1)}"/>'
            f'<line class="grid" x1="{frame.x(0)}" x2="{frame.x(1)}" y1="{y}" y2="{y}"/>'
            f'<text class="tick" x="{x}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{across:.0%}</text>'
            f'<text class="tick" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{round(100 * up, 1):g}%</text>'
        )
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text class="axis" x="{frame.x(0.5)}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_title)}</text>'
    )
    parts.append(
        f'<text class="axis" x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">'
        f"{escape(y_title)}</text>"
    )
    return parts


def _title(text: str) -> str:
    """What is shown when the pointer rests on a mark."""
    return f"<title>{escape(text)}</title>"


def _picture(name: str, words: str, parts: Sequence[str], rungs: Sequence[RungQuality]) -> str:
    """A figure with its legend."""
    legend = "".join(
        f'<li><svg class="key" viewBox="0 0 12 12" aria-hidden="true"><circle class="dot c{i % COLOURS}" cx="6" cy="6"'
        f' r="5"/></svg>{escape(rung.name)}</li>'
        for i, rung in enumerate(rungs)
    )
    label = escape(f"{name}. {words}")
    return (
        f"<figure><figcaption>{escape(name)}</figcaption>"
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(parts)}</svg>'
        f'<ul class="legend">{legend}</ul></figure>'
    )
