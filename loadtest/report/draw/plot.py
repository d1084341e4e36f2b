"""Figures as inline SVG: axes, and what surrounds a drawing. No font, no request; colours are classes of the style."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 640
LEFT, RIGHT, TOP, BOTTOM = 62, 26, 24, 42
_ROUND = (1, 2, 2.5, 5, 10)


class Tick(NamedTuple):
    """Where, and what stands there."""

    value: float
    words: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Data to pixels. `log`: low must be above 0."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Clipped to the frame, to a tenth of a pixel."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return round(self.begin + (self.end - self.begin) * (at - low) / (high - low or 1), 1)


def nice(high: float, ticks: int = 5) -> tuple[float, ...]:
    """Round numbers from 0 to at least `high`."""
    if high <= 0:
        return (0.0, 1.0)
    raw = high / ticks
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * each for each in _ROUND if size * each >= raw * 0.999)
    return tuple(step * i for i in range(math.ceil(high / step - 1e-9) + 1))


@dataclass(frozen=True, slots=True)
class Frame:
    """Two scales and the room they take."""

    x: Scale
    y: Scale
    height: int

    def path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        return " ".join(f"{self.x(x)},{self.y(y)}" for x, y in zip(xs, ys, strict=True))

    def axes(self, x_ticks: Sequence[Tick], y_ticks: Sequence[Tick], x_title: str, y_title: str) -> list[str]:
        """Grid, ticks, titles with units."""
        left, right, top, bottom = self.x.begin, self.x.end, self.y.end, self.y.begin
        parts = []
        for tick in x_ticks:
            x = self.x(tick.value)
            parts.append(
                f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'
                f'<text class="tick" x="{x}" y="{bottom + 15}" text-anchor="middle">{escape(tick.words)}</text>'
            )
        for tick in y_ticks:
            y = self.y(tick.value)
            parts.append(
                f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
                f'<text class="tick" x="{left - 6}" y="{y + 4}" text-anchor="end">{escape(tick.words)}</text>'
            )
        middle = (left + right) / 2
        parts.append(
            f'<text class="axis" x="{middle}" y="{self.height - 6}" text-anchor="middle">{escape(x_title)}</text>'
            f'<text class="axis" x="{left - 52}" y="12">{escape(y_title)}</text>'
        )
        return parts


def frame(
    x: tuple[float, float], y: tuple[float, float], *, height: int = 300, top: int = TOP, logs: str = ""
) -> Frame:
    """Args: logs: which axes are logarithmic: ``, `x`, `y`, `xy`."""
    across, up = Scale(*x, LEFT, WIDTH - RIGHT, log="x" in logs), Scale(*y, height - BOTTOM, top, log="y" in logs)
    return Frame(across, up, height)


def label(x: float, y: float, words: str, anchor: str = "start", kind: str = "label") -> str:
    """Words beside what they name, in place of a legend."""
    return f'<text class="{kind}" x="{round(x, 1)}" y="{round(y, 1)}" text-anchor="{anchor}">{escape(words)}</text>'


class Reading(NamedTuple):
    """What the figure says at a place: `x` in pixels."""

    x: float
    words: str


class Head(NamedTuple):
    """What a figure is called. `slug`: unique on the page. `words`: what it shows in numbers, for who can't see it."""

    slug: str
    name: str
    words: str


def figure(
    head: Head,
    height: int,
    parts: Sequence[str],
    *,
    readings: Sequence[Reading] = (),
    legend: Sequence[tuple[str, str]] = (),
) -> str:
    """A figure with its caption. Args: readings: what to read off along x; legend: pairs of class and name."""
    slug, name, words = head
    hover, cursor, read = "", "", ""
    if readings:
        data = json.dumps(readings, ensure_ascii=False, separators=(",", ":"))
        hover = f' tabindex="0" data-readings="{escape(data)}"'
        cursor = f'<line class="cursor" x1="-9" x2="-9" y1="{TOP}" y2="{height - BOTTOM}"/>'
        read = '<p class="reading" aria-live="polite"></p>'
    keys = "".join(
        f'<li><svg class="key" viewBox="0 0 12 12" aria-hidden="true" focusable="false">'
        f'<rect class="{kind}" width="12" height="12"/></svg>{escape(named)}</li>'
        for kind, named in legend
    )
    return (
        f'<figure id="{slug}"><figcaption>{escape(name)}</figcaption>'
        f'<svg role="img" aria-labelledby="{slug}-t {slug}-d" viewBox="0 0 {WIDTH} {height}"{hover}>'
        f'<title id="{slug}-t">{escape(name)}</title><desc id="{slug}-d">{escape(words)}</desc>'
        f"{''.join(parts)}{cursor}</svg>{read}" + (f'<ul class="legend">{keys}</ul>' if keys else "") + "</figure>"
    )
