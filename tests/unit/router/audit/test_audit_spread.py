from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from router.audit.spread import Spread

VALUES = st.lists(st.integers(0, 10_000_000_000), min_size=1, max_size=200)


def spread_of(values: list[int]) -> Spread:
    spread = Spread()
    for value in values:
        spread.add(value)
    return spread


@given(values=VALUES, q=st.floats(0, 1))
def test_a_quantile_is_right_within_one_percent(values: list[int], q: float) -> None:
    exact = sorted(values)[max(1, ceil(q * len(values))) - 1]
    assert abs(spread_of(values).quantile(q) - exact) <= exact / 100


@given(values=st.lists(st.integers(0, 255), min_size=1, max_size=50), least=st.integers(0, 256))
def test_small_values_are_exact(values: list[int], least: int) -> None:
    spread = spread_of(values)
    assert spread.at_least(least) == sum(value >= least for value in values)
    assert spread.quantile(1) == max(values)


@given(values=VALUES, least=st.integers(0, 10_000_000_000))
def test_at_least_errs_only_within_one_percent_of_the_limit(values: list[int], least: int) -> None:
    count = spread_of(values).at_least(least)
    assert sum(v >= least * 1.01 for v in values) <= count <= sum(v >= least * 0.99 for v in values)


def test_equal_values_are_exact() -> None:
    assert spread_of([50_001, 50_001, 3]).quantile(0.99) == 50_001


def test_sums_are_exact_and_memory_is_bounded() -> None:
    spread = spread_of(list(range(0, 3_600_000_000, 50_021)))
    assert spread.sum == sum(range(0, 3_600_000_000, 50_021))
    assert len(spread._buckets) < 3_000


def test_nothing_has_no_quantiles() -> None:
    assert (Spread().quantile(0.5), Spread().at_least(0)) == (0, 0)
