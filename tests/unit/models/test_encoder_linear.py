"""Layers in eight bits: the graph, the arithmetic beside it, and how far both are from float32."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.encoder.linear import Exact, Int8, Ranges
from models.graph import FLOAT, TEXTS, Graph
from models.session import Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.encoder.linear import Linear

    Array = NDArray[np.float32]

_RNG = np.random.default_rng(4)
_WEIGHTS = _RNG.normal(size=(16, 6)).astype(np.float32)
_BIAS = _RNG.normal(size=6).astype(np.float32)
_USUAL = _RNG.normal(size=(500, 16)).astype(np.float32) * np.linspace(0.1, 9, 16, dtype=np.float32)


def _int8(*seen: Array) -> Int8:
    ranges = Ranges(16)
    for values in seen:
        ranges.observe(values)
    return Int8({}).with_layer("layer", ranges)


def _in_a_graph(linear: Linear, x: Array) -> Array:
    """The layer's answer to rows of `x`; `member` times rows that the graph holds, as there is no free input."""
    graph = Graph()
    rows = graph.node("MatMul", graph.node("Cast", "member", to=FLOAT), graph.constant(x))
    content = graph.finish({"y": (linear.add(graph, "layer", rows, _WEIGHTS, _BIAS), (TEXTS, 6))})
    (answer,) = Session(Path("layer.onnx"), content).run({"member": np.eye(len(x), dtype=np.uint8)})
    return answer


def test_exact_is_exact_and_remembers_what_it_was_fed() -> None:
    exact = Exact()
    assert _in_a_graph(exact, _USUAL) == pytest.approx(_USUAL @ _WEIGHTS + _BIAS, abs=1e-4)
    assert exact.widths == {"layer": 16}
    assert list(exact.inputs) == ["layer"]


@pytest.mark.parametrize("factor", [0.01, 1, 30])
def test_numpy_computes_what_the_graph_does_beyond_what_was_observed_too(factor: float) -> None:
    int8, x = _int8(_USUAL), _USUAL[:50] * np.float32(factor)
    computed = int8.compute("layer", x, _WEIGHTS, _BIAS)
    assert computed == pytest.approx(_in_a_graph(int8, x), abs=1e-4)


def test_rounding_costs_little() -> None:
    exact = _USUAL @ _WEIGHTS + _BIAS
    off = _int8(_USUAL).compute("layer", _USUAL, _WEIGHTS, _BIAS) - exact
    assert 0 < np.abs(off).std() < 0.02 * exact.std()


def test_a_value_beyond_the_ranges_is_cut_to_them() -> None:
    one = np.zeros((1, 16), np.float32)
    one[0, 3] = 1
    int8 = _int8(np.eye(16, dtype=np.float32))
    answers = [int8.compute("layer", by * one, _WEIGHTS, np.zeros(6, np.float32))[0] for by in (1, 50, 5_000)]
    assert answers[1].tolist() == answers[2].tolist()
    assert answers[0] == pytest.approx(_WEIGHTS[3], abs=0.1)


def test_ranges_are_of_all_that_was_observed() -> None:
    parts, whole = _int8(*np.array_split(_USUAL, 7)), _int8(_USUAL.reshape(50, 10, 16))
    assert (
        parts.compute("layer", _USUAL, _WEIGHTS, _BIAS).tolist()
        == whole.compute("layer", _USUAL, _WEIGHTS, _BIAS).tolist()
    )


def test_zero_is_zero_wherever_the_range_is() -> None:
    for shift in (-5, 0, 5):
        int8 = _int8(_RNG.uniform(shift, shift + 1, size=(100, 16)).astype(np.float32))
        assert int8.compute("layer", np.zeros((1, 16), np.float32), _WEIGHTS, _BIAS)[0] == pytest.approx(_BIAS)


def test_nothing_observed_and_weights_of_zero_are_no_division_by_zero() -> None:
    nothing = Ranges(16).grid(np.zeros((16, 6), np.float32))
    assert all(np.isfinite(each).all() for each in nothing)


def test_large_channels_are_evened_out() -> None:
    ranges = Ranges(16)
    ranges.observe(_USUAL)
    grid = ranges.grid(_WEIGHTS)
    assert np.exp(np.log(grid.factor).mean()) == pytest.approx(1, abs=1e-3)
    sizes = np.abs(_USUAL).max(axis=0)
    assert np.ptp(np.log(sizes / grid.factor)) < 0.5 * np.ptp(np.log(sizes))
