"""Budgets are finite and never extended; the books always balance; a batch that drags is seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from budgets.deadline import BudgetSettings, grant_ns, open_budget
from budgets.job import Batch
from budgets.ledger import Ledger, Stage
from tests.jobs import linear, work_of

MS = 1_000_000
NUMBERS = st.floats(allow_nan=False)
SETTINGS = st.builds(
    BudgetSettings,
    default_ms=st.floats(0.001, 60_000),
    max_ms=st.floats(0.001, 60_000),
    net_reserve_ms=st.floats(0, 1_000),
)
MARKS = st.lists(st.tuples(st.sampled_from(Stage), st.integers(0, 10**12)))


@given(st.lists(NUMBERS), SETTINGS)
def test_a_grant_is_finite_and_no_more_than_anybody_stated(stated_ms: list[float], settings: BudgetSettings) -> None:
    granted_ns = grant_ns(stated_ms, settings)
    assert abs(granted_ns) <= settings.max_ms * MS
    for stated in stated_ms or [settings.default_ms]:
        assert granted_ns <= max(stated, -settings.max_ms) * MS + 1


@given(st.lists(NUMBERS, min_size=1), NUMBERS, SETTINGS)
def test_one_more_statement_never_extends(stated_ms: list[float], more_ms: float, settings: BudgetSettings) -> None:
    assert grant_ns([*stated_ms, more_ms], settings) <= grant_ns(stated_ms, settings)


@given(st.integers(0, 2**62), st.integers(-(10**11), 10**11), SETTINGS)
def test_the_deadline_is_never_after_what_was_granted(start_ns: int, total_ns: int, settings: BudgetSettings) -> None:
    budget = open_budget(total_ns, settings, Ledger(start_ns))
    assert budget.deadline_ns <= start_ns + total_ns
    assert (total_ns > 0) == (budget.remaining_ns(start_ns) > 0)
    assert start_ns + total_ns - budget.deadline_ns <= max(0, total_ns) // 10 + 1


@given(st.integers(0, 10**12), MARKS)
def test_stages_sum_to_the_elapsed_time_whatever_is_marked(start_ns: int, marks: list[tuple[Stage, int]]) -> None:
    ledger, elapsed_ns = Ledger(start_ns), 0
    for stage, now_ns in marks:
        before = list(ledger.stages_ns)
        ledger.mark(stage, now_ns)
        assert ledger.elapsed_ns >= elapsed_ns, "time does not go back"
        elapsed_ns = ledger.elapsed_ns
        assert [s for s in Stage if ledger.stages_ns[s] != before[s]] in ([], [stage])
        assert sum(ledger.stages_ns) == elapsed_ns
    assert elapsed_ns == max([start_ns, *(now_ns for _, now_ns in marks)]) - start_ns


@given(st.integers(0, 100), st.integers(0, 200), st.integers(0, 1_000))
def test_a_running_batch_is_overdue_exactly_past_its_limit(expected_ns: int, limit_ns: int, elapsed_ns: int) -> None:
    batch = Batch(work_of(linear()), [], 0, expected_ns, limit_ns, 1)
    is_overdue = elapsed_ns > limit_ns
    assert batch.overdue_ns(elapsed_ns) == (elapsed_ns if is_overdue else 0)
    assert batch.left_ns(elapsed_ns) == (elapsed_ns if is_overdue else max(0, expected_ns - elapsed_ns))
    batch.run(lambda: elapsed_ns)
    assert (batch.overdue_ns(elapsed_ns), batch.left_ns(elapsed_ns)) == (0, 0)
