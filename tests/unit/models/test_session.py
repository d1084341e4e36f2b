"""The door to onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.errors import BadFile, RunFailed
from models.session import Session

if TYPE_CHECKING:
    from pathlib import Path


def opened(path: Path) -> Session:
    return Session(path, path.read_bytes())


def test_one_text_gives_one_score_a_label(trained: Path) -> None:
    session = opened(trained / "small.onnx")
    logits = session.run(np.array([1, 2, 3], np.int32))
    assert logits.shape == (session.labels,) == (4,)
    assert logits.dtype == np.float32


def test_ids_beyond_the_table_are_an_error_of_ours(trained: Path) -> None:
    with pytest.raises(RunFailed, match="inference failed"):
        opened(trained / "small.onnx").run(np.array([1 << 30], np.int32))


def test_half_a_file(models_dir: Path) -> None:
    path = models_dir / "small.onnx"
    path.write_bytes(path.read_bytes()[:1_000])
    with pytest.raises(BadFile, match="not a graph that can be run"):
        opened(path)


def test_another_graph(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "other", [value], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(BadFile, match="inputs"):
        opened(tmp_path / "other.onnx")
