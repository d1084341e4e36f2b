"""Reading CSV files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.data import Example, digest, read_csv
from models.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


def test_rows_in_their_order(path: Path) -> None:
    path.write_bytes('\ufefftext,route\n"lost, really\nlost",card\nüber,transfer\n'.encode())
    assert read_csv(path) == [Example("lost, really\nlost", "card"), Example("über", "transfer")]


def test_other_columns(path: Path) -> None:
    path.write_text("id,category,utterance\n1,card,lost\n")
    assert read_csv(path, text_column="utterance", route_column="category") == [Example("lost", "card")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,category\na,b\n", "line 1: no column 'route'; there are: text, category"),
        (b"", "line 1: no column 'text'; there are: none"),
        (b"text,route\n", "no rows below the header"),
        (b"text,route\na,b\n ,c\n", "line 3, column 'text': empty"),
        (b"text,route\na,b\nc\n", "line 3, column 'route': empty"),
        (b"text,route\n\xff\xfe,b\n", "not UTF-8 at byte 11"),
        (b'text,route\n"a"b,c\n', "line 2: "),
        (b'text,route\n"' + b"a" * 70_000 + b'",b\n', "field larger than field limit"),
    ],
)
def test_errors_name_the_place(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_file(path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.csv: cannot be read \(No such file"):
        read_csv(path)


def test_the_digest_tells_where_a_value_ends() -> None:
    assert digest([("ab", "c")]) != digest([("a", "bc")])
    assert digest([("a", "b")]) == digest([("a", "b")])
