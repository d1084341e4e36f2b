"""The door to onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from models.encoder.linear import Int8, Ranges
from models.errors import BadFile, RunFailed
from models.graph import TEXTS, Graph
from models.session import CPU, Port, Session, missing_providers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def opened(path: Path) -> Session:
    return Session(path, path.read_bytes())


def _feeds(*ids: int) -> dict[str, NDArray[Any]]:
    return {
        "ids": np.array(ids, np.int32),
        "member": np.ones((1, len(ids)), np.uint8),
        "length": np.array([[np.sqrt(len(ids))]], np.float32),
    }


def test_one_text_gives_one_score_a_label(trained: Path) -> None:
    (logits,) = opened(trained / "small.onnx").run(_feeds(1, 2, 3))
    assert logits.shape == (1, 4)
    assert logits.dtype == np.float32


def test_inputs_and_outputs_are_told_as_the_graph_declares_them(trained: Path) -> None:
    session = opened(trained / "small.onnx")
    assert session.inputs == {
        "ids": Port("tensor(int32)", ("n",)),
        "member": Port("tensor(uint8)", ("texts", "n")),
        "length": Port("tensor(float)", ("texts", 1)),
    }
    assert session.outputs == {"logits": Port("tensor(float)", ("texts", 4))}


def test_ids_beyond_the_table_are_an_error_of_ours(trained: Path) -> None:
    with pytest.raises(RunFailed, match="inference failed"):
        opened(trained / "small.onnx").run(_feeds(1 << 30))


def test_a_missing_input_is_an_error_of_ours(trained: Path) -> None:
    with pytest.raises(RunFailed, match="inference failed"):
        opened(trained / "small.onnx").run({"ids": np.array([1], np.int32)})


def test_half_a_file(models_dir: Path) -> None:
    path = models_dir / "small.onnx"
    path.write_bytes(path.read_bytes()[:1_000])
    with pytest.raises(BadFile, match="not a graph that can be run"):
        opened(path)


def test_providers_that_are_not_here_are_told() -> None:
    missing, available = missing_providers(["CUDAExecutionProvider", "NoSuchProvider", *CPU])
    assert "NoSuchProvider" in missing
    assert CPU[0] not in missing
    assert set(CPU) <= set(available)


def test_products_of_int8_do_not_overflow_in_pairs(tmp_path: Path) -> None:
    """Processors without VNNI add pairs of products in 16 bits, where these would be cut to 32,767."""
    graph = Graph()
    linear = Int8({"layer": Ranges(64)})
    linear._ranges["layer"].observe(np.ones((1, 64), np.float32))
    weights, x = np.ones((64, 3), np.float32), np.ones((2, 64), np.float32)
    session = _layer(graph, linear, weights, tmp_path)
    assert session.run({"columns": x})[0] == pytest.approx(linear.compute("layer", x, weights, np.zeros(3, np.float32)))
    assert session.run({"columns": x})[0] == pytest.approx(np.full((2, 3), 64.0), rel=0.01)


def _layer(graph: Graph, linear: Int8, weights: NDArray[np.float32], folder: Path) -> Session:
    out = linear.add(graph, "layer", "columns", weights, np.zeros(weights.shape[1], np.float32))
    content = graph.finish({"out": (out, (TEXTS, weights.shape[1]))})
    return Session(folder / "graph", content)
