"""Graphs, node by node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from models.graph import FLOAT, TEXTS, Graph
from models.session import Session


def _finished() -> bytes:
    graph = Graph()
    rows = graph.node("Gather", graph.constant(np.eye(3, dtype=np.float32)), "ids")
    sums = graph.node("MatMul", graph.node("Cast", "member", to=FLOAT), rows)
    least, most = graph.nodes("Split", [sums], 2, axis=-1, num_outputs=2)
    doubled = graph.node("Mul", graph.node("ReduceMax", most, graph.axes(-1), keepdims=0), graph.constant(2))
    return graph.finish({"sums": (least, (TEXTS, 2)), "double": (doubled, (TEXTS,))})


def test_a_graph_computes_what_its_nodes_say() -> None:
    session = Session(Path("g.onnx"), _finished())
    member = np.array([[1, 1, 1, 0], [0, 0, 0, 1]], np.uint8)
    sums, double = session.run({"ids": np.array([0, 1, 1, 2], np.int32), "member": member})
    assert sums.tolist() == [[1, 2], [0, 0]]
    assert double.tolist() == [0, 2]


def test_inputs_are_those_that_a_node_reads_and_outputs_are_named() -> None:
    session = Session(Path("g.onnx"), _finished())
    assert list(session.inputs) == ["ids", "member"]
    assert [(name, port.shape) for name, port in session.outputs.items()] == [
        ("sums", ("texts", 2)),
        ("double", ("texts",)),
    ]


def test_the_same_nodes_give_the_same_bytes() -> None:
    assert _finished() == _finished()


def test_a_plain_number_is_float32() -> None:
    graph = Graph()
    graph.finish({"y": (graph.node("Mul", "length", graph.constant(0.1)), (TEXTS, 1))})
    content = graph.finish({"y": (graph.node("Mul", "length", graph.constant(0.1)), (TEXTS, 1))})
    kinds = {each.data_type for each in onnx.load_from_string(content).graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT}


def test_a_node_that_reads_what_is_not_there_is_no_graph() -> None:
    graph = Graph()
    with pytest.raises(onnx.checker.ValidationError):
        graph.finish({"y": (graph.node("Relu", "nothing"), (TEXTS, 1))})
