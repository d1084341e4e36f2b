"""Labelled texts from CSV files."""

from __future__ import annotations

import csv
import hashlib
from typing import TYPE_CHECKING, NamedTuple

from models.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MAX_FIELD_CHARS = 65_536  # four times the longest text the server takes; a lost quote makes fields longer than that


class Example(NamedTuple):
    """A text and the route it belongs to."""

    text: str
    route: str


def read_csv(path: Path, text_column: str = "text", route_column: str = "route") -> list[Example]:
    """Rows of a UTF-8 CSV file with a header, in their order.

    Raises: DataError, naming file, line and column: unreadable, a column or a value is missing, a field too long.
    """
    csv.field_size_limit(_MAX_FIELD_CHARS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _rows(path, csv.DictReader(file, strict=True), text_column, route_column)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error


def _rows(path: Path, reader: csv.DictReader[str], text_column: str, route_column: str) -> list[Example]:
    """The examples of an open file."""
    columns = (text_column, route_column)
    examples = []
    try:
        for column in columns:
            if column not in (reader.fieldnames or ()):
                found = ", ".join(reader.fieldnames or ()) or "none"
                raise DataError(f"{path}, line 1: no column {column!r}; there are: {found}")
        for row in reader:
            text, route = ((row[column] or "").strip() for column in columns)
            for column, value in zip(columns, (text, route), strict=True):
                if not value:
                    raise DataError(f"{path}, line {reader.line_num}, column {column!r}: empty")
            examples.append(Example(text, route))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + 1}: {error}") from error
    if not examples:
        raise DataError(f"{path}: no rows below the header")
    return examples


def digest(examples: Iterable[tuple[str, str]]) -> str:
    """sha256 of the rows in their order."""
    total = hashlib.sha256()
    for text, route in examples:
        for value in (text, route):
            encoded = value.encode("utf-8", "replace")
            total.update(len(encoded).to_bytes(8, "big") + encoded)
    return total.hexdigest()
