"""Times and rows that are drawn by chance, as people write them: `5ms:90,50ms:10`, `exp(20ms)`, `zipf(1.1)`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from loadtest.errors import ScenarioError
from loadtest.quantity import LONGEST_NS, duration_ns, number, write_ns

_CALL = re.compile(r"([a-z]+)\s*\(([^()]*)\)")
_DISTRIBUTIONS = "50ms, 5ms:90,50ms:9,500ms:1 (weights), lognormal(50ms, 0.5), uniform(20ms, 100ms), exp(20ms)"
_SAMPLINGS = "uniform, sequential, zipf(1.1)"
_MOST_VALUES = 1_000
_WIDEST_SIGMA = 5.0  # 1.5 in ten thousand are then beyond 10^8 times the median
_STEEPEST_ZIPF = 10.0


class Distribution:
    """Of times, in ns. Immutable; chance is the generator's that `draw` is given."""

    forms: ClassVar[str] = _DISTRIBUTIONS

    @staticmethod
    def parse(text: str) -> Distribution:
        """Read one of `forms`. Raises: ScenarioError: it is none."""
        call = _CALL.fullmatch(text.strip())
        try:
            if call is None:
                return _weighted(text)
            arguments = [part.strip() for part in call[2].split(",")]
            match call[1], arguments:
                case "lognormal", [median, sigma]:
                    return Lognormal(_positive_ns(median), _within(number(sigma), _WIDEST_SIGMA, "sigma"))
                case "uniform", [low, high]:
                    return Uniform(*_ordered_ns(low, high))
                case "exp", [mean]:
                    return Exponential(_positive_ns(mean))
        except ScenarioError as error:
            raise ScenarioError(f"{text!r}: {error}") from None
        raise ScenarioError(f"{text!r} is no distribution of times; write one of: {_DISTRIBUTIONS}")

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """So many times, int64, none longer than a week."""
        drawn: np.ndarray = np.clip(np.rint(self._draw(rng, count)), 0, LONGEST_NS).astype(np.int64)
        return drawn

    def show(self) -> str:
        """The text that `parse` reads as exactly this."""
        raise NotImplementedError

    def _draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Weighted(Distribution):
    """Some values, each with its weight; often just one."""

    values_ns: tuple[int, ...]
    weights: tuple[float, ...]

    def _draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        if len(self.values_ns) == 1:
            return np.full(count, self.values_ns[0], np.int64)
        drawn: np.ndarray = np.array(self.values_ns, np.int64)[choose(self.weights, rng, count)]
        return drawn

    def show(self) -> str:
        if len(self.values_ns) == 1:
            return write_ns(self.values_ns[0])
        return ",".join(
            f"{write_ns(value)}:{weight:.12g}" for value, weight in zip(self.values_ns, self.weights, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Lognormal(Distribution):
    """`sigma`: standard deviation of the logarithm; 0.5 puts p99 at 3.2 times the median."""

    median_ns: int
    sigma: float

    def _draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.lognormal(math.log(self.median_ns), self.sigma, count)

    def show(self) -> str:
        return f"lognormal({write_ns(self.median_ns)}, {self.sigma:.12g})"


@dataclass(frozen=True, slots=True)
class Uniform(Distribution):
    low_ns: int
    high_ns: int

    def _draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.uniform(self.low_ns, self.high_ns, count)

    def show(self) -> str:
        return f"uniform({write_ns(self.low_ns)}, {write_ns(self.high_ns)})"


@dataclass(frozen=True, slots=True)
class Exponential(Distribution):
    mean_ns: int

    def _draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.exponential(self.mean_ns, count)

    def show(self) -> str:
        return f"exp({write_ns(self.mean_ns)})"


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which row is sent next: by chance, in turn, or some rows far more often than others."""

    forms: ClassVar[str] = _SAMPLINGS

    kind: str
    exponent: float = 0.0

    @staticmethod
    def parse(text: str) -> Sampling:
        """Read one of `forms`. Raises: ScenarioError: it is none."""
        word = text.strip()
        if word in {"uniform", "sequential"}:
            return Sampling(word)
        call = _CALL.fullmatch(word)
        if call is None or call[1] != "zipf":
            raise ScenarioError(f"{text!r} is no way to sample; write one of: {_SAMPLINGS}")
        try:
            return Sampling("zipf", _within(number(call[2]), _STEEPEST_ZIPF, "the exponent"))
        except ScenarioError as error:
            raise ScenarioError(f"{text!r}: {error}") from None

    def draw(self, rng: np.random.Generator, count: int, rows: int) -> np.ndarray:
        """So many indices below `rows`, int64. Zipf: row i has rank i + 1, its share falls as rank ** -exponent."""
        if self.kind == "sequential":
            return np.arange(count, dtype=np.int64) % rows
        if self.kind == "uniform":
            return rng.integers(0, rows, count)
        return choose(np.arange(1, rows + 1) ** -self.exponent, rng, count)

    def show(self) -> str:
        return f"zipf({self.exponent:.12g})" if self.kind == "zipf" else self.kind


def choose(weights: np.ndarray | tuple[float, ...], rng: np.random.Generator, count: int) -> np.ndarray:
    """So many indices, each as often as its weight says, int64. Cost: O(count * log(weights))."""
    cumulative = np.cumsum(np.asarray(weights, np.float64))
    chosen: np.ndarray = np.searchsorted(cumulative[:-1], rng.random(count) * cumulative[-1], side="right")
    return chosen


def _weighted(text: str) -> Weighted:
    parts = text.split(",")
    if len(parts) > _MOST_VALUES:
        raise ScenarioError(f"has {len(parts)} values; at most {_MOST_VALUES} are allowed")
    if len(parts) == 1 and ":" not in text:
        return Weighted((duration_ns(text),), (1.0,))
    values_ns, weights = [], []
    for part in parts:
        value, colon, weight = part.partition(":")
        if not colon:
            raise ScenarioError(f"{part.strip()!r} has no weight; write 5ms:90")
        values_ns.append(int(duration_ns(value)))
        weights.append(_within(number(weight), math.inf, "a weight"))
    return Weighted(tuple(values_ns), tuple(weights))


def _positive_ns(text: str) -> int:
    ns = int(duration_ns(text))
    if not ns:
        raise ScenarioError("must be more than 0")
    return ns


def _ordered_ns(low: str, high: str) -> tuple[int, int]:
    ends_ns = int(duration_ns(low)), int(duration_ns(high))
    if ends_ns[0] > ends_ns[1]:
        raise ScenarioError("the first must not be longer than the second")
    return ends_ns


def _within(value: float, limit: float, what: str) -> float:
    if not (0 < value <= limit and math.isfinite(value)):
        raise ScenarioError(f"{what} must be more than 0" + (f", at most {limit:g}" if math.isfinite(limit) else ""))
    return value
