"""The graphs, against the arithmetic they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from models import quantize
from models.errors import QualityRefused
from models.graph import TEXTS, Graph
from models.session import Session
from models.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


@pytest.fixture
def table() -> Table:
    rng = np.random.default_rng(2)
    return Table(
        rows=rng.normal(size=(256, 8)).astype(np.float32),
        head=rng.normal(size=(8, 5)).astype(np.float32),
        bias=rng.normal(size=5).astype(np.float32),
    )


_IDS = np.array([3, 200, 3, 17, 255], np.int32)


def _content(table: Table, *, int8: bool) -> bytes:
    graph = Graph()
    return graph.finish({"logits": (quantize.add(graph, table, int8=int8), (TEXTS, len(table.bias)))})


def _run(table: Table, *texts: NDArray[np.int32], int8: bool) -> NDArray[np.float32]:
    """Logits of `texts`, asked in one call."""
    lengths = np.array([len(ids) for ids in texts])
    member = np.repeat(np.arange(len(texts)), lengths) == np.arange(len(texts))[:, None]
    feeds = {
        "ids": np.concatenate(texts),
        "member": member.astype(np.uint8),
        "length": np.sqrt(lengths[:, None]).astype(np.float32),
    }
    (logits,) = Session(Path("table.onnx"), _content(table, int8=int8)).run(feeds)
    return logits


def _by_hand(table: Table, ids: NDArray[np.int32] = _IDS) -> NDArray[np.float32]:
    hidden = table.rows[ids].sum(axis=0) / np.sqrt(np.float32(len(ids)))
    logits: NDArray[np.float32] = hidden @ table.head + table.bias
    return logits


def test_fp32_computes_the_table(table: Table) -> None:
    assert _run(table, _IDS, int8=False)[0] == pytest.approx(_by_hand(table), abs=1e-5)


def test_int8_computes_the_rounded_table(table: Table) -> None:
    logits = _run(table, _IDS, int8=True)[0]
    assert logits == pytest.approx(_by_hand(quantize.rounded(table)), abs=1e-5)
    assert logits != pytest.approx(_by_hand(table), abs=1e-5)
    assert logits == pytest.approx(_by_hand(table), abs=0.1)


def test_texts_that_share_a_call_keep_their_answers(table: Table) -> None:
    texts = (_IDS, np.array([5], np.int32), np.arange(100, dtype=np.int32), _IDS[:2])
    together = _run(table, *texts, int8=True)
    assert together == pytest.approx(np.concatenate([_run(table, ids, int8=True) for ids in texts]), abs=1e-6)
    assert together[2] == pytest.approx(_by_hand(quantize.rounded(table), texts[2]), abs=1e-5)


def test_the_sum_of_int8_rows_does_not_overflow(table: Table) -> None:
    table.rows[7] = np.abs(table.rows).max(axis=0)
    expected = table.rows[7] * 100 @ table.head + table.bias
    assert _run(table, np.full(10_000, 7, np.int32), int8=True)[0] == pytest.approx(expected, rel=1e-4, abs=1e-2)


def test_the_table_is_int8_in_the_file(table: Table) -> None:
    for int8, kind in ((True, onnx.TensorProto.INT8), (False, onnx.TensorProto.FLOAT)):
        graph = onnx.load_from_string(_content(table, int8=int8)).graph
        assert [each.data_type for each in graph.initializer if each.dims == [256, 8]] == [kind]


def test_rounding_an_empty_column_is_no_division_by_zero(table: Table) -> None:
    table.rows[:, 2] = 0
    assert (quantize.rounded(table).rows[:, 2] == 0).all()


def _right(*, both: int, lost: int = 0, gained: int = 0, neither: int = 0) -> tuple[Mask, Mask]:
    """Which rows float32 and int8 answer right, by how many there are of each kind."""
    fp32 = np.repeat([True, True, False, False], [both, lost, gained, neither])
    int8 = np.repeat([True, False, True, False], [both, lost, gained, neither])
    return fp32, int8


def test_a_loss_is_refused() -> None:
    quantize.check_loss(*_right(both=8_950, lost=50, neither=1_000))
    with pytest.raises(QualityRefused, match=r"loses 0\.6 points of accuracy on 10000 held-out rows; .* 0\.5 are"):
        quantize.check_loss(*_right(both=8_940, lost=60, neither=1_000))


def test_chance_on_few_rows_is_not() -> None:
    quantize.check_loss(*_right(both=96, lost=4))  # 4 of 4 coins: two deviations
    with pytest.raises(QualityRefused, match=r"loses 5\.0 points of accuracy on 100 held-out rows; at most 4\.5 are"):
        quantize.check_loss(*_right(both=95, lost=5))


def test_more_answers_that_change_leave_more_to_chance() -> None:
    quantize.check_loss(*_right(both=180, lost=12, gained=4, neither=4))  # 8 lost in all, of 16 coins
    with pytest.raises(QualityRefused, match=r"loses 4\.0 points of accuracy on 200 held-out rows; at most 2\.8 are"):
        quantize.check_loss(*_right(both=188, lost=8, neither=4))


def test_answers_that_change_and_stay_wrong_or_get_right_cost_nothing() -> None:
    quantize.check_loss(*_right(both=0, neither=50))
    quantize.check_loss(*_right(both=10, gained=40))
    quantize.check_loss(*_right(both=10, lost=20, gained=20))
