"""Every nanosecond belongs to one stage."""

from __future__ import annotations

from budgets.ledger import STAGES, Ledger, Stage


def test_the_list_of_stages_is_the_contract() -> None:
    assert STAGES == (
        "parse", "admit", "floor", "context", "cache", "queue", "infer", "policy", "assign", "encode", "loop",
    )  # fmt: skip


def test_time_since_the_last_mark_goes_to_the_stage() -> None:
    ledger = Ledger(100)
    ledger.mark(Stage.PARSE, 130)
    ledger.mark(Stage.INFER, 150)
    ledger.mark(Stage.PARSE, 155)
    assert ledger.stages_ns[Stage.PARSE] == 35
    assert ledger.stages_ns[Stage.INFER] == 20
    assert ledger.elapsed_ns == sum(ledger.stages_ns) == 55


def test_a_stamp_from_before_the_last_mark_books_nothing() -> None:
    ledger = Ledger(100)
    ledger.mark(Stage.CACHE, 200)
    ledger.mark(Stage.QUEUE, 150)
    ledger.mark(Stage.INFER, 210)
    assert ledger.stages_ns[Stage.QUEUE] == 0
    assert ledger.stages_ns[Stage.INFER] == 10
    assert ledger.elapsed_ns == 110


def test_only_stages_that_were_entered_are_told() -> None:
    ledger = Ledger(0)
    ledger.mark(Stage.PARSE, 1_234_567)
    ledger.mark(Stage.ENCODE, 2_000_000)
    assert ledger.stages_ms() == {"parse": 1.235, "encode": 0.765}
