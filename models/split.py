"""Which rows a rung learns from and which it is asked about, so that every figure is of rows it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Steps = Callable[[int, int], None]

_HELD_OUT_SHARE = 0.1
_SMALL_ROWS = 2_000  # below this a tenth is too few to calibrate on: five folds, so that every row is held out once
_FOLDS = 5


class Part(NamedTuple):
    """One training that checks: rows to learn from, rows to be asked about."""

    learn: Mask
    ask: Mask


class Split(NamedTuple):
    """The trainings that check, and the rows that what is served learns from."""

    parts: list[Part]
    final: Mask

    @property
    def asked(self) -> NDArray[np.int64]:
        """Rows that are asked about, in the order of the parts."""
        return np.concatenate([np.flatnonzero(part.ask) for part in self.parts])

    @property
    def trainings(self) -> int:
        """How many there are, the last included."""
        return len(self.parts) + (not self.is_checked_as_served)

    @property
    def is_checked_as_served(self) -> bool:
        """Whether the first part learns from all that what is served learns from: then it is what is served."""
        return bool((self.parts[0].learn == self.final).all())


def split_rows(truth: NDArray[np.int64], validation: int, rng: np.random.Generator) -> Split:
    """The last `validation` rows check, if there are any; else rows are held out, alike for all labels.

    Of many rows a tenth is held out once; of few, each fifth in turn.
    """
    rows = len(truth)
    if validation:
        ask = np.arange(rows) >= rows - validation
        return Split([Part(~ask, ask)], ~ask)
    folds, kept = (_FOLDS, _FOLDS) if rows < _SMALL_ROWS else (round(1 / _HELD_OUT_SHARE), 1)
    fold = np.empty(rows, np.int64)
    for label in np.unique(truth):
        of_label = np.flatnonzero(truth == label)
        fold[of_label] = (rng.permutation(len(of_label)) + rng.integers(folds)) % folds
    parts = [Part(fold != number, fold == number) for number in range(kept) if (fold == number).any()]
    return Split(parts, np.ones(rows, bool))


def report_part(progress: Steps, number: int, parts: int) -> Steps:
    """A progress of all parts, for one of them."""

    def report(done: int, total: int) -> None:
        progress(number * total + done, parts * total)

    return report
