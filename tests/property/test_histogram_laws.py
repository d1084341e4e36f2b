from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from budgets.histogram import Histogram

VALUES = st.lists(st.integers(min_value=0, max_value=2_000), max_size=200)
EDGES = st.sets(st.integers(min_value=1, max_value=1_500), min_size=1, max_size=20).map(
    lambda edges: tuple(sorted(edges))
)


def filled(edges: tuple[int, ...], values: list[int]) -> Histogram:
    histogram = Histogram(edges)
    for value in values:
        histogram.observe(value)
    return histogram


@given(edges=EDGES, first=VALUES, second=VALUES)
def test_merging_is_observing_both(edges: tuple[int, ...], first: list[int], second: list[int]) -> None:
    merged = filled(edges, first)
    merged.merge(filled(edges, second))
    both = filled(edges, first + second)
    assert (merged.counts, merged.sum) == (both.counts, both.sum)


@given(edges=EDGES, values=VALUES.filter(bool), q=st.floats(min_value=0, max_value=1))
def test_quantile_is_off_by_less_than_its_bucket(edges: tuple[int, ...], values: list[int], q: float) -> None:
    estimate = filled(edges, values).quantile(q)
    exact = sorted(values)[max(1, ceil(q * len(values))) - 1]
    if exact > edges[-1]:
        assert estimate == edges[-1]
    else:
        high = min(edge for edge in edges if edge >= exact)
        low = max((edge for edge in edges if edge < exact), default=0)
        assert low <= estimate <= high
        assert abs(estimate - exact) <= high - low


@given(edges=EDGES, values=VALUES, qs=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_quantiles_rise(edges: tuple[int, ...], values: list[int], qs: tuple[float, float]) -> None:
    histogram = filled(edges, values)
    assert histogram.quantile(min(qs)) <= histogram.quantile(max(qs))
