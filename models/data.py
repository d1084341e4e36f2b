"""Labelled texts from CSV files."""

from __future__ import annotations

import csv
import hashlib
from typing import TYPE_CHECKING, NamedTuple

from models.columns import Column, Value, parse
from models.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_MAX_FIELD_CHARS = 65_536  # four times the longest text the server takes; a lost quote makes fields longer than that


class Example(NamedTuple):
    """A text, the route it belongs to, and the values of the declared columns; none where nothing is known."""

    text: str
    route: str
    values: tuple[Value, ...] = ()


Row = tuple[str, str] | Example
"""What a caller may give as an example."""


def read_csv(
    path: Path, text_column: str = "text", route_column: str = "route", columns: Sequence[Column] = ()
) -> list[Example]:
    """Rows of a UTF-8 CSV file with a header, in their order.

    Raises: DataError, naming file, line and column: unreadable, a column, a text or a route is missing, a value is no
        number where one is declared, a field is too long.
    """
    csv.field_size_limit(_MAX_FIELD_CHARS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _rows(path, csv.DictReader(file, strict=True), text_column, route_column, columns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error


def _rows(
    path: Path, reader: csv.DictReader[str], text_column: str, route_column: str, columns: Sequence[Column]
) -> list[Example]:
    """The examples of an open file."""
    required = (text_column, route_column)
    examples = []
    try:
        for name in (*required, *(column.name for column in columns)):
            if name not in (reader.fieldnames or ()):
                found = ", ".join(reader.fieldnames or ()) or "none"
                raise DataError(f"{path}, line 1: no column {name!r}; there are: {found}")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            text, route = ((row[name] or "").strip() for name in required)
            for name, value in zip(required, (text, route), strict=True):
                if not value:
                    raise DataError(f"{where}, column {name!r}: empty")
            examples.append(Example(text, route, tuple(_value(column, row[column.name], where) for column in columns)))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + 1}: {error}") from error
    if not examples:
        raise DataError(f"{path}: no rows below the header")
    return examples


def _value(column: Column, cell: str | None, where: str) -> Value:
    try:
        return parse(column.kind, cell or "")
    except ValueError:
        raise DataError(f"{where}, column {column.name!r}: {cell!r} is no number") from None


def digest(examples: Iterable[Row]) -> str:
    """sha256 of the rows in their order."""
    total = hashlib.sha256()
    for row in examples:
        text, route, values = Example(*row)
        for value in (text, route, *map(repr, values)):
            encoded = value.encode("utf-8", "replace")
            total.update(len(encoded).to_bytes(8, "big") + encoded)
    return total.hexdigest()
