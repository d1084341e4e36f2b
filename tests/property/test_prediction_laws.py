"""Whatever a graph answers: a prediction that can be acted on, or an error of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.calibrate import softmax
from models.classifier import Scores
from models.errors import BadOutput
from models.spec import OUT_OF_SCOPE
from tests.graphs import answering

_LOGITS = st.lists(st.floats(width=32), min_size=5, max_size=5)
_LABELS = ("a", "b", "c", "d", OUT_OF_SCOPE)
_ASKED = answering(Path(), np.zeros(5, np.float32), _LABELS, temperature=0.7)


@np.errstate(over="ignore")  # differences near the largest float are infinite: the share is 0 all the same
@given(logits=_LOGITS)
@example(logits=[0, 0, 0, 0, 2.38197652788175e38])
@example(logits=[-3e38, 3e38, 0, 0, 0])
def test_an_answer_is_ordered_shares_or_refused(logits: list[float]) -> None:
    scores = Scores(np.array(logits, np.float32), None)
    if not np.isfinite(scores.logits).all():
        with pytest.raises(BadOutput):
            _ASKED.interpret(scores)
        return
    prediction = _ASKED.interpret(scores)
    shares = [prediction.confidence, *(share for _, share in prediction.alternatives)]
    labels = [prediction.label, *(label for label, _ in prediction.alternatives)]
    assert shares == sorted(shares, reverse=True)
    assert 1 / 5 - 1e-6 <= shares[0] <= 1
    assert len(set(labels)) == 4
    exact = dict(zip(_LABELS, softmax(scores.logits, 0.7).tolist(), strict=True))
    assert shares == pytest.approx([exact[label] for label in labels], abs=1e-5)
