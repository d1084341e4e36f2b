"""A trained table as nodes of an ONNX graph: int8 to serve, float32 to compare with.

Weights are int8 with one scale a column, folded into the head, so the graph gathers int8 rows and sums them as
integers. Activations stay float: there is no scale that depends on the other texts of a batch, and the sums are exact.
The head stays float32 (30 to 60 kB): quantising its input on the fly ("dynamic int8") made a run slower, 16.7 µs
against 15.8, median of 20 interleaved blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.errors import QualityRefused
from models.graph import FLOAT
from models.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.graph import Graph

MAX_LOSS_SHARE = 0.005
"""int8 may be wrong on this share of the held-out rows more than float32, not more."""

_STEPS = 127  # symmetric: -128 is not used


def scales(table: Table) -> NDArray[np.float32]:
    """Step of each column of the table in int8. Shapes: -> float32[width]."""
    step: NDArray[np.float32] = np.abs(table.rows).max(axis=0) / np.float32(_STEPS)
    return np.maximum(step, np.float32(1e-12))


def rounded(table: Table) -> Table:
    """`table` with the values that its int8 graph computes with."""
    step = scales(table)
    return Table(rows=np.rint(table.rows / step) * step, head=table.head, bias=table.bias)


def check_loss(right_fp32: NDArray[np.bool_], right_int8: NDArray[np.bool_]) -> None:
    """Raises: QualityRefused: int8 is wrong more often than `MAX_LOSS_SHARE` and chance allow.

    Rounding changes some answers for the worse and some for the better; their difference is chance as long as it is
    within two standard deviations of a fair coin's.

    Shapes: bool[rows], whether each held-out row was answered right.
    """
    rows, changed = len(right_fp32), int((right_fp32 != right_int8).sum())
    lost = int(right_fp32.sum()) - int(right_int8.sum())
    allowed = max(MAX_LOSS_SHARE * rows, 2 * changed**0.5)
    if lost > allowed:
        raise QualityRefused(
            f"int8 loses {100 * lost / rows:.1f} points of accuracy on {rows} held-out rows;"
            f" at most {100 * allowed / rows:.1f} are allowed"
        )


def add(graph: Graph, table: Table, *, int8: bool) -> str:
    """Add `table`, rounded to int8 or whole. Returns: the logits, float32[texts, labels]."""
    return (_add_int8 if int8 else _add_fp32)(graph, table)


def _add_int8(graph: Graph, table: Table) -> str:
    step = scales(table)
    gathered = graph.node("Gather", graph.constant(np.rint(table.rows / step).astype(np.int8)), "ids")
    sums = graph.node("Cast", graph.node("MatMulInteger", "member", gathered), to=FLOAT)
    return _add_head(graph, sums, (step[:, None] * table.head).astype(np.float32), table.bias)


def _add_fp32(graph: Graph, table: Table) -> str:
    gathered = graph.node("Gather", graph.constant(table.rows), "ids")
    sums = graph.node("MatMul", graph.node("Cast", "member", to=FLOAT), gathered)
    return _add_head(graph, sums, table.head, table.bias)


def _add_head(graph: Graph, sums: str, head: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
    """Sums of rows, over the root of their number, through the head."""
    hidden = graph.node("Div", sums, "length")
    return graph.node("Gemm", hidden, graph.constant(head), graph.constant(bias))
