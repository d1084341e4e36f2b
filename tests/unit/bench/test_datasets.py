"""The same few rows for every contender: drawn by the seed, alike for all routes."""

from __future__ import annotations

from collections import Counter

import pytest

from models.data import Example
from models.spec import OUT_OF_SCOPE
from tests.bench.datasets import DataSet, few, hold_out

SIZES = {"card": 40, "loan": 30, "rare": 3, OUT_OF_SCOPE: 20}
ROWS = [Example(f"{route} {number}", route) for number in range(40) for route, size in SIZES.items() if number < size]
DATA = DataSet(ROWS, ROWS[:7], ROWS[7:])


def test_rows_of_a_seed_are_the_same_each_time_and_others_with_another() -> None:
    assert few(DATA, 5, seed=1) == few(DATA, 5, seed=1)
    assert few(DATA, 5, seed=1) != few(DATA, 5, seed=2)


@pytest.mark.parametrize("shots", [1, 5, 20])
def test_each_route_gives_as_many_or_all_it_has_and_nothing_is_out_of_scope(shots: int) -> None:
    chosen = few(DATA, shots, seed=0).train
    assert Counter(row.route for row in chosen) == {"card": shots, "loan": shots, "rare": min(shots, 3)}
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(ROWS)


def test_more_examples_hold_the_fewer() -> None:
    assert set(few(DATA, 5, seed=3).train) < set(few(DATA, 10, seed=3).train)


def test_few_examples_leave_none_to_validate_on_and_the_test_as_it_was() -> None:
    assert few(DATA, 5, seed=0).validation is None
    assert few(DATA, 5, seed=0).test == DATA.test


def test_a_share_of_each_route_is_held_out_and_nothing_is_lost() -> None:
    kept, held = hold_out(ROWS, 0.2, seed=0)
    assert sorted(kept + held) == sorted(ROWS)
    assert Counter(row.route for row in held) == {"card": 8, "loan": 6, "rare": 1, OUT_OF_SCOPE: 4}
    assert hold_out(ROWS, 0.2, seed=0) == (kept, held)


def test_an_only_row_is_not_held_out() -> None:
    only = [Example("a", "card")]
    assert hold_out(only, 0.2, seed=0) == (only, [])
