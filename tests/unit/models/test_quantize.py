"""The graphs, against the arithmetic they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from models import quantize
from models.errors import QualityRefused
from models.session import Session
from models.table import Table

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def table() -> Table:
    rng = np.random.default_rng(2)
    return Table(
        rows=rng.normal(size=(256, 8)).astype(np.float32),
        head=rng.normal(size=(8, 5)).astype(np.float32),
        bias=rng.normal(size=5).astype(np.float32),
    )


_IDS = np.array([3, 200, 3, 17, 255], np.int32)


def _session(path: Path) -> Session:
    return Session(path, path.read_bytes())


def _by_hand(table: Table) -> list[float]:
    hidden = table.rows[_IDS].sum(axis=0) / np.sqrt(len(_IDS))
    logits: list[float] = (hidden @ table.head + table.bias).tolist()
    return logits


def test_fp32_computes_the_table(table: Table, tmp_path: Path) -> None:
    quantize.write_fp32(table, tmp_path / "graph")
    assert _session(tmp_path / "graph").run(_IDS) == pytest.approx(_by_hand(table), abs=1e-5)


def test_int8_computes_the_rounded_table(table: Table, tmp_path: Path) -> None:
    quantize.write_int8(table, tmp_path / "graph")
    logits = _session(tmp_path / "graph").run(_IDS)
    assert logits == pytest.approx(_by_hand(quantize.rounded(table)), abs=1e-5)
    assert logits != pytest.approx(_by_hand(table), abs=1e-5)
    assert logits == pytest.approx(_by_hand(table), abs=0.1)


def test_the_sum_of_int8_rows_does_not_overflow(table: Table, tmp_path: Path) -> None:
    table.rows[7] = np.abs(table.rows).max(axis=0)
    quantize.write_int8(table, tmp_path / "graph")
    many = np.full(10_000, 7, np.int32)
    expected = table.rows[7] * 100 @ table.head + table.bias
    assert _session(tmp_path / "graph").run(many) == pytest.approx(expected, rel=1e-4, abs=1e-2)


def test_the_table_is_int8_in_the_file(table: Table, tmp_path: Path) -> None:
    quantize.write_int8(table, tmp_path / "graph")
    graph = onnx.load(tmp_path / "graph").graph
    types = {each.name: each.data_type for each in graph.initializer}
    assert types["rows"] == onnx.TensorProto.INT8
    assert graph.initializer[0].dims == [256, 8]


def test_rounding_an_empty_column_is_no_division_by_zero(table: Table) -> None:
    table.rows[:, 2] = 0
    assert (quantize.rounded(table).rows[:, 2] == 0).all()


def test_a_loss_is_refused() -> None:
    quantize.check_loss(0.90, 0.8951, rows=10_000)
    with pytest.raises(QualityRefused, match=r"loses 0\.6 points of accuracy on 10000 held-out rows; .* 0\.5 are"):
        quantize.check_loss(0.90, 0.894, rows=10_000)


def test_chance_on_few_rows_is_not() -> None:
    quantize.check_loss(0.90, 0.88, rows=100)
    with pytest.raises(QualityRefused, match=r"loses 3\.0 points of accuracy on 100 held-out rows; at most 2\.5 are"):
        quantize.check_loss(0.90, 0.87, rows=100)
