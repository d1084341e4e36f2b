"""Writes ONNX graphs, node by node. Training only: serving reads what this wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_OPSET, _IR = 21, 10  # what the oldest onnxruntime of setup.cfg reads
_MICROSOFT = "com.microsoft"  # onnxruntime's own operators; it has them on every processor
FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64
TEXTS = "texts"
"""Name of the first dimension of every input and output: how many texts share a call."""

Shape = tuple[int | str, ...]

INPUTS: Mapping[str, tuple[int, Shape]] = {
    "ids": (INT32, ("n",)),
    "member": (TensorProto.UINT8, (TEXTS, "n")),
    "length": (FLOAT, (TEXTS, 1)),
    "input_ids": (INT64, (TEXTS, "m")),
    "attention_mask": (INT64, (TEXTS, "m")),
    "columns": (FLOAT, (TEXTS, "values")),
}
"""What the graphs that are written here may be fed; `models.inputs` does it."""


class Graph:
    """A graph that grows. Every method that adds a node returns the name of its output."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[Any] | float) -> str:
        """A weight; a plain number is a float32 scalar."""
        name = f"c{len(self._constants)}"
        array = value if isinstance(value, np.ndarray) else np.asarray(value, np.float32)
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def axes(self, *axes: int) -> str:
        """Axes, as operators take them."""
        return self.constant(np.array(axes, np.int64))

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - as varied as operators
        """Add a node with one output."""
        return self.nodes(operator, inputs, 1, **attributes)[0]

    def nodes(self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:  # noqa: ANN401
        """Add a node with several outputs."""
        names = [f"n{len(self._nodes)}.{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, name=f"n{len(self._nodes)}", **attributes))
        return names

    def own(self, operator: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401
        """Add one of onnxruntime's own operators."""
        return self.node(operator, *inputs, domain=_MICROSOFT, **attributes)

    def finish(self, outputs: Mapping[str, tuple[str, Shape]]) -> bytes:
        """The file's content. `outputs`: for each name, the float32 node it is the value of, and its shape.

        The inputs are those of `INPUTS` that a node reads.
        """
        nodes = list(self._nodes)
        nodes += [helper.make_node("Identity", [node], [name]) for name, (node, _) in outputs.items()]
        read = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "rung",
            [helper.make_tensor_value_info(name, *INPUTS[name]) for name in INPUTS if name in read],
            [helper.make_tensor_value_info(name, FLOAT, shape) for name, (_, shape) in outputs.items()],
            self._constants,
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
        onnx.checker.check_model(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content
