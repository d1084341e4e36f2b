"""What is known beside a text (channel, cart value, hour), as numbers that join in the scoring."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from models.features import normalise
from models.spec import ColumnSpec, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Value = float | str | None
"""A number, a word, or nothing known. What is missing adds nothing to a score: the text decides alone."""

_MAX_WORDS = 32  # of a category; rarer ones share a place
_MAX_WORD_CHARS = 64
_FARTHEST = 5.0  # spreads from the mean; a price a thousand times the usual one must not drown the text
_LARGEST = 1e30  # what is beyond is no measurement, and would not fit a float32
_NO_SPREAD = 1e-9  # of the mean: rounding errors of equal numbers
_TAIL = 0.01  # of the numbers on either side, cut to the next one before mean and spread are taken


class Column(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value beside the text, as it is declared: where it comes from, and how to read it."""

    name: str
    kind: Kind = "category"


def declared(columns: Sequence[ColumnSpec]) -> tuple[Column, ...]:
    """What was declared for the columns of a rung."""
    return tuple(Column(name=column.name, kind=column.kind) for column in columns)


def read(kind: Kind, raw: Any) -> Value:  # noqa: ANN401 - whatever a client sends
    """A value of that kind; of another kind, or none at all, it is missing.

    Truth is the number 1 or 0, or the word `true` or `false`; a number may be a word: 7 is `7`.
    """
    if kind == "number":
        return float(raw) if isinstance(raw, int | float) and -_LARGEST <= raw <= _LARGEST else None
    match raw:
        case str():
            return raw[:_MAX_WORD_CHARS]
        case bool():
            return str(raw)
        case int() | float() if -_LARGEST <= raw <= _LARGEST:
            return str(int(raw) if raw == int(raw) else raw)
        case _:
            return None


def parse(kind: Kind, cell: str) -> Value:
    """A value as a CSV file has it; an empty one is missing. Raises: ValueError: no number where one is declared."""
    cell = cell.strip()
    if not cell:
        return None
    if kind == "category":
        return read(kind, cell)
    truth = {"true": 1.0, "false": 0.0}.get(cell.lower())
    value = read(kind, float(cell)) if truth is None else truth
    if value is None:
        raise ValueError(cell)
    return value


def learn(columns: Sequence[Column], rows: Sequence[tuple[Value, ...]]) -> list[ColumnSpec | None]:
    """How to encode each column, from the values of `rows` in the same order; None where no row has one."""
    by_column = zip(*(row for row in rows if row), strict=True)
    specs: list[ColumnSpec | None] = [None] * len(columns)
    for at, (column, values) in enumerate(zip(columns, by_column, strict=False)):
        if column.kind == "number":
            numbers = np.array([value for value in values if isinstance(value, int | float)], np.float64)
            specs[at] = _learn_number(column.name, numbers) if len(numbers) else None
        else:
            words = Counter(filter(None, (normalise(value) for value in values if isinstance(value, str))))
            frequent = tuple(sorted(words, key=lambda word: (-words[word], word))[:_MAX_WORDS])
            specs[at] = ColumnSpec(name=column.name, words=frequent) if frequent else None
    return specs


def encode(columns: Sequence[ColumnSpec], rows: Sequence[tuple[Value, ...]]) -> NDArray[np.float32]:
    """Values as the graph reads them; one of the wrong kind counts as missing, and so do all of an empty row.

    Shapes: rows: at least one, of a value for each column -> float32[rows, values], as wide as the columns together.
    """
    return np.array([_encode(columns, values) for values in rows], np.float32)


def _encode(columns: Sequence[ColumnSpec], values: tuple[Value, ...]) -> list[float]:
    encoded: list[float] = []
    for column, value in zip(columns, values or (None,) * len(columns), strict=True):
        if column.words is None:
            is_known = isinstance(value, int | float) and -_LARGEST <= value <= _LARGEST
            encoded.append(_distance(column, value) if is_known else 0.0)  # type: ignore[arg-type] # it is a number
        else:
            places = [0.0] * (len(column.words) + 1)
            if isinstance(value, str) and (word := normalise(value)):
                places[column.words.index(word) if word in column.words else -1] = 1.0
            encoded += places
    return encoded


def _distance(column: ColumnSpec, value: float) -> float:
    return min(max((value - column.mean) / column.spread, -_FARTHEST), _FARTHEST)


def aligned(values: tuple[Value, ...], columns: Sequence[Column], wanted: Sequence[Column]) -> tuple[Value, ...]:
    """The values of `columns` in the order of `wanted`; what is not among them is missing."""
    known = dict(zip(columns, values, strict=False))
    return tuple(known.get(column) for column in wanted)


def _learn_number(name: str, numbers: NDArray[np.float64]) -> ColumnSpec:
    usual = np.clip(numbers, *np.quantile(numbers, (_TAIL, 1 - _TAIL)))
    mean, spread = float(usual.mean()), float(usual.std())
    return ColumnSpec(name=name, mean=mean, spread=spread if spread > _NO_SPREAD * abs(mean) else 1.0)
