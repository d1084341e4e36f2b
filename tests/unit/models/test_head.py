"""The softmax layer and the centroids, and their nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models import head
from models.calibrate import softmax
from models.encoder.linear import Exact
from models.graph import FLOAT, TEXTS, Graph
from models.head import Centroids, Head, find_centroids, fit_head
from models.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_RNG = np.random.default_rng(6)


def _silent(_done: int, _total: int) -> None:
    pass


def _clusters(rows: int, spread: float = 0.3) -> tuple[Array, NDArray[np.int64]]:
    """Vectors around three far middles, and which each is around."""
    truth = np.arange(rows) % 3
    middles = np.array([[4, 0, 0, 1], [0, 4, 0, 1], [0, 0, 4, 1]], np.float32)
    return (middles[truth] + _RNG.normal(scale=spread, size=(rows, 4))).astype(np.float32), truth


def _in_a_graph(add: Callable[[Graph, str], str], vectors: Array) -> Array:
    """What nodes that `add` adds make of `vectors`, of which `member` takes one a text."""
    graph = Graph()
    rows = graph.node("MatMul", graph.node("Cast", "member", to=FLOAT), graph.constant(vectors))
    node = add(graph, rows)
    content = graph.finish({"y": (node, (TEXTS, "n") if add.__name__ == "logits" else (TEXTS,))})
    (answer,) = Session(Path("head.onnx"), content).run({"member": np.eye(len(vectors), dtype=np.uint8)})
    return answer


def test_what_can_be_told_apart_is() -> None:
    vectors, truth = _clusters(120)
    learned = fit_head(vectors[:60], truth[:60], 3, _silent)
    assert (learned.logits(vectors[60:]).argmax(axis=1) == truth[60:]).all()


def test_the_middle_of_the_vectors_makes_no_difference() -> None:
    vectors, truth = _clusters(60)
    plain, moved = fit_head(vectors, truth, 3, _silent), fit_head(vectors + 7, truth, 3, _silent)
    assert moved.logits(vectors + 7) == pytest.approx(plain.logits(vectors), abs=2e-3)


def _slopes(found: Head, vectors: Array, truth: NDArray[np.int64], smoothing: float) -> NDArray[np.float64]:
    """Of the rows' losses and a tenth of half the squared weights, in float64: of the weights, then of the bias."""
    inputs = vectors.astype(np.float64)
    logits = inputs @ found.weights.astype(np.float64) + found.bias
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    labels = len(found.bias)
    off = shares - smoothing / labels - (1 - smoothing) * np.eye(labels)[truth]
    slopes = inputs.T @ off + 0.1 * found.weights
    return np.concatenate([slopes, off.sum(axis=0, keepdims=True)]) / len(vectors)


@pytest.mark.parametrize(
    ("rows", "spread", "smoothing"), [(12, 0.3, 0), (30, 2, 0), (105, 1, 0.05), (180, 2, 0.1), (600, 2, 0.1)]
)
def test_the_loss_has_no_slope_where_the_search_ends(rows: int, spread: float, smoothing: float) -> None:
    vectors, truth = _clusters(rows, spread)
    found = fit_head(vectors, truth, 3, _silent)
    assert np.abs(_slopes(found, vectors, truth, smoothing)).max() < 1e-3
    other = found.scaled(1.1)
    assert np.abs(_slopes(other, vectors, truth, smoothing)).max() > 2e-3


@pytest.mark.parametrize(("rows", "spread"), [(12, 0.3), (30, 0.3), (30, 2)])
def test_few_rows_are_learned_as_by_scikit_learn(rows: int, spread: float) -> None:
    vectors, truth = _clusters(rows, spread)
    found = fit_head(vectors, truth, 3, _silent)
    known = LogisticRegression(C=10, tol=1e-10, max_iter=1_000).fit(vectors, truth)
    assert found.weights == pytest.approx(known.coef_.T, abs=0.01)
    assert softmax(found.logits(vectors)) == pytest.approx(known.predict_proba(vectors), abs=1e-3)


def test_the_search_ends_after_so_many_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, truth = _clusters(30, spread=2)
    monkeypatch.setattr(head, "_ROUNDS", 3)
    hurried = fit_head(vectors, truth, 3, _silent)
    assert np.abs(_slopes(hurried, vectors, truth, 0)).max() > 1e-3


def test_the_same_rows_give_the_same_head() -> None:
    vectors, truth = _clusters(600, spread=2)
    first, again, other = (fit_head(vectors[:end], truth[:end], 3, _silent) for end in (600, 600, 500))
    assert first.weights.tobytes() == again.weights.tobytes()
    assert first.bias.tobytes() == again.bias.tobytes()
    assert first.weights.tobytes() != other.weights.tobytes()


@pytest.mark.parametrize("rounds", [3, 40])
def test_progress_goes_up_to_all_also_where_the_search_ends_early(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_ROUNDS", rounds)
    calls: list[tuple[int, int]] = []
    fit_head(*_clusters(30), 3, lambda *call: calls.append(call))
    *before, last = calls
    assert before == [(done, rounds) for done in range(1, len(before) + 1)]
    assert len(before) == 3 if rounds == 3 else 3 < len(before) < rounds
    assert last == (rounds, rounds)


def test_vectors_that_are_all_alike_are_no_division_by_zero() -> None:
    learned = fit_head(np.ones((6, 4), np.float32), np.arange(6) % 3, 3, _silent)
    assert np.isfinite(learned.logits(np.ones((1, 4), np.float32))).all()


def test_scaling_a_head_scales_its_logits() -> None:
    layer = Head(weights=_RNG.normal(size=(4, 3)).astype(np.float32), bias=np.array([1, 2, 3], np.float32))
    vectors = _RNG.normal(size=(5, 4)).astype(np.float32)
    assert layer.scaled(0.5).logits(vectors) == pytest.approx(0.5 * layer.logits(vectors), abs=1e-6)


def test_a_mix_says_what_its_heads_say_together() -> None:
    vectors = _RNG.normal(size=(5, 4)).astype(np.float32)
    heads = [
        Head(weights=_RNG.normal(size=(4, 3)).astype(np.float32), bias=_RNG.normal(size=3).astype(np.float32))
        for _ in range(2)
    ]
    expected = 0.25 * heads[0].logits(vectors) + 3 * heads[1].logits(vectors)
    assert Head.mix(heads, (0.25, 3)).logits(vectors) == pytest.approx(expected, abs=1e-5)


def test_a_widened_head_reads_the_end_of_a_vector() -> None:
    layer = Head(weights=_RNG.normal(size=(2, 3)).astype(np.float32), bias=np.array([1, 2, 3], np.float32))
    vectors = _RNG.normal(size=(5, 4)).astype(np.float32)
    assert layer.widened(4).logits(vectors) == pytest.approx(layer.logits(vectors[:, 2:]), abs=1e-6)
    assert layer.widened(2).logits(vectors[:, 2:]) == pytest.approx(layer.logits(vectors[:, 2:]), abs=1e-6)


def test_labels_are_smoothed_where_there_are_many_examples_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_PENALTY", 1e-4)
    surest = {}
    for rows in (30, 105, 300):
        vectors, truth = _clusters(rows, spread=0.01)
        learned = fit_head(vectors, truth, 3, _silent)
        surest[rows] = float(softmax(learned.logits(vectors)).max(axis=1).mean())
    assert surest[30] > 0.99
    assert surest[105] == pytest.approx(1 - 0.05 * 2 / 3, abs=0.005)
    assert surest[300] == pytest.approx(1 - 0.1 * 2 / 3, abs=0.005)


def test_the_heads_nodes_compute_its_logits() -> None:
    layer = Head(weights=_RNG.normal(size=(4, 3)).astype(np.float32), bias=np.array([1, 2, 3], np.float32))
    vectors = _RNG.normal(size=(5, 4)).astype(np.float32)
    exact = Exact()

    def logits(graph: Graph, node: str) -> str:
        return layer.add(graph, exact, node)

    assert _in_a_graph(logits, vectors) == pytest.approx(layer.logits(vectors), abs=1e-5)
    assert exact.widths == {head.HEAD: 4}


def test_familiarity_by_hand() -> None:
    centroids = Centroids(middle=np.array([1, 1], np.float32), directions=np.array([[1, 0], [0, -1]], np.float32).T)
    vectors = np.array([[9, 5, 1], [9, 1, -2], [9, 4, 5], [9, 1, 1], [9, -1, 1]], np.float32)
    expected = [1, 1, 0.6, 0, 0]  # along the first; along the second; 3-4-5; no direction at all; against the first
    assert centroids.familiarity(vectors) == pytest.approx(expected, abs=1e-6)


def test_the_centroids_nodes_compute_familiarity() -> None:
    vectors, truth = _clusters(30)
    centroids = find_centroids(vectors, truth, np.ones(3, bool), last=3)
    others = np.concatenate([vectors, _RNG.normal(size=(30, 4)).astype(np.float32)])
    assert _in_a_graph(centroids.add, others) == pytest.approx(centroids.familiarity(others), abs=1e-5)


def test_centroids_are_of_routes_only_and_of_the_vectors_end() -> None:
    vectors, truth = _clusters(30, spread=0.01)
    vectors = np.concatenate([_RNG.normal(scale=50, size=(30, 2)).astype(np.float32), vectors], axis=1)
    centroids = find_centroids(vectors, truth, np.array([True, False, True]), last=4)
    assert centroids.directions.shape == (4, 2)
    assert np.linalg.norm(centroids.directions, axis=0) == pytest.approx([1, 1])
    of_route, of_none = centroids.familiarity(vectors[truth != 1]), centroids.familiarity(vectors[truth == 1])
    assert of_route.min() > 0.99
    assert of_none.max() < 0


def test_a_route_without_rows_has_no_centroid() -> None:
    vectors, truth = _clusters(30)
    assert find_centroids(vectors, truth, np.ones(5, bool), last=4).directions.shape == (4, 3)
