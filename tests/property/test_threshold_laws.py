"""A threshold keeps its promise on the rows it was set on, unless that refused too many of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.calibrate import MAX_REFUSED, fit_threshold

_ANSWERS = st.lists(st.tuples(st.integers(0, 12).map(lambda step: step / 12), st.booleans()), min_size=1, max_size=60)


@given(answers=_ANSWERS, kept_accuracy=st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_what_is_kept_is_right_often_enough_and_no_more_is_refused_than_need_be(
    answers: list[tuple[float, bool]], kept_accuracy: float
) -> None:
    confidence = np.array([share for share, _ in answers], np.float32)
    correct = np.array([is_right for _, is_right in answers])
    threshold = fit_threshold(confidence, correct, kept_accuracy)
    kept = confidence >= threshold
    assert (~kept).mean() <= MAX_REFUSED
    levels = [confidence >= level for level in np.unique(confidence)]
    allowed = [level for level in levels if (~level).mean() <= MAX_REFUSED]
    good = [level.sum() for level in allowed if correct[level].mean() >= kept_accuracy]
    assert kept.sum() == (max(good) if good else min(level.sum() for level in allowed))
