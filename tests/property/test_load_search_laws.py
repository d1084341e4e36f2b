"""What holds of every search, whatever the server answers."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from loadtest.search import MAX_RUNS, Search, Settings, Verdict

VERDICTS: list[Verdict] = ["pass", "fail", "inconclusive", "invalid"]


@given(st.lists(st.sampled_from(VERDICTS), min_size=MAX_RUNS, max_size=MAX_RUNS), st.floats(0.001, 1))
def test_any_answers_end_in_a_bracket(answers: list[Verdict], precision: float) -> None:
    settings = Settings(lowest=10, highest=20_000, precision=precision)
    search = Search(settings)
    for verdict in answers:
        step = search.next()
        if step is None:
            break
        assert settings.lowest * 0.85 <= step.rate <= settings.highest * 1.0001
        search.record(step, verdict)
    assert search.next() is None
    found = search.result
    if found.highest_pass is not None and found.lowest_fail is not None:
        assert found.highest_pass < found.lowest_fail
    last = found.steps[-1]
    assert found.confirmed == (last.step.kind == "confirm" and last.verdict == "pass")
    assert len({each.step.seed for each in found.steps}) == len(found.steps)


@given(st.floats(100, 49_999), st.floats(0.005, 0.5))
def test_a_server_with_a_sharp_limit_is_bracketed_to_the_precision(capacity: float, precision: float) -> None:
    search = Search(Settings(precision=precision))
    while (step := search.next()) is not None:
        search.record(step, "pass" if step.rate <= capacity else "fail")
    found = search.result
    assert found.confirmed
    assert found.highest_pass is not None
    assert found.highest_pass <= capacity
    top = found.lowest_fail or math.inf
    assert top > capacity
    assert top / found.highest_pass <= (1 + precision) * 1.001 or found.highest_pass == 50_000
    assert len(found.steps) <= 10 + math.log2(50_000 / 100) + 1
