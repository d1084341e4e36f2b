"""How far a confidence can be believed: temperature, expected calibration error, threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT_ACCURACY = 0.95
"""The threshold is set so that this share of the routes taken is right: one in twenty may be wrong, where the
alternative is a person's time."""

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
        if _loss(logits, truth, float(np.exp(left))) < _loss(logits, truth, float(np.exp(right))):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2)), 4)


def _loss(logits: NDArray[np.float32], truth: NDArray[np.int64], temperature: float) -> float:
    """Mean negative log likelihood of the labels, one in n + 2 of them wrong."""
    doubt = 1 / (len(truth) + 2)
    logs = np.log(np.maximum(softmax(logits, temperature), 1e-12))
    right = logs[np.arange(len(truth)), truth].mean()
    return float(-(1 - doubt) * right - doubt * logs.mean())


def ece(confidence: NDArray[np.float32], correct: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over 15 equal bins, weighted by size."""
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=correct - confidence.astype(np.float64), minlength=_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def fit_threshold(confidence: NDArray[np.float32], correct: NDArray[np.bool_]) -> float:
    """The lowest confidence at which the texts kept are right with `KEPT_ACCURACY`.

    Never refuses more than `MAX_REFUSED` of the texts given; 0 when all may be kept, or none were given.
    """
    if not len(confidence):
        return 0.0
    order = np.argsort(-confidence, kind="stable")
    kept = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(kept >= KEPT_ACCURACY)
    count = max(int(enough[-1]) + 1 if len(enough) else 0, int(np.ceil(len(order) * (1 - MAX_REFUSED))))
    if count == len(order):
        return 0.0
    return float(np.floor(float(confidence[order[count - 1]]) * _STEPS) / _STEPS)
