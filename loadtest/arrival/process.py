"""How regular arrivals are: renewal processes with one arrival a unit of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from loadtest.errors import ScenarioError
from loadtest.quantity import number

FORMS = "constant, poisson, gamma:0.5 (shape: 1 is poisson, less is burstier), trace:FILE"
# Below, nearly all arrivals fall together; above, they are constant.
_LEAST_SHAPE, _MOST_SHAPE = 0.01, 10_000.0
_SIGMAS = 6.0  # a second draw is needed once in 10^9


@dataclass(frozen=True, slots=True)
class Process:
    """Gaps are gamma distributed with mean 1 and variance 1 / shape; an infinite shape: they are all 1."""

    shape: float

    @staticmethod
    def parse(text: str) -> Process:
        """Read `constant`, `poisson` or `gamma:SHAPE`. Raises: ScenarioError: it is none."""
        word, colon, rest = text.strip().partition(":")
        if not colon and word in {"constant", "poisson"}:
            return CONSTANT if word == "constant" else POISSON
        if not colon or word != "gamma":
            raise ScenarioError(f"{text!r} is no kind of arrivals; write one of: {FORMS}")
        try:
            shape = number(rest)
        except ScenarioError as error:
            raise ScenarioError(f"{text!r}: {error}") from None
        if not _LEAST_SHAPE <= shape <= _MOST_SHAPE:
            raise ScenarioError(f"{text!r}: the shape must be between {_LEAST_SHAPE} and {_MOST_SHAPE:g}")
        return Process(shape)

    def unit_times(self, rng: np.random.Generator, end: float) -> np.ndarray:
        """Arrivals from 0 to before `end`, ascending, float64; on average `end` of them.

        A random process is stationary: it has been going on before 0, so its first gap is what is left of one.
        Cost: O(end) time and memory.
        """
        if math.isinf(self.shape):
            return np.arange(math.ceil(end - 1e-9), dtype=np.float64)
        # A gap that a fixed moment falls into is longer than most: its shape is one higher.
        times = np.array([rng.random() * rng.gamma(self.shape + 1) / self.shape])
        while times[-1] < end:
            left = end - times[-1]
            gaps = rng.standard_gamma(self.shape, int(left + _SIGMAS * math.sqrt(left / self.shape)) + 16) / self.shape
            gaps[0] += times[-1]
            times = np.concatenate((times, np.cumsum(gaps, out=gaps)))
        found: np.ndarray = times[: np.searchsorted(times, end)]
        return found


CONSTANT = Process(math.inf)
POISSON = Process(1.0)
