"""Arrivals: that they are as regular, and as many, as they are said to be (G5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loadtest.arrival import mmpp
from loadtest.arrival.phase import arrivals, expected, phase_arrivals
from loadtest.arrival.process import CONSTANT, POISSON, Process
from loadtest.arrival.shape import Day, Shape, flat, ramp, steps
from loadtest.arrival.trace import read_trace
from loadtest.errors import ScenarioError
from loadtest.quantity import Ns
from loadtest.scenario.spec import ArrivalsSpec, DiurnalSpec, MmppSpec, PhaseSpec, RateSpec, TraceSpec
from tests.components import needs

S = 1_000_000_000
SEEDS = range(10)


def gaps_s(process: Process, shape: Shape, for_s: int, seed: int) -> np.ndarray:
    return np.diff(arrivals(process, shape, for_s * S, np.random.default_rng(seed))) / S


def test_poisson_gaps_are_exponential_and_the_rate_is_right() -> None:
    needs("scipy", "the Kolmogorov-Smirnov test")
    from scipy.stats import kstest  # noqa: PLC0415 - after it is known to be there

    counts = []
    for seed in SEEDS:
        gaps = gaps_s(POISSON, flat(800.0, 60.0), 60, seed)
        assert kstest(gaps, "expon", args=(0, 1 / 800)).pvalue > 0.01
        counts.append(len(gaps) + 1)
    assert np.mean(counts) == pytest.approx(48_000, rel=0.005)


def test_constant_arrivals_are_exactly_even() -> None:
    times_ns = arrivals(CONSTANT, flat(800.0, 10.0), 10 * S, np.random.default_rng(1))
    assert times_ns.tolist() == list(range(0, 10 * S, 1_250_000))


@pytest.mark.parametrize("shape", [0.5, 1.0, 4.0])
def test_gamma_gaps_have_their_spread_and_the_rate_stays(shape: float) -> None:
    gaps = np.concatenate([gaps_s(Process.parse(f"gamma:{shape}"), flat(100.0, 200.0), 200, seed) for seed in SEEDS])
    assert gaps.std() / gaps.mean() == pytest.approx(shape**-0.5, rel=0.02)
    assert len(gaps) / 2_000 == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize("shape", ["0.05", "1", "20"])
def test_a_process_does_not_begin_with_a_burst(shape: str) -> None:
    """Stationary: as many arrivals in the first unit of time as in any other."""
    process, rng = Process.parse(f"gamma:{shape}"), np.random.default_rng(1)
    counts = [len(process.unit_times(rng, 1.0)) for _ in range(20_000)]
    assert np.mean(counts) == pytest.approx(1.0, abs=4 * float(np.std(counts)) / 20_000**0.5)


def test_gamma_one_is_poisson() -> None:
    assert Process.parse("gamma:1") == Process.parse("poisson")


@pytest.mark.parametrize("text", ["gamma", "gamma:", "gamma:0", "gamma:20k", "poisson:2", "posson", "", "constant:1"])
def test_other_processes_are_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"gamma:|shape|number"):
        Process.parse(text)


def test_steps_are_equally_long_and_each_has_its_rate() -> None:
    times_ns = arrivals(CONSTANT, steps([10.0, 40.0, 20.0], 30.0), 30 * S, np.random.default_rng(1))
    assert np.histogram(times_ns, [0, 10 * S, 20 * S, 30 * S])[0].tolist() == [100, 400, 200]


def test_a_ramp_grows_linearly() -> None:
    times_ns = arrivals(CONSTANT, ramp(0.001, 100.0, 10.0), 10 * S, np.random.default_rng(1))
    assert len(times_ns) == pytest.approx(500, abs=1)
    # A quarter of all arrivals is in the first half.
    assert int(np.sum(times_ns < 5 * S)) == pytest.approx(125, abs=1)


def test_a_day_begins_at_its_low_and_is_highest_in_the_middle() -> None:
    times_ns = arrivals(CONSTANT, Day(20.0, 100.0, 60.0, 120.0), 120 * S, np.random.default_rng(1))
    counts = np.histogram(times_ns, np.arange(13) * 10 * S)[0]
    assert len(times_ns) == pytest.approx(120 * 60, abs=1)
    assert counts[0] == pytest.approx(counts.min(), abs=1)
    assert counts[2] == pytest.approx(counts[3], abs=1)
    assert counts[2] == pytest.approx(counts.max(), abs=1)
    assert counts[:6] == pytest.approx(counts[6:], abs=1)


def test_a_crowd_flashes_as_often_and_as_high_as_it_is_said_to() -> None:
    """The mean rate, its spread over seeds, and that the two rates are really there."""
    rates, means_s, for_s = (100.0, 1_000.0), (8.0, 2.0), 2_000.0
    found = [mmpp.path(rates, means_s, for_s, np.random.default_rng(seed)) for seed in range(40)]
    counts = np.array([path.expected for path in found])
    # Of a two-state process: variance 2 (high - low)^2 p (1 - p) tau T with 1/tau = 1/8 + 1/2.
    sigma = (2 * 900**2 * 0.2 * 0.8 * 1.6 * for_s) ** 0.5
    assert mmpp.expected(rates, means_s, for_s) == pytest.approx(280 * for_s)
    assert counts.mean() == pytest.approx(280 * for_s, abs=4 * sigma / 40**0.5)
    assert 0.6 * sigma < counts.std() < 1.4 * sigma
    assert set(found[0].first_rates.tolist()) == {100.0, 1_000.0}
    assert not found[0].slopes.any()


def test_a_crowd_begins_in_either_state() -> None:
    begins = [
        mmpp.path((1.0, 9.0), (3.0, 1.0), 10.0, np.random.default_rng(seed)).first_rates[0] == 9.0
        for seed in range(2_000)
    ]
    assert np.mean(begins) == pytest.approx(0.25, abs=0.04)


def test_a_crowd_that_jumps_too_often_is_refused() -> None:
    with pytest.raises(ScenarioError, match="mean_low and mean_high"):
        mmpp.path((1.0, 9.0), (1e-9, 1e-9), 10.0, np.random.default_rng(1))


def phase(**fields: object) -> PhaseSpec:
    return PhaseSpec(**{"name": "p", "rate": 100.0, "for_": Ns(10 * S), **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        (phase(arrivals="constant"), 1_000),
        (phase(arrivals="constant", rate=[50.0, 150.0]), 1_000),
        (phase(arrivals="constant", rate=RateSpec(ramp=(50.0, 150.0))), 1_000),
        (
            phase(arrivals="constant", rate=RateSpec(diurnal=DiurnalSpec(low=50.0, high=150.0, period=Ns(10 * S)))),
            1_000,
        ),
    ],
)
def test_a_phase_has_as_many_requests_as_expected(spec: PhaseSpec, count: int) -> None:
    assert expected(spec) == pytest.approx(count)
    times_ns = phase_arrivals(spec, np.random.default_rng(1))
    assert len(times_ns) == count
    assert times_ns.dtype == np.int64


def test_a_phase_with_a_crowd_is_poisson_within_its_path() -> None:
    crowd = MmppSpec(low=100.0, high=1_000.0, mean_low=Ns(8 * S), mean_high=Ns(2 * S))
    spec = phase(rate=None, arrivals=ArrivalsSpec(mmpp=crowd), for_=Ns(600 * S))
    assert expected(spec) == pytest.approx(280 * 600)
    times_ns = phase_arrivals(spec, np.random.default_rng(3))
    per_100ms = np.bincount(times_ns // (S // 10), minlength=6_000)
    # Calm and flash are far apart: hardly a tenth of a second lies between them.
    assert np.mean((per_100ms > 30) & (per_100ms < 60)) < 0.05
    assert np.median(per_100ms[per_100ms <= 30]) == 10
    assert np.median(per_100ms[per_100ms >= 60]) == pytest.approx(100, abs=3)


def test_too_many_requests_are_told_before_they_are_made() -> None:
    with pytest.raises(ScenarioError, match=r"1,000,000,000 requests.*at most 10,000,000"):
        arrivals(POISSON, flat(1e6, 1_000.0), 1_000 * S, np.random.default_rng(1))


@pytest.mark.parametrize("content", ["0.5\n1.5\n\n1.5\n4\n", "id,at\n1,100.5\n2,101.5\n3,101.5\n4,104\n"])
def test_a_trace_is_replayed_from_its_first_arrival(tmp_path: Path, content: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(content, encoding="utf-8")
    assert read_trace(path, 1.0, 10.0).tolist() == [0.0, 1.0, 1.0, 3.5]
    assert read_trace(path, 2.0, 10.0).tolist() == [0.0, 0.5, 0.5, 1.75]
    assert read_trace(path, 1.0, 3.5).tolist() == [0.0, 1.0, 1.0]
    spec = phase(rate=None, arrivals=ArrivalsSpec(trace=TraceSpec(file=str(path), speed=0.5)))
    assert phase_arrivals(spec, np.random.default_rng(1)).tolist() == [0, 2 * S, 2 * S, 7 * S]
    assert expected(spec) is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("1\n3\n2\n", "line 3: 2 is earlier"),
        ("1\ntwo\n", "line 2: 'two' is no time"),
        ("1\nnan\n", "line 2: 'nan' is no time"),
        ("1\ninf\n", "line 2: 'inf' is no time"),
        ("", "holds no arrival"),
        ("at\n", "holds no arrival"),
        ("time,id\n1,2\n", "none named 'at'"),
        ("id,at\n1,2\n3\n", "line 3: has no column 'at'"),
    ],
)
def test_a_trace_that_is_none_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ScenarioError, match=says) as error:
        read_trace(path, 1.0, 10.0)
    assert str(path) in str(error.value)


def test_a_trace_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.csv: cannot be read"):
        read_trace(tmp_path / "none.csv", 1.0, 10.0)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="is no text file"):
        read_trace(tmp_path / "bytes", 1.0, 10.0)
