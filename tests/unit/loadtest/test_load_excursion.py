"""Two in a row outside the band are an excursion; one is not."""

from __future__ import annotations

import math

import pytest

from loadtest.excursion import Excursion, excursion

QUIET = [10.0, 11.0, 9.0, 10.0, 10.5, 9.5]  # median 10, median deviation 0.5: the band is 9 to 11


def last_of(*values: float) -> Excursion:
    return excursion("p99", [*QUIET, *values], better="lower", least=0.1)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [((12, 12), "worse"), ((8, 8), "better"), ((12, 10), "equal"), ((10, 12), "equal"), ((12, 8), "equal")],
)
def test_needs_two_on_the_same_side(values: tuple[float, float], verdict: str) -> None:
    assert last_of(*values).verdict == verdict


def test_the_two_that_are_judged_do_not_widen_their_band() -> None:
    found = last_of(1_000, 1_000)
    assert (found.median, found.low, found.high) == (10, 9, 11)


def test_higher_may_be_better() -> None:
    found = excursion("in budget", [0.99] * 6 + [0.9, 0.9], better="higher", least=0.005)
    assert found.verdict == "worse"


def test_runs_that_are_all_alike_have_a_band_too() -> None:
    assert excursion("p50", [10.0] * 6 + [10.4, 10.4], better="lower", least=0.5).verdict == "equal"
    assert excursion("p50", [10.0] * 6 + [10.6, 10.6], better="lower", least=0.5).verdict == "worse"


def test_few_runs_prove_nothing() -> None:
    assert excursion("p50", [10.0, 10.0, 99.0, 99.0], better="lower", least=0.5).verdict == "inconclusive"


def test_a_quantile_that_never_came_is_worse_than_any_that_did() -> None:
    assert last_of(math.inf, math.inf).verdict == "worse"
    assert excursion("p99", [math.inf] * 8, better="lower", least=1.0).verdict == "inconclusive"


def test_old_runs_are_forgotten() -> None:
    old = [100.0] * 30
    assert excursion("p99", [*old, *QUIET * 4, 12, 12], better="lower", least=0.1).verdict == "worse"
