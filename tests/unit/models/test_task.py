"""What is to be learned, numbered."""

from __future__ import annotations

import pytest

from models.errors import DataError
from models.task import labels_of, make_task

_ROWS = [("one", "b"), ("two", "a"), ("three", "b"), ("four", "a")]


def test_rows_are_numbered_by_sorted_labels() -> None:
    task = make_task([*_ROWS, ("x", "oos"), ("y", "oos")], None, 3)
    assert task.labels == ("a", "b", "oos")
    assert task.texts == ["one", "two", "three", "four", "x", "y"]
    assert task.truth.tolist() == [1, 0, 1, 0, 2, 2]
    assert task.seed == 3
    assert task.split.final.all()


def test_rows_to_check_with_come_last_and_are_not_learned_from() -> None:
    task = make_task(_ROWS, [("five", "a"), ("six", "oos")], 0)
    assert task.labels == ("a", "b")
    assert task.truth.tolist() == [1, 0, 1, 0, 0, -1]
    assert task.split.final.tolist() == [True] * 4 + [False] * 2


def test_the_seed_decides_what_is_held_out() -> None:
    rows = [(f"text {number}", "ab"[number % 2]) for number in range(40)]
    first, again, other = (make_task(rows, None, seed).split.asked.tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_a_route_to_check_with_that_nobody_taught_is_named() -> None:
    with pytest.raises(DataError, match="row 5: route 'c' is none of the 2"):
        make_task(_ROWS, [("five", "c")], 0)


def test_out_of_scope_is_a_label_only_where_it_is_taught() -> None:
    assert labels_of(_ROWS) == ("a", "b")
    with pytest.raises(DataError, match="add some of: oos"):
        labels_of([*_ROWS, ("x", "oos")])
