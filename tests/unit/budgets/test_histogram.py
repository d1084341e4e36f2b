from __future__ import annotations

import pytest

from budgets.histogram import Histogram

EDGES = (10, 20, 50)


def test_an_edge_belongs_to_the_bucket_below_it() -> None:
    histogram = Histogram(EDGES)
    for value in (0, 10, 11, 20, 50, 51):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1, 1]
    assert (histogram.count, histogram.sum) == (6, 142)


def test_quantile_interpolates_within_the_bucket() -> None:
    histogram = Histogram(EDGES)
    for value in (12, 14, 16, 18):
        histogram.observe(value)
    assert histogram.quantile(0.5) == 15.0
    assert histogram.quantile(1.0) == 20.0


def test_quantile_of_nothing_is_zero() -> None:
    assert Histogram(EDGES).quantile(0.99) == 0.0


def test_quantile_beyond_the_last_edge_is_the_last_edge() -> None:
    histogram = Histogram(EDGES)
    histogram.observe(5)
    histogram.observe(1_000)
    assert histogram.quantile(0.99) == 50.0


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_quantile_refuses_what_is_no_share(q: float) -> None:
    with pytest.raises(ValueError, match=r"within 0\.\.1"):
        Histogram(EDGES).quantile(q)


@pytest.mark.parametrize("edges", [(), (0, 1), (2, 1), (1, 1)])
def test_edges_must_rise(edges: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="strictly rising"):
        Histogram(edges)


def test_merge_refuses_other_edges() -> None:
    with pytest.raises(ValueError, match="different edges"):
        Histogram(EDGES).merge(Histogram((10, 20)))
