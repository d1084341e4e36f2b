"""From a phase of a scenario to the times of its requests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from loadtest.arrival import mmpp
from loadtest.arrival.process import POISSON, Process
from loadtest.arrival.shape import Day, Shape, flat, ramp, steps
from loadtest.arrival.trace import read_trace
from loadtest.errors import ScenarioError
from loadtest.quantity import S
from loadtest.sample import MAX_REQUESTS
from loadtest.scenario.spec import MmppSpec, PhaseSpec, RateSpec


def arrivals(process: Process, shape: Shape, for_ns: int, rng: np.random.Generator) -> np.ndarray:
    """Times from the start of the phase, int64[requests] ns, ascending, all before `for_ns`.

    Raises: ScenarioError: they would be more than a run may have.
    """
    if shape.expected > MAX_REQUESTS:
        raise ScenarioError(f"{shape.expected:,.0f} requests, but a run has at most {MAX_REQUESTS:,}")
    return _to_ns(shape.inverse(process.unit_times(rng, shape.expected)), for_ns)


def phase_arrivals(phase: PhaseSpec, rng: np.random.Generator) -> np.ndarray:
    """The same for a phase as it stands in a file. Raises: ScenarioError: it can't be; the message names the key."""
    match phase.arrivals:
        case str(text):
            return arrivals(Process.parse(text), _shape(phase), phase.for_, rng)
        case kinds if kinds.mmpp is not None:
            path = mmpp.path(*_mmpp(kinds.mmpp), phase.for_ / S, rng)
            return arrivals(POISSON, path, phase.for_, rng)
        case kinds if kinds.trace is not None:
            seconds = read_trace(Path(kinds.trace.file), kinds.trace.speed, phase.for_ / S)
            return _to_ns(seconds, phase.for_)
    raise ScenarioError("arrivals: needs mmpp or trace")


def expected(phase: PhaseSpec) -> float | None:
    """About how many requests it will have; None: a trace says so itself. Raises: ScenarioError."""
    match phase.arrivals:
        case str():
            return _shape(phase).expected
        case kinds if kinds.mmpp is not None:
            return mmpp.expected(*_mmpp(kinds.mmpp), phase.for_ / S)
        case kinds if kinds.trace is not None:
            return None
    raise ScenarioError("arrivals: needs mmpp or trace")


def _shape(phase: PhaseSpec) -> Shape:
    for_s = phase.for_ / S
    match phase.rate:
        case None:
            raise ScenarioError("rate: is missing; write requests per second")
        case list(rates):
            return steps(rates, for_s)
        case RateSpec(ramp=(_, _) as rates):
            return ramp(*rates, for_s)
        case RateSpec(diurnal=day) if day is not None:
            return Day(day.low, day.high, day.period / S, for_s)
        case float() | int() as rate:
            return flat(rate, for_s)
    raise ScenarioError("rate: needs ramp or diurnal")


def _mmpp(spec: MmppSpec) -> tuple[tuple[float, float], tuple[float, float]]:
    return (spec.low, spec.high), (spec.mean_low / S, spec.mean_high / S)


def _to_ns(seconds: np.ndarray, for_ns: int) -> np.ndarray:
    """Rounding may turn neighbours round by a nanosecond; they are put right."""
    return np.maximum.accumulate(np.clip(np.rint(seconds * S), 0, for_ns - 1).astype(np.int64))
