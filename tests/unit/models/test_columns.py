"""What is known beside a text, from a client's JSON or a CSV file to the numbers that a graph is fed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.columns import Column, Value, aligned, declared, encode, learn, parse, read
from models.spec import ColumnSpec, Kind

CHANNEL = ColumnSpec(name="channel", words=("chat", "mail"))
VALUE = ColumnSpec(name="context.value", mean=10, spread=2)


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("number", 3, 3.0),
        ("number", 0.5, 0.5),
        ("number", True, 1.0),
        ("number", "3", None),
        ("number", None, None),
        ("number", float("nan"), None),
        ("number", float("-inf"), None),
        ("number", 10**400, None),
        ("number", [1], None),
        ("category", "Chat", "Chat"),
        ("category", "x" * 500, "x" * 64),
        ("category", False, "False"),
        ("category", 17, "17"),
        ("category", 17.0, "17"),
        ("category", 0.5, "0.5"),
        ("category", float("nan"), None),
        ("category", 10**400, None),
        ("category", {"a": 1}, None),
        ("category", None, None),
    ],
)
def test_a_value_of_a_kind_or_none(kind: Kind, raw: Any, value: Value) -> None:
    found = read(kind, raw)
    assert found == value
    assert type(found) is type(value)
    assert read(kind, found) == found


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("number", " 3.5 ", 3.5),
        ("number", "TRUE", 1.0),
        ("number", "false", 0.0),
        ("number", "", None),
        ("category", " mail ", "mail"),
        ("category", "", None),
    ],
)
def test_a_cell(kind: Kind, cell: str, value: Value) -> None:
    assert parse(kind, cell) == value


@pytest.mark.parametrize("cell", ["3,5", "nan", "inf", "1e99", "many"])
def test_a_cell_that_is_no_number(cell: str) -> None:
    with pytest.raises(ValueError, match=cell):
        parse("number", cell)


def test_truth_is_the_same_word_from_a_client_and_from_a_file() -> None:
    column = Column(name="context.vip")
    (spec,) = learn([column], [(parse("category", "true"),), (parse("category", "false"),)])
    assert spec is not None
    from_client = encode([spec], [(read("category", True),)])
    assert from_client.tolist() == encode([spec], [(parse("category", "true"),)]).tolist()
    assert from_client.sum() == 1


def test_numbers_are_distances_and_words_are_places() -> None:
    rows: list[tuple[Value, ...]] = [("mail", 14.0), ("CHAT ", 10.0), ("fax", 6.0), ("chat", 1_000.0), ("chat", -1e29)]
    encoded = encode((CHANNEL, VALUE), rows)
    assert encoded.dtype == np.float32
    assert encoded.tolist() == [[0, 1, 0, 2], [1, 0, 0, 0], [0, 0, 1, -2], [1, 0, 0, 5], [1, 0, 0, -5]]


@pytest.mark.parametrize("row", [(), (None, None), (3.0, "mail"), ("  ", float("nan")), ("", float("inf"))])
def test_what_is_missing_or_of_another_kind_is_nothing(row: tuple[Value, ...]) -> None:
    assert encode((CHANNEL, VALUE), [row]).tolist() == [[0, 0, 0, 0]]


def test_a_row_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        encode((CHANNEL, VALUE), [("chat",)])


def test_columns_are_learned_from_rows() -> None:
    columns = (Column(name="a"), Column(name="b", kind="number"), Column(name="c"), Column(name="d", kind="number"))
    rows: list[tuple[Value, ...]] = [
        ("Mail", 1.0, None, None),
        ("chat", 3.0, " ", None),
        ("mail", None, None, None),
        (),
    ]
    a, b, c, d = learn(columns, rows)
    assert a == ColumnSpec(name="a", words=("mail", "chat"))
    assert b is not None
    assert [b.mean, b.spread] == pytest.approx([2, 1], abs=0.05)
    assert c is None
    assert d is None
    assert learn(columns, [(), ()]) == [None] * 4


def test_one_number_out_of_all_bounds_does_not_hide_the_others() -> None:
    rows: list[tuple[Value, ...]] = [(float(number % 10),) for number in range(1_000)]
    (usual,) = learn([Column(name="v", kind="number")], rows)
    (wild,) = learn([Column(name="v", kind="number")], [*rows, (1e12,)])
    assert usual is not None
    assert wild is not None
    assert wild.spread == pytest.approx(usual.spread, rel=0.05)


def test_equal_numbers_have_no_spread_to_divide_by() -> None:
    (spec,) = learn([Column(name="v", kind="number")], [(0.1,)] * 30)
    assert spec is not None
    assert spec.spread == 1


def test_rare_words_share_a_place() -> None:
    rows: list[tuple[Value, ...]] = [(f"w{number:02}",) for number in range(40) for _ in range(100 - number)]
    (spec,) = learn([Column(name="shop")], rows)
    assert spec is not None
    assert spec.words == tuple(f"w{number:02}" for number in range(32))
    assert encode([spec], [("w32",)]).tolist() == encode([spec], [("never seen",)]).tolist()


def test_values_are_put_into_another_order() -> None:
    a, b, as_number = Column(name="a"), Column(name="b"), Column(name="a", kind="number")
    assert aligned(("x", "y"), (a, b), (b, a)) == ("y", "x")
    assert aligned(("x", "y"), (a, b), (as_number, b)) == (None, "y")
    assert aligned((), (a, b), (b,)) == (None,)


def test_what_was_declared_can_be_told_from_what_was_learned() -> None:
    assert declared((CHANNEL, VALUE)) == (Column(name="channel"), Column(name="context.value", kind="number"))
