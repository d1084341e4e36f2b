"""What the columns beside a text add to a rung's logits: a linear term. Training only.

It is learned with the rung's logits as they are, of rows that the rung had not seen: of those it has learned from it is
too sure, and would leave nothing to explain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import minimize

from models import calibrate
from models.columns import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.candidate import Candidate, Nodes
    from models.columns import Value
    from models.graph import Graph
    from models.task import Task

    Array = NDArray[np.float32]

_FOLDS = 5
_PENALTIES = (0.1, 1.0, 10.0, 100.0)  # of squared weights; the inverse of the variance expected of them


class Mix(NamedTuple):
    """`values @ weights` is added to the logits; `unseen` is the same from weights that had not seen the row.

    Shapes: weights: float32[values, labels], unseen: float32[n, labels].
    """

    weights: Array
    unseen: Array


def add_columns(candidate: Candidate, task: Task, sample: Sequence[tuple[Value, ...]]) -> Candidate:
    """The rung with one more input, where the task has columns; its held-out logits stay those of unseen rows.

    Args: sample: values beside the texts of the candidate's sample.
    """
    if not task.columns:
        return candidate
    held_out = candidate.held_out
    encoded = encode(task.columns, [task.values[row] for row in task.split.asked])
    mix = fit_mix(held_out.int8, encoded, held_out.truth, np.random.default_rng(task.seed))

    def add(graph: Graph, int8: bool) -> Nodes:  # noqa: FBT001 - one of two forms of the same
        nodes = candidate.add(graph, int8)
        return nodes._replace(logits=graph.node("Gemm", "columns", graph.constant(mix.weights), nodes.logits))

    return candidate._replace(
        held_out=held_out._replace(int8=held_out.int8 + mix.unseen, fp32=held_out.fp32 + mix.unseen),
        add=add,
        expected=candidate.expected + encode(task.columns, sample) @ mix.weights,
        columns=task.columns,
        values=sample,
    )


def fit_mix(logits: Array, encoded: Array, truth: NDArray[np.int64], rng: np.random.Generator) -> Mix:
    """Softmax regression on `encoded`, with `logits` given; how far the weights may go is decided on unseen rows.

    Shapes: logits: float32[n, labels], encoded: float32[n, values], truth: int64[n], -1 where no label is right.
    """
    known = truth >= 0
    temperature = np.float32(calibrate.fit_temperature(logits[known], truth[known]))
    cooled = logits / temperature
    fold = rng.permutation(len(truth)) % _FOLDS

    def fit(rows: NDArray[np.bool_], penalty: float) -> Array:
        return _fit(cooled[rows], encoded[rows], truth[rows], penalty)

    def unseen_by(penalty: float) -> Array:
        terms = np.empty_like(cooled)
        for number in range(_FOLDS):
            terms[fold == number] = encoded[fold == number] @ fit(known & (fold != number), penalty)
        return terms

    unseen = {penalty: unseen_by(penalty) for penalty in _PENALTIES}
    best = min(unseen, key=lambda penalty: calibrate.loss((cooled + unseen[penalty])[known], truth[known], 1.0))
    return Mix(fit(known, best) * temperature, unseen[best] * temperature)


def _fit(logits: Array, encoded: Array, truth: NDArray[np.int64], penalty: float) -> Array:
    """Weights that make the labels likeliest. The loss is convex: there is one answer, wherever the search starts."""
    shape = encoded.shape[1], logits.shape[1]
    places = np.arange(len(truth)), truth

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(shape)
        shares = calibrate.softmax((logits + encoded @ weights).astype(np.float64))
        value = -np.log(np.maximum(shares[places], 1e-300)).sum() + penalty / 2 * (flat @ flat)
        shares[places] -= 1
        return float(value), (encoded.T @ shares + penalty * weights).ravel()

    found = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B")
    result: Array = found.x.reshape(shape).astype(np.float32)
    return result
