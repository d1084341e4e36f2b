"""How many arrivals are expected by when: cumulative rates and their exact inverses. Seconds, as float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

_TURN = 2 * math.pi
_MOST_STEPS = 50  # Newton's method takes about 6
_CLOSE = 1e-15  # of an angle: what rounding leaves
_SHORTEST_S = 1e-300  # a piece that rounding left no time; nothing falls into it


class Shape(Protocol):
    """A rate over time. `expected` is how many arrivals there are on average until its end."""

    @property
    def expected(self) -> float: ...

    def cumulative(self, seconds: np.ndarray) -> np.ndarray:
        """Expected arrivals until then, float64 -> float64, ascending."""
        ...

    def inverse(self, counts: np.ndarray) -> np.ndarray:
        """The second at which so many are expected, float64 -> float64."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """A rate that is a straight line in each piece and may jump between them: flat, steps, ramps.

    Shapes: starts_s, first_rates, slopes and counts float64[pieces]; counts are the arrivals before each piece.
    """

    starts_s: np.ndarray
    first_rates: np.ndarray
    slopes: np.ndarray
    counts: np.ndarray
    expected: float

    def cumulative(self, seconds: np.ndarray) -> np.ndarray:
        at = np.searchsorted(self.starts_s, seconds, side="right") - 1
        since = seconds - self.starts_s[at]
        done: np.ndarray = self.counts[at] + since * (self.first_rates[at] + 0.5 * self.slopes[at] * since)
        return done

    def inverse(self, counts: np.ndarray) -> np.ndarray:
        at = np.searchsorted(self.counts, counts, side="right") - 1
        into, first = counts - self.counts[at], self.first_rates[at]
        # The positive root of first x + slope/2 x^2 = into, in the form that loses no digits where slope is nearly 0.
        root = np.sqrt(np.maximum(0.0, first * first + 2.0 * self.slopes[at] * into))
        seconds: np.ndarray = self.starts_s[at] + 2.0 * into / (first + root)
        return seconds


def pieces(lengths_s: Sequence[float] | np.ndarray, ends: Sequence[tuple[float, float]] | np.ndarray) -> Pieces:
    """One piece after another. Shapes: lengths_s [pieces]; ends [pieces, 2]: rates at its start and end."""
    lengths, rates = np.asarray(lengths_s, np.float64), np.asarray(ends, np.float64)
    counts = np.concatenate(([0.0], np.cumsum(lengths * rates.mean(axis=1))))
    return Pieces(
        starts_s=np.concatenate(([0.0], np.cumsum(lengths)[:-1])),
        first_rates=rates[:, 0],
        slopes=(rates[:, 1] - rates[:, 0]) / np.maximum(lengths, _SHORTEST_S),
        counts=counts[:-1],
        expected=float(counts[-1]),
    )


def flat(rate: float, for_s: float) -> Pieces:
    return pieces([for_s], [(rate, rate)])


def steps(rates: Sequence[float], for_s: float) -> Pieces:
    """Equally long steps."""
    return pieces([for_s / len(rates)] * len(rates), [(rate, rate) for rate in rates])


def ramp(first: float, last: float, for_s: float) -> Pieces:
    """A straight line."""
    return pieces([for_s], [(first, last)])


@dataclass(frozen=True, slots=True)
class Day:
    """A sine between `low` and `high` that begins at its low: rate(t) = mean - half * cos(2 pi t / period)."""

    low: float
    high: float
    period_s: float
    for_s: float

    @property
    def expected(self) -> float:
        return float(self.cumulative(np.array([self.for_s]))[0])

    def cumulative(self, seconds: np.ndarray) -> np.ndarray:
        turn = self.period_s / (2 * math.pi)
        counts: np.ndarray = self._mean * (seconds - self._share * turn * np.sin(seconds / turn))
        return counts

    def inverse(self, counts: np.ndarray) -> np.ndarray:
        """Solves Kepler's equation, x - e sin x = m, for each half of a turn.

        Newton's method from the right of the root: the left side is convex up to pi, so it never overshoots. And as
        sin x <= x - x^3 / pi^2 there, the root is not beyond the cube root of pi^2 m.
        """
        turns, rest = np.divmod(counts / self._mean * (_TURN / self.period_s), _TURN)
        m = np.minimum(rest, _TURN - rest)
        angle = np.minimum(math.pi, np.cbrt(math.pi**2 * m))
        for _ in range(_MOST_STEPS):
            over = angle - self._share * np.sin(angle) - m
            wrong = np.abs(over) > _CLOSE * angle
            if not wrong.any():
                break
            slope = np.maximum(1.0 - self._share * np.cos(angle), _CLOSE)
            angle -= np.where(wrong, over / slope, 0.0)
        whole = np.where(rest > math.pi, _TURN - angle, angle)
        seconds: np.ndarray = (turns + whole / _TURN) * self.period_s
        return seconds

    @property
    def _mean(self) -> float:
        return (self.low + self.high) / 2

    @property
    def _share(self) -> float:
        """Half the swing, of the mean: below 1 because `low` is more than 0."""
        return (self.high - self.low) / (self.high + self.low)
