"""Peers are judged by the rules that judge a rung."""

from __future__ import annotations

import numpy as np

from models.calibrate import softmax
from models.data import Example
from models.evaluate import score, truth_of
from models.spec import OUT_OF_SCOPE
from tests.bench.contenders import _judge

LABELS = ("card", "loan", OUT_OF_SCOPE)


def test_answers_and_confidences_are_scored_as_logits_are() -> None:
    rng = np.random.default_rng(0)
    rows = [Example("", LABELS[at]) for at in rng.integers(3, size=300)]
    truth = truth_of([row.route for row in rows], LABELS)
    logits = (rng.normal(size=(300, 3)) + 1.5 * np.eye(3)[truth]).astype(np.float32)
    shares = softmax(logits).astype(np.float64)
    judged = _judge(rows, [LABELS[at] for at in shares.argmax(axis=1)], shares.max(axis=1), shares[:, :2].max(axis=1))
    wanted = score(logits, truth, LABELS, 1.0)
    assert 0.5 < judged.accuracy < 0.95
    assert judged.accuracy == wanted.accuracy
    assert judged.coverage90 == wanted.coverage90_accuracy
    assert abs(judged.ece - wanted.ece) < 1e-6
    assert judged.auroc is not None
    assert wanted.auroc_oos is not None
    assert abs(judged.auroc - wanted.auroc_oos) < 1e-6
