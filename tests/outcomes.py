"""Models of an outcome as somebody else would bring them: linear ones, in a graph of two nodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path


def outcome_graph(features: dict[str, float], *, columns: int = 1, metadata: str | None = None) -> bytes:
    """The weighted sum of its features; of several columns the last one, the others are its opposite."""
    weights = np.array([*features.values()], np.float32)[:, None]
    table = np.hstack([-weights] * (columns - 1) + [weights])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["score"])],
        "outcome",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["pairs", len(features)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["pairs", columns])],
        [numpy_helper.from_array(table, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    helper.set_model_props(model, {"features": json.dumps([*features]) if metadata is None else metadata})
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def write_outcome(path: Path, features: dict[str, float], *, columns: int = 1, metadata: str | None = None) -> Path:
    path.write_bytes(outcome_graph(features, columns=columns, metadata=metadata))
    return path
