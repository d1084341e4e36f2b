"""What is written is read as what it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import ScenarioError
from loadtest.gate.expression import (
    Accuracy,
    Agreement,
    Attainment,
    Condition,
    Metric,
    Mix,
    Quantile,
    Rate,
    Recovery,
    Throughput,
    parse,
    show,
    unit_of,
)
from loadtest.sample import DEGRADED, RUNGS

RUNG = st.sampled_from(RUNGS[1:-1])
# As people write them: with up to 6 decimals.
SHARE = st.integers(1, 999_999).map(lambda millionths: round(millionths / 1e6, 12))
DURATION = st.integers(1, 10**14)
METRIC: st.SearchStrategy[Metric] = st.one_of(
    st.builds(Attainment, st.none() | DURATION),
    st.integers(1, 999_999).map(lambda millionths: Quantile(float(f"{millionths}e-6"))),
    st.builds(Mix, st.just("rung"), RUNG),
    st.builds(Mix, st.just("degraded"), st.sampled_from(DEGRADED[1:-1])),
    st.builds(Rate, st.sampled_from(["shed", "error", "late", "unsent"])),
    st.builds(Agreement, RUNG, st.none() | RUNG),
    st.builds(Accuracy, st.none() | RUNG),
    st.builds(Throughput, in_time=st.booleans()),
    st.builds(Recovery, SHARE, caches=st.just(value=False)),
    st.just(Recovery(0.95, caches=True)),
)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    metric = draw(METRIC)
    match unit_of(metric):
        case "ns":
            return Condition(metric, draw(st.sampled_from(["<=", "<"])), float(draw(DURATION)))
        case "share":
            limit = draw(SHARE)
        case "per_s":
            limit = draw(st.integers(0, 10**9)) / 1_000
    return Condition(metric, draw(st.sampled_from(["<=", ">=", "<", ">"])), limit)


@given(st.lists(conditions(), min_size=1, max_size=4))
def test_what_is_shown_is_read_as_the_same(parts: list[Condition]) -> None:
    assert parse(" and ".join(show(part) for part in parts)) == tuple(parts)


@given(st.text("pand9.()<>=ms% shed_rtelg,", max_size=40) | st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parts = parse(text)
    except ScenarioError as error:
        assert repr(text) in str(error)
    else:
        assert parse(" and ".join(show(part) for part in parts)) == parts


@given(conditions(), st.sampled_from(["==", "=", "!=", "=>", ""]))
def test_no_other_operator_is_taken(condition: Condition, operator: str) -> None:
    with pytest.raises(ScenarioError):
        parse(show(condition).replace(f" {condition.operator} ", f" {operator} "))
