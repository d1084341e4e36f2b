from __future__ import annotations

import pytest

from loadtest.errors import ScenarioError
from loadtest.gate.expression import gate_of
from loadtest.sample_size import allowed_misses, needed_table


def test_the_table_is_mlperfs() -> None:
    (table,) = needed_table(gate_of("p99<=50ms@99%"), rate=500)
    assert [(row.misses, row.requests) for row in table.rows[:5]] == [
        (0, 459),
        (1, 662),
        (2, 838),
        (5, 1_307),
        (10, 2_010),
    ]
    assert table.rows[0].minutes == pytest.approx(459 / 30_000)
    assert (table.gate, table.share, table.confidence) == ("p99 <= 50ms", 0.99, 0.99)
    assert (table.fixed, table.fixed_rounded) == (262_742, 270_336)
    assert table.fixed_minutes == pytest.approx(9.01, abs=0.01)


def test_each_condition_has_a_table() -> None:
    tables = needed_table(gate_of("p99 <= 50ms and shed_rate <= 10%"), 100)
    assert [table.rows[0].requests for table in tables] == [459, 44]


def test_a_rate_of_nothing_takes_no_time() -> None:
    with pytest.raises(ScenarioError, match="rate 0"):
        needed_table(gate_of("p99 <= 50ms"), 0)


def test_misses_that_are_allowed() -> None:
    assert allowed_misses(gate_of("p99 <= 50ms and p90 <= 9ms"), 400) == (None, 26)


def test_what_is_as_measured_has_no_number() -> None:
    with pytest.raises(ScenarioError, match="rate >= 900: is judged as measured"):
        needed_table(gate_of("rate >= 900"), 100)
