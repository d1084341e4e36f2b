"""What is to be learned: texts, their labels, and which rows check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models import errors
from models.columns import Column, Value, aligned, learn
from models.data import Example, Row
from models.evaluate import truth_of
from models.spec import OUT_OF_SCOPE, ColumnSpec
from models.split import Split, split_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

Progress = Callable[[str, int, int], None]
"""Called with a stage, steps done and steps in all."""
Steps = Callable[[int, int], None]

_MIN_PER_ROUTE = 2  # one to learn from, one to check with


class Task(NamedTuple):
    """Rows to learn from and to check with. Shapes: truth: int64[texts], -1 for what no label stands for.

    `columns` are those that some row has a value of, `values` each row's values of them.
    """

    labels: tuple[str, ...]
    texts: list[str]
    truth: NDArray[np.int64]
    split: Split
    seed: int
    columns: tuple[ColumnSpec, ...]
    values: list[tuple[Value, ...]]


def make_task(
    examples: Sequence[Row], validation: Sequence[Row] | None, seed: int, columns: Sequence[Column] = ()
) -> Task:
    """Number the labels and hold rows out; all of `validation`, where it is given. Raises: DataError."""
    labels = labels_of(examples)
    rows = [Example(*row) for row in (*examples, *(validation or ()))]
    truth = truth_of([row.route for row in rows], labels)
    split = split_rows(truth, len(validation or ()), np.random.default_rng(seed))
    specs = learn(columns, [row.values for row in rows])
    known = {column: spec for column, spec in zip(columns, specs, strict=True) if spec is not None}
    values = [aligned(row.values, columns, tuple(known)) for row in rows]
    return Task(labels, [row.text for row in rows], truth, split, seed, tuple(known.values()), values)


def labels_of(examples: Sequence[Row]) -> tuple[str, ...]:
    """Sorted labels. Raises: DataError: there is nothing to choose from, or nothing to check with."""
    number = Counter(route for _, route, *_ in examples)
    routes = sorted(number.keys() - {OUT_OF_SCOPE})
    if len(routes) < 2:  # noqa: PLR2004
        raise errors.DataError(f"two routes or more are needed to train on; found: {', '.join(routes) or 'none'}")
    short = [label for label in sorted(number) if number[label] < _MIN_PER_ROUTE]
    if short:
        raise errors.DataError(
            f"{_MIN_PER_ROUTE} examples or more are needed of each route; add some of: {', '.join(short)}"
        )
    return tuple(sorted(number))
