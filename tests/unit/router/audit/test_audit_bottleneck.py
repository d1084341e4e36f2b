from __future__ import annotations

import pytest

from router.audit.finding import Bottleneck
from router.log import DecisionRecord
from tests.audit_records import audited, decision, facts, large, without_large


def bottleneck(*records: DecisionRecord) -> Bottleneck:
    found = audited(records).bottleneck
    assert found is not None
    return found


def late(stage: str, count: int) -> list[DecisionRecord]:
    return [decision(number, elapsed_ms=61.0, stages_ms={stage: 60.0, "policy": 1.0}) for number in range(count)]


def test_nothing_to_mend() -> None:
    found = bottleneck(*[large(number) for number in range(10)])
    assert found == Bottleneck(cause=None, sentence="None: 100.00% were answered in time by the best rung.")


def test_few_are_tolerated() -> None:
    good = [large(number) for number in range(999)]
    found = bottleneck(*good, without_large("budget", total_ms=8.5))
    assert found.cause is None
    assert "; 1 late or degraded are within the tolerated 0.1 %" in found.sentence
    assert bottleneck(*good[1:], *[without_large("budget", total_ms=8.5)] * 2).cause == "budget"


def test_the_queue() -> None:
    busy = [large(number, took_ms=10, waited_ms=20) for number in range(50)]  # half of one second
    found = bottleneck(*busy, *[without_large("overload", number) for number in range(9)], *late("loop", 1))
    assert found.cause == "queue"
    assert found.sentence.startswith("The executor's queue: 9 of the 10 late or degraded requests (90%) waited")
    assert found.evidence["executor_share_in_trouble"] == pytest.approx(0.5)
    assert found.evidence["queue_p99_ms"] == pytest.approx(20, rel=0.01)


def test_the_run_time_of_a_model() -> None:
    ran_over = without_large("budget", run=facts(end_ms=None), elapsed_ms=46.0)
    found = bottleneck(large(), ran_over, ran_over, without_large("overload"))
    assert found.cause == "model"
    assert "2 of the 3" in found.sentence
    assert "`large` takes 10.0 ms (p50), 10.0 ms (p99)" in found.sentence


def test_an_uneven_model_is_not_called_a_small_budget() -> None:
    usual = [large(number, took_ms=10, run=facts(predicted_ms=30.0)) for number in range(10)]
    found = bottleneck(*usual, without_large("budget", total_ms=50.0))  # 50 ms is five times the usual 10
    assert found.cause == "model"
    assert "1 lack it though their budget had twice its usual time" in found.sentence


def test_a_late_event_loop_is_not_called_a_small_budget() -> None:
    """20 ms are kept back, where an idle loop needs 4; the tail beyond the usual 10 ms is 2."""
    usual = [large(number, took_ms=10, run=facts(commit_ms=30.0)) for number in range(10)]
    found = bottleneck(*usual, without_large("budget", total_ms=50.0))
    assert found.cause == "loop"
    assert "of budgets 20.0 ms (p50) are kept free for the way out" in found.sentence
    assert found.sentence.endswith("or another process had its core.")


def test_a_budget_that_an_idle_server_could_have_met_is_not_called_small() -> None:
    """40 ms are kept back: 30 ms are too little now, and enough for the 12 and 4 of an idle server; 8 are not."""
    usual = [large(number, took_ms=10, run=facts(commit_ms=10.0)) for number in range(10)]
    short = [without_large("budget", number, total_ms=30.5) for number in range(2)]
    assert bottleneck(*usual, *short, without_large("budget", total_ms=8.5)).cause == "loop"
    tiny = [without_large("budget", number, total_ms=8.5) for number in range(3)]
    found = bottleneck(*usual, *short, *tiny)
    assert found.cause == "budget"
    assert found.sentence.startswith("The budgets: 3 of the 5")
    assert found.sentence.endswith("half of them had 8.0 ms or less for `large`, which needs 16.0 ms.")


def test_who_was_kept_from_models_to_relieve_the_loop_did_not_queue() -> None:
    relieved = [without_large("overload", number, verdict="floor", rung="rules") for number in range(3)]
    found = bottleneck(large(), *relieved, without_large("overload"))
    assert found.cause == "loop"
    assert "kept 3 from every model" in found.sentence
    assert found.evidence["relieved_total"] == 3


def test_small_budgets() -> None:
    found = bottleneck(large(), *[without_large("budget", number, total_ms=8.5) for number in range(3)])
    assert found.cause == "budget"
    assert "half of them had 8.0 ms or less for `large`, which needs 16" in found.sentence
    assert found.evidence["needed_ms"] == pytest.approx(16.0, rel=0.01)  # 12 predicted, 4 kept back


def test_small_budgets_for_a_rung_that_never_ran() -> None:
    found = bottleneck(without_large("budget", total_ms=8.5))
    assert found.cause == "budget"
    assert found.sentence.startswith("The budgets, or the run time of `large`, which never ran in these records: 1 of")
    assert found.sentence.endswith("half of them had 8.0 ms or less for `large`.")


@pytest.mark.parametrize(
    ("stage", "cause", "says"),
    [
        ("loop", "loop", "The event loop: 2 of the 2"),
        ("parse", "own", "Takt's own work, `parse` above all: 2 of the 2"),
        ("policy", "own", "`policy` above all"),
        ("infer", "model", "The run time of models: 2 of the 2"),
    ],
)
def test_a_stage_that_makes_answers_late(stage: str, cause: str, says: str) -> None:
    found = bottleneck(*late(stage, 2))
    assert found.cause == cause
    assert says in found.sentence


@pytest.mark.parametrize(
    ("why", "cause", "says"),
    [
        ("error", "failing", "an error (1) or an open circuit breaker (0)"),
        ("breaker", "failing", "an error (0) or an open circuit breaker (1)"),
        ("cold", "cold", "/readyz"),
        ("tired", "other", "`tired`"),
    ],
)
def test_other_reasons_of_degraded_answers(why: str, cause: str, says: str) -> None:
    found = bottleneck(without_large(why))
    assert found.cause == cause
    assert says in found.sentence


def test_causes_add_up_and_the_most_frequent_comes_first() -> None:
    records = [
        *late("loop", 3),
        *[without_large("overload", number) for number in range(5)],
        without_large("budget", total_ms=2.0),
        large(),
    ]
    audit = audited(records)
    assert [(each.name, each.total) for each in audit.causes] == [("queue", 5), ("loop", 3), ("budget", 1)]
    assert sum(each.share for each in audit.causes) == pytest.approx(9 / 10)
