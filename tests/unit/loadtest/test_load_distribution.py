"""Distributions of times and samplings of rows: what is read, what is drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtest.distribution import Distribution, Sampling
from loadtest.errors import ScenarioError
from loadtest.quantity import LONGEST_NS

MS = 1_000_000
COUNT = 200_000


def draw(text: str, seed: int = 1) -> np.ndarray:
    return Distribution.parse(text).draw(np.random.default_rng(seed), COUNT)


def test_a_single_time_is_always_itself() -> None:
    drawn = draw("50ms")
    assert drawn.dtype == np.int64
    assert set(drawn.tolist()) == {50 * MS}


def test_weights_are_shares() -> None:
    values, counts = np.unique(draw("5ms:90, 50ms:9 ,500ms:1"), return_counts=True)
    assert values.tolist() == [5 * MS, 50 * MS, 500 * MS]
    assert counts / COUNT == pytest.approx([0.9, 0.09, 0.01], rel=0.05)


def test_lognormal_has_its_median_and_spread() -> None:
    drawn = draw("lognormal(50ms, 0.5)")
    assert np.median(drawn) == pytest.approx(50 * MS, rel=0.01)
    assert np.log(drawn).std() == pytest.approx(0.5, rel=0.01)


def test_uniform_stays_within_its_ends() -> None:
    drawn = draw("uniform(20ms, 100ms)")
    assert drawn.min() >= 20 * MS
    assert drawn.max() <= 100 * MS
    assert drawn.mean() == pytest.approx(60 * MS, rel=0.01)


def test_exponential_has_its_mean_and_its_spread() -> None:
    drawn = draw("exp(20ms)")
    assert drawn.mean() == pytest.approx(20 * MS, rel=0.02)
    assert drawn.std() == pytest.approx(20 * MS, rel=0.02)


def test_no_time_is_longer_than_a_week() -> None:
    assert draw("lognormal(24h, 5)").max() == LONGEST_NS


@pytest.mark.parametrize(
    "text",
    ["50ms", "5ms:90,50ms:9,500ms:1", "1500us:0.25,2s:3", "lognormal(50ms, 0.5)", "uniform(20ms, 100ms)", "exp(1ns)"],
)
def test_what_is_shown_is_read_as_the_same(text: str) -> None:
    read = Distribution.parse(text)
    assert Distribution.parse(read.show()) == read


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("50", "no duration"),
        ("", "no duration"),
        ("5ms:90,50ms", "'50ms' has no weight"),
        ("5ms:0", "more than 0"),
        ("5ms:x", "no number"),
        ("5ms:90,", "no weight"),
        (",".join(["1ms:1"] * 1_001), "at most 1000"),
        ("normal(5ms, 1ms)", "write one of"),
        ("lognormal(50ms)", "write one of"),
        ("lognormal(0ms, 0.5)", "more than 0"),
        ("lognormal(50ms, 9)", "at most 5"),
        ("uniform(100ms, 20ms)", "first must not be longer"),
        ("exp(0s)", "more than 0"),
        ("exp(20)", "no duration"),
    ],
)
def test_anything_else_is_refused_with_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ScenarioError, match=says) as error:
        Distribution.parse(text)
    assert repr(text)[:20] in str(error.value)


def test_zipf_ranks_rows_by_their_place() -> None:
    drawn = Sampling.parse("zipf(1.1)").draw(np.random.default_rng(1), COUNT, 50)
    shares = np.bincount(drawn, minlength=50) / COUNT
    wanted = np.arange(1, 51) ** -1.1
    assert shares == pytest.approx(wanted / wanted.sum(), abs=4 * math.sqrt(0.25 / COUNT))
    assert len(shares) == 50


def test_uniform_rows_are_equally_frequent() -> None:
    drawn = Sampling.parse("uniform").draw(np.random.default_rng(1), COUNT, 10)
    assert np.bincount(drawn) / COUNT == pytest.approx(np.full(10, 0.1), rel=0.05)


def test_sequential_rows_come_in_turn() -> None:
    assert Sampling.parse("sequential").draw(np.random.default_rng(1), 7, 3).tolist() == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize("text", ["uniform", "sequential", "zipf(1.1)"])
def test_a_sampling_that_is_shown_is_read_as_the_same(text: str) -> None:
    assert Sampling.parse(text).show() == text


@pytest.mark.parametrize("text", ["random", "zipf", "zipf()", "zipf(0)", "zipf(11)", "zipf(-1)", "gauss(1)", ""])
def test_other_samplings_are_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"zipf|number|exponent"):
        Sampling.parse(text)
