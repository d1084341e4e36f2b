"""What is granted, and the deadline it becomes."""

from __future__ import annotations

import pytest

from budgets.deadline import BudgetSettings, grant_ns, open_budget
from budgets.ledger import Ledger, Stage

MS = 1_000_000
SETTINGS = BudgetSettings(default_ms=50, max_ms=1_000, net_reserve_ms=1)


@pytest.mark.parametrize(
    ("stated_ms", "expected_ns"),
    [
        pytest.param([], 50 * MS, id="none stated: the default, never infinite"),
        pytest.param([20], 20 * MS, id="one"),
        pytest.param([300, 20, 70], 20 * MS, id="the smallest"),
        pytest.param([5_000], 1_000 * MS, id="cut to the maximum"),
        pytest.param([float("inf")], 1_000 * MS, id="infinite"),
        pytest.param([0.5], MS // 2, id="below a millisecond"),
        pytest.param([0], 0, id="zero stays zero"),
        pytest.param([100, -3], -3 * MS, id="negative stays negative"),
        pytest.param([-1e308], -1_000 * MS, id="a number that is no number of nanoseconds"),
    ],
)
def test_what_is_granted(stated_ms: list[float], expected_ns: int) -> None:
    assert grant_ns(stated_ms, SETTINGS) == expected_ns


@pytest.mark.parametrize(
    ("total_ns", "deadline_ns"),
    [
        pytest.param(50 * MS, 49 * MS, id="the reserve is kept back"),
        pytest.param(2 * MS, 1_800_000, id="at most a tenth of the budget"),
        pytest.param(0, 0, id="nothing of nothing"),
        pytest.param(-5 * MS, -5 * MS, id="an expired budget is not made later"),
    ],
)
def test_the_deadline_lies_before_the_end_by_the_reserve(total_ns: int, deadline_ns: int) -> None:
    budget = open_budget(total_ns, SETTINGS, Ledger(1_000))
    assert budget.deadline_ns == 1_000 + deadline_ns
    assert budget.total_ns == total_ns
    assert budget.remaining_ns(1_000) == deadline_ns
    assert budget.remaining_ns(2_000) == deadline_ns - 1_000


def test_met_until_the_last_nanosecond_of_what_was_granted() -> None:
    budget = open_budget(10 * MS, SETTINGS, Ledger(0))
    budget.ledger.mark(Stage.INFER, 10 * MS)
    assert budget.is_met()
    budget.ledger.mark(Stage.ENCODE, 10 * MS + 1)
    assert not budget.is_met()


def test_a_ledger_that_has_begun_is_kept() -> None:
    ledger = Ledger(0)
    assert open_budget(MS, SETTINGS, ledger).ledger is ledger
