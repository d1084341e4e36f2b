from __future__ import annotations

import pytest

from router.audit.finding import WhatIf
from router.log import DecisionRecord
from tests.audit_records import audited, decision, facts, large, without_large


def what_if(change: str, records: list[DecisionRecord]) -> WhatIf:
    return next(each for each in audited(records).what_ifs if change in each.change)


def test_nothing_would_help_where_nothing_is_wrong() -> None:
    assert audited([large()]).what_ifs == ()


def test_a_larger_budget() -> None:
    """`large` needs 12 predicted and 4 kept back; half a ms is gone when it is considered."""
    budgets = [6.5, 7.5, 8.5, 9.5, 10.5, 11.5, 12.5, 13.5, 14.5, 15.5]  # spare: 6 to 15
    found = what_if("a larger budget", [large(), *[without_large("budget", total_ms=each) for each in budgets]])
    assert found.evidence["needed_ms"] == pytest.approx(16, rel=0.01)
    # The fifth of ten, 10 ms, lacks 6 ms; the first, that nine of ten have, 6 ms, lacks 10.
    assert (found.evidence["added_half_ms"], found.evidence["added_most_ms"]) == (6, 10)
    assert found.helped_total == 10
    assert (
        "10 of 10 answers whose budget was too small would have had time for `large` with +10 ms, 6" in found.sentence
    )


def test_a_larger_budget_is_not_what_lacks() -> None:
    found = what_if("a larger budget", [large(), without_large("budget", total_ms=40.0)])
    assert found.helped_total == 0
    assert found.sentence.startswith("no, ")


def test_a_rung_that_never_ran_has_no_known_cost() -> None:
    found = what_if("a larger budget", [without_large("budget", total_ms=5.5)] * 3)
    assert found.helped_total == 0
    assert found.sentence.startswith("unknown, because `large` never ran in these records")
    assert found.sentence.endswith("nine of ten had 5.0 ms or more for it")
    assert not any("rung" in each.change for each in audited([without_large("overload")]).what_ifs)


def test_a_smaller_rung() -> None:
    """At the 0.1 ms of `small` and the 4 ms kept back, 8 ms are enough and 3 ms are not."""
    records = [
        large(),
        *[without_large("budget", number, total_ms=8.5) for number in range(6)],
        *[
            without_large("budget", number, total_ms=3.5, rung="default", stages_ms={"floor": 0.5})
            for number in range(3)
        ],
        without_large("overload"),
    ]
    found = what_if("a smaller rung", records)
    assert found.evidence["fits_total"] == 6
    assert found.evidence["unqueued_total"] == 1
    assert found.helped_total == 7
    assert found.evidence["answered_by_model_share"] == pytest.approx(0.7)
    assert "(10 ms -> 0.1 ms, p50)" in found.sentence


def test_how_small_a_rung_would_do() -> None:
    records = [large(), *[without_large("budget", number, total_ms=10.5) for number in range(10)]]
    assert what_if("a smaller rung", records).evidence["nine_of_ten_at_ms"] == pytest.approx(6, rel=0.01)


def test_another_executor() -> None:
    """One second, 80 runs of 10 ms: one executor is at 80 %, two have room for 90 more."""
    busy = [large(number, took_ms=10.0) for number in range(80)]
    found = what_if("second executor", [*busy, *[without_large("overload", number) for number in range(200)]])
    assert found.helped_total == 90
    assert found.evidence["queued_total"] == 200
    assert found.evidence["executor_share"] == pytest.approx(0.8)


def test_another_executor_without_a_queue() -> None:
    found = what_if("second executor", [large(), without_large("budget", total_ms=8.0)])
    assert found.helped_total == 0
    assert found.sentence.startswith("no, ")


def test_a_core_for_the_event_loop() -> None:
    records = [
        decision(1, elapsed_ms=60.0, stages_ms={"loop": 11.0, "infer": 49.0}),  # in time without the loop
        decision(2, elapsed_ms=60.0, stages_ms={"loop": 9.0, "infer": 51.0}),  # late without it, too
        large(),
    ]
    found = what_if("event loop", records)
    assert found.helped_total == 1
    assert "1 of 2 late answers" in found.sentence


def test_a_core_for_the_event_loop_gives_rungs_their_time_back() -> None:
    """20 ms are kept back and 12 predicted: 24 ms are too few for that, but enough for 12 and 4."""
    records = [
        large(run=facts(commit_ms=30.0)),
        *[without_large("budget", number, total_ms=24.0) for number in range(3)],
        without_large("budget", total_ms=10.0),
    ]
    found = what_if("event loop", records)
    assert (found.helped_total, found.evidence["fits_total"]) == (3, 3)


def test_a_cache() -> None:
    asked = [without_large("overload", number, text=f"text {number % 5}") for number in range(10)]
    answered = [decision(number, rung="cache", text="text 0") for number in range(2)]
    found = what_if("cache", [*asked, *answered])
    assert found.evidence["repeated_share"] == pytest.approx(7 / 12)
    assert found.evidence["cached_share"] == pytest.approx(2 / 12)
    assert found.helped_total == round(5 / 12 * 10)


def test_without_texts_nothing_is_said_of_a_cache() -> None:
    assert not any("cache" in each.change for each in audited([without_large("overload")]).what_ifs)


def test_the_most_helpful_comes_first() -> None:
    records = [large(), *[without_large("budget", number, total_ms=8.5) for number in range(5)]]
    helped = [each.helped_total for each in audited(records).what_ifs]
    assert helped == sorted(helped, reverse=True)


def test_an_event_loop_on_its_own_core_relieves_nobody() -> None:
    relieved = [without_large("overload", number, verdict="floor", rung="rules") for number in range(3)]
    found = what_if("event loop alone", [large(), *relieved])
    assert (found.helped_total, found.evidence["relieved_total"]) == (3, 3)


def test_no_cost_is_low_enough_where_more_is_kept_back_than_budgets_hold() -> None:
    records = [large(), *[without_large("budget", number, total_ms=3.5) for number in range(5)]]
    records.append(decision(stages_ms={"infer": 0.1}, elapsed_ms=0.1))
    assert "; even at no cost it would not have fitted nine of ten budgets" in what_if("smaller rung", records).sentence
