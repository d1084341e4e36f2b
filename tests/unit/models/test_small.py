"""The rung `small`: what is said of a row never comes from who has learned from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models import small
from models.small import train_small
from models.table import Table, fit
from models.task import make_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from scipy import sparse

    from models.table import Rows, Settings


def _silent(_done: int, _total: int) -> None:
    pass


def test_figures_are_of_rows_that_were_not_learned_from(
    examples: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    logits = Table.logits
    learned: dict[int, set[bytes]] = {}  # by the head, which rounding leaves as it is
    tables = []  # keeps them: an id may be used again

    def keys(counts: sparse.csr_matrix) -> set[bytes]:
        return {row.indices.tobytes() + row.data.tobytes() for row in counts}

    def note_fit(
        rows: Rows, labels: int, settings: Settings, rng: np.random.Generator, steps: Callable[[int, int], None]
    ) -> Table:
        table = fit(rows, labels, settings, rng, steps)
        tables.append(table)
        learned[id(table.head)] = keys(rows.counts)
        return table

    asked: list[int] = []

    def note_logits(table: Table, counts: sparse.csr_matrix) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        assert not learned[id(table.head)] & keys(counts)
        asked.append(counts.shape[0])
        return logits(table, counts)

    monkeypatch.setattr(small, "fit", note_fit)
    monkeypatch.setattr(Table, "logits", note_logits)
    task = make_task(examples, None, 0)
    trained = train_small(task, _silent)
    assert len(tables) == 6
    assert len(learned[id(trained.table.head)]) == len(examples)
    assert sum(asked) == 2 * len(examples)  # as int8 and as float32
    assert trained.held_out.truth.tolist() == task.truth[task.split.asked].tolist()


def test_rows_given_to_check_with_are_asked_of_what_is_served(examples: list[tuple[str, str]], quick: None) -> None:
    task = make_task(examples[::2], examples[1::2], 0)
    trained = train_small(task, _silent)
    texts = [text for text, _ in examples[1::2]]
    assert trained.held_out.int8 == pytest.approx(trained.logits(texts), abs=1e-5)
    assert trained.held_out.fp32 != pytest.approx(trained.held_out.int8, abs=1e-5)
    assert trained.held_out.fp32 == pytest.approx(trained.held_out.int8, abs=0.5)
