"""A trained table as an ONNX graph: int8 to serve, float32 to compare with.

Weights are int8 with one scale a column, folded into the head, so the graph gathers int8 rows and sums them as
integers. Activations stay float: there is no scale that depends on the other texts of a batch, and the sums are exact.
The head stays float32 (30 to 60 kB): quantising its input on the fly ("dynamic int8") made a run slower, 16.7 µs
against 15.8, median of 20 interleaved blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.errors import QualityRefused
from models.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_LOSS_SHARE = 0.005
"""int8 may be wrong on this share of the held-out rows more than float32, not more."""

_NOISE_ROWS = 2.5  # on a few hundred rows two more mistakes are chance, and would be over the share
_OPSET, _IR = 21, 10
_STEPS = 127  # symmetric: -128 is not used


def scales(table: Table) -> NDArray[np.float32]:
    """Step of each column of the table in int8. Shapes: -> float32[width]."""
    step: NDArray[np.float32] = np.abs(table.rows).max(axis=0) / np.float32(_STEPS)
    return np.maximum(step, np.float32(1e-12))


def rounded(table: Table) -> Table:
    """`table` with the values that its int8 graph computes with."""
    step = scales(table)
    return Table(rows=np.rint(table.rows / step) * step, head=table.head, bias=table.bias)


def check_loss(accuracy_fp32: float, accuracy_int8: float, rows: int) -> None:
    """Raises: QualityRefused: int8 is wrong more often on `rows` rows than `MAX_LOSS_SHARE` and chance allow."""
    lost, allowed = accuracy_fp32 - accuracy_int8, max(MAX_LOSS_SHARE, _NOISE_ROWS / rows)
    if lost > allowed:
        raise QualityRefused(
            f"int8 loses {100 * lost:.1f} points of accuracy on {rows} held-out rows;"
            f" at most {100 * allowed:.1f} are allowed"
        )


def write_int8(table: Table, path: Path) -> None:
    """Write the graph that is served."""
    step = scales(table)
    rows = np.rint(table.rows / step).astype(np.int8)
    sums = [
        helper.make_node("Gather", ["rows", "ids"], ["gathered"]),
        helper.make_node("MatMulInteger", ["member", "gathered"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["sums"], to=TensorProto.FLOAT),
    ]
    _write(path, rows, (step[:, None] * table.head).astype(np.float32), table.bias, sums)


def write_fp32(table: Table, path: Path) -> None:
    """Write the same graph with float32 weights."""
    sums = [
        helper.make_node("Gather", ["rows", "ids"], ["gathered"]),
        helper.make_node("Cast", ["member"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["weights", "gathered"], ["sums"]),
    ]
    _write(path, table.rows, table.head, table.bias, sums)


def _write(
    path: Path,
    rows: NDArray[np.int8] | NDArray[np.float32],
    head: NDArray[np.float32],
    bias: NDArray[np.float32],
    sums: list[onnx.NodeProto],
) -> None:
    """Sums of rows, over the root of their number, through the head."""
    nodes = [
        *sums,
        helper.make_node("Div", ["sums", "length"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "head", "bias"], ["logits"]),
    ]
    weights = {"rows": rows, "head": head, "bias": bias}
    graph = helper.make_graph(
        nodes,
        "rung",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT32, ["n"]),
            helper.make_tensor_value_info("member", TensorProto.UINT8, ["texts", "n"]),
            helper.make_tensor_value_info("length", TensorProto.FLOAT, ["texts", 1]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", len(bias)])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
