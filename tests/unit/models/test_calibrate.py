"""Temperature, calibration error, threshold."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models import calibrate

if TYPE_CHECKING:
    from numpy.typing import NDArray


def test_softmax_by_hand() -> None:
    shares = calibrate.softmax(np.array([0, np.log(3)], np.float32))
    assert shares == pytest.approx([0.25, 0.75])
    assert calibrate.softmax(np.array([0, 2 * np.log(3)], np.float32), 2) == pytest.approx([0.25, 0.75])


def test_softmax_of_huge_logits_is_finite() -> None:
    assert calibrate.softmax(np.array([1e30, -1e30], np.float32)).tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(scale=3, size=(20_000, 4)).astype(np.float32)
    shares = calibrate.softmax(logits, temperature)
    truth = (shares.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1).clip(max=3)
    assert calibrate.fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.05)


def test_ten_right_answers_are_no_certainty() -> None:
    logits = np.eye(2, dtype=np.float32)[np.arange(10) % 2]
    temperature = calibrate.fit_temperature(logits, np.arange(10) % 2)
    confidence = calibrate.softmax(logits, temperature).max(axis=1)
    assert confidence == pytest.approx(np.full(10, 1 - 1 / 24), abs=0.01)  # half of the doubt is on either label


def test_ece_by_hand() -> None:
    # Two bins: (0.9, 0.9) one right of two, gap 0.4; (0.5, 0.5) both right, gap 0.5.
    confidence = np.array([0.9, 0.9, 0.5, 0.5], np.float32)
    assert calibrate.ece(confidence, np.array([True, False, True, True])) == pytest.approx(0.45)


def test_ece_of_certainty() -> None:
    assert calibrate.ece(np.ones(3, np.float32), np.ones(3, np.bool_)) == 0


def test_the_threshold_keeps_what_is_right_often_enough() -> None:
    confidence = np.linspace(1, 0, 100, dtype=np.float32)
    correct = np.arange(100) < 76
    # 76 right of the first 80 is exactly 95 %.
    assert (confidence >= calibrate.fit_threshold(confidence, correct)).sum() == 80


def test_the_threshold_is_never_above_the_confidence_it_was_set_at() -> None:
    for last in np.random.default_rng(3).uniform(0.2, 0.8, 200).astype(np.float32):
        confidence = np.array([0.9, last, 0.1, 0.05], np.float32)
        threshold = calibrate.fit_threshold(confidence, np.array([True, True, False, False]))
        assert last - 1e-4 < threshold <= last
        assert threshold == pytest.approx(round(threshold, 4), abs=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_the_threshold_of_a_poor_model_refuses_half_at_most(count: int) -> None:
    confidence = np.linspace(0.9, 0.1, count, dtype=np.float32)
    threshold = calibrate.fit_threshold(confidence, np.zeros(count, np.bool_))
    assert (confidence >= threshold).mean() >= 0.5


def test_the_threshold_is_none_where_all_is_right_or_nothing_known() -> None:
    assert calibrate.fit_threshold(np.full(5, 0.5, np.float32), np.ones(5, np.bool_)) == 0
    assert calibrate.fit_threshold(np.empty(0, np.float32), np.empty(0, np.bool_)) == 0


def test_texts_of_one_confidence_are_kept_together_or_not_at_all() -> None:
    confidence = np.repeat(np.array([0.9, 0.60004, 0.60001, 0.2], np.float32), 20)
    correct = np.arange(80) < 30  # 20 of 20, then 10 of 40 within one step of a threshold
    threshold = calibrate.fit_threshold(confidence, correct, kept_accuracy=0.99)
    assert threshold == pytest.approx(0.6)  # half must be kept
    assert calibrate.fit_threshold(confidence[:40], correct[:40], kept_accuracy=0.9) == pytest.approx(0.9, abs=1e-4)


def test_a_model_that_is_wrong_with_certainty_is_not_kept_for_those_that_are_right() -> None:
    correct = np.ones(200, np.bool_)
    correct[-20:] = False
    confidence = np.where(np.arange(200) < 100, 0.9, 0.7).astype(np.float32)
    threshold = calibrate.fit_threshold(confidence, correct, kept_accuracy=0.95)
    assert correct[confidence >= threshold].mean() >= 0.95


def _noisy(truth: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """Logits that are as right as they claim, apart from each other."""
    rng = np.random.default_rng(seed)
    noisy: NDArray[np.float32] = (rng.normal(size=(len(truth), 3)) + np.eye(3)[truth]).astype(np.float32)
    return noisy


def _loss(parts: list[NDArray[np.float32]], weights: tuple[float, ...], truth: NDArray[np.int64]) -> float:
    """Of the labels, by the weighted sum."""
    total = sum(weight * part.astype(np.float64) for weight, part in zip(weights, parts, strict=True))
    logs = total - np.log(np.exp(total).sum(axis=1, keepdims=True))
    return -float(logs[np.arange(len(truth)), truth].mean())


@pytest.mark.parametrize(
    "strengths",
    [(1.5, 0.5), (0.5, 2.0), (1.0, 1.0), (1.5, 0.5, 0.5), (0.6, 0.6, 2.0), (1.0, 1.0, 1.0)],
)
def test_weights_are_those_of_the_least_loss(strengths: tuple[float, ...]) -> None:
    truth = np.random.default_rng(0).integers(0, 3, 1_000)
    parts = [np.float32(strength) * _noisy(truth, seed) for seed, strength in enumerate(strengths, 1)]
    weights = calibrate.fit_weights(parts, truth)
    assert weights.shape == (len(strengths),)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    grid = [
        tuple(np.diff(np.array([0, *ends, 50])) / 50)
        for ends in combinations_with_replacement(range(51), len(strengths) - 1)
    ]
    best = min(grid, key=lambda some: _loss(parts, some, truth))
    assert weights == pytest.approx(best, abs=0.03)
    assert _loss(parts, tuple(weights), truth) <= _loss(parts, best, truth) + 1e-6


def test_one_alone_has_all_the_weight() -> None:
    truth = np.arange(30) % 3
    assert calibrate.fit_weights([_noisy(truth, 1)], truth).tolist() == [1]


def test_who_knows_nothing_has_no_weight_and_equals_share_it() -> None:
    truth = np.random.default_rng(0).integers(0, 3, 2_000)
    good, wrong = _noisy(truth, 1), 3 * _noisy((truth + 1) % 3, 2)
    weights = calibrate.fit_weights([good, wrong, good], truth)
    assert weights.sum() == pytest.approx(1)
    assert weights[1] < 0.01
    assert weights[0] == pytest.approx(weights[2])
