"""Laws of arrivals: inverses are inverse, times ascend and stay within their phase."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtest.arrival.phase import arrivals
from loadtest.arrival.process import CONSTANT, POISSON, Process
from loadtest.arrival.shape import Day, Shape, flat, ramp, steps

S = 1_000_000_000
RATES = st.floats(0.01, 1_000.0)
LENGTHS = st.floats(0.5, 100.0)


@st.composite
def shapes(draw: st.DrawFn) -> tuple[Shape, float]:
    """Any shape and how long it is, s."""
    for_s = draw(LENGTHS)
    kind = draw(st.sampled_from(["flat", "steps", "ramp", "day"]))
    if kind == "flat":
        return flat(draw(RATES), for_s), for_s
    if kind == "steps":
        return steps(draw(st.lists(RATES, min_size=1, max_size=8)), for_s), for_s
    first, last = draw(RATES), draw(RATES)
    if kind == "ramp":
        return ramp(first, last, for_s), for_s
    return Day(min(first, last), max(first, last), draw(st.floats(0.1, 200.0)), for_s), for_s


@given(shapes())
def test_inverse_and_cumulative_undo_each_other(case: tuple[Shape, float]) -> None:
    shape, for_s = case
    counts = np.linspace(0.0, shape.expected, 301)
    seconds = shape.inverse(counts)
    assert np.all(np.diff(seconds) >= -1e-9 * for_s)
    assert abs(seconds[0]) <= 1e-9 * for_s
    assert abs(seconds[-1] - for_s) <= 1e-7 * for_s
    np.testing.assert_allclose(shape.cumulative(seconds), counts, rtol=1e-9, atol=1e-9 * shape.expected)


@given(shapes(), st.sampled_from([CONSTANT, POISSON, Process(0.3), Process(7.0)]), st.integers(0, 2**64))
def test_arrivals_ascend_and_stay_within_their_phase(case: tuple[Shape, float], process: Process, seed: int) -> None:
    shape, for_s = case
    for_ns = int(for_s * S)
    times_ns = arrivals(process, shape, for_ns, np.random.default_rng(seed))
    assert np.all(np.diff(times_ns) >= 0)
    assert np.all((times_ns >= 0) & (times_ns < for_ns))
    again_ns = arrivals(process, shape, for_ns, np.random.default_rng(seed))
    assert np.array_equal(times_ns, again_ns)


@given(shapes())
def test_constant_arrivals_are_as_many_as_the_rate_says(case: tuple[Shape, float]) -> None:
    shape, for_s = case
    times_ns = arrivals(CONSTANT, shape, int(for_s * S), np.random.default_rng(0))
    assert 0 <= len(times_ns) - shape.expected + 1e-6 < 1 + 2e-6
