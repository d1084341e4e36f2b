"""How far a confidence can be believed: temperature, expected calibration error, threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

KEPT_ACCURACY = 0.95
"""Unless another is stated, the threshold is set so that this share of the routes taken is right: one in twenty may be
wrong, where the alternative is a person's time."""

MAX_REFUSED = 0.5
"""The threshold refuses at most this share of the held-out texts, however poor the model: one that refuses nearly
everything looks like an outage."""

_BINS = 15  # Guo et al. 2017, "On Calibration of Modern Neural Networks"
_HOTTEST = 20.0
_STEPS = 10_000  # of a threshold; rounded down, or it would refuse the text that it was set at


def softmax(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
    """Shares of the last axis. Shapes: float32[..., labels] -> the same."""
    scaled = (logits - logits.max(axis=-1, keepdims=True)) / np.float32(temperature)
    shares: NDArray[np.float32] = np.exp(scaled)
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """The temperature at which held-out labels are likeliest (Guo et al. 2017), in 1/20..20.

    One label in n + 2 is taken to be wrong (Platt 1999), so that ten right answers of ten don't make it certain.

    Shapes: logits: float32[n, labels], truth: int64[n], n >= 1.
    """
    low, high = -np.log(_HOTTEST), np.log(_HOTTEST)
    golden = (np.sqrt(5) - 1) / 2
    while high - low > 1e-3:  # noqa: PLR2004  - 0.1 % of the temperature, far inside its sampling error
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(logits, truth, float(np.exp(left))) < loss(logits, truth, float(np.exp(right))):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2)), 4)


def loss(logits: NDArray[np.float32], truth: NDArray[np.int64], temperature: float) -> float:
    """Mean negative log likelihood of the labels, one in n + 2 of them wrong."""
    doubt = 1 / (len(truth) + 2)
    logs = np.log(np.maximum(softmax(logits, temperature), 1e-12))
    right = logs[np.arange(len(truth)), truth].mean()
    return float(-(1 - doubt) * right - doubt * logs.mean())


def fit_weights(logits: Sequence[NDArray[np.float32]], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights from 0 on with sum 1 at which the labels are likeliest by the weighted sum of calibrated `logits`.

    The loss is convex: there is one answer. Training only, needs scipy.
    Shapes: logits: each float32[n, labels], truth: int64[n] -> float64[len(logits)].
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - half a second, which serving need not pay

    stacked, rows, number = np.stack(logits), np.arange(len(truth)), len(logits)

    def mean_loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        shares = softmax(np.tensordot(weights.astype(np.float32), stacked, 1))
        value = -float(np.log(np.maximum(shares[rows, truth], 1e-12)).mean())
        shares[rows, truth] -= 1
        return value, np.tensordot(stacked, shares, ([1, 2], [0, 1])).astype(np.float64) / len(truth)

    found = minimize(
        mean_loss,
        np.full(number, 1 / number),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * number,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
    )
    weights: NDArray[np.float64] = np.clip(found.x, 0, 1)
    weights /= weights.sum()
    return weights


def ece(confidence: NDArray[np.float32], correct: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over 15 equal bins, weighted by size."""
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=correct - confidence.astype(np.float64), minlength=_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def fit_threshold(
    confidence: NDArray[np.float32], correct: NDArray[np.bool_], kept_accuracy: float = KEPT_ACCURACY
) -> float:
    """The lowest confidence at which the texts kept are right with `kept_accuracy`.

    Never refuses more than `MAX_REFUSED` of the texts given; 0 when all may be kept, or none were given.
    """
    if not len(confidence):
        return 0.0
    order = np.argsort(-confidence, kind="stable")
    kept = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    steps = np.floor(confidence[order].astype(np.float64) * _STEPS)
    is_last = np.append(steps[1:] < steps[:-1], True)  # who is as sure as the next is kept with it or not at all
    enough = np.flatnonzero((kept >= kept_accuracy) & is_last)
    count = max(int(enough[-1]) + 1 if len(enough) else 0, int(np.ceil(len(order) * (1 - MAX_REFUSED))))
    return 0.0 if count == len(order) else float(steps[count - 1] / _STEPS)
