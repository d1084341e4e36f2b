"""The hard bounds, in their order."""

from __future__ import annotations

import pytest

from budgets.admission import Admission, AdmissionSettings, Refusal
from budgets.deadline import BudgetSettings, open_budget
from budgets.ledger import Ledger

MS = 1_000_000


def admission(max_inflight: int = 2) -> Admission:
    return Admission(AdmissionSettings(max_inflight=max_inflight))


@pytest.mark.parametrize(
    ("total_ns", "least_ns", "expected"),
    [
        pytest.param(0, 0, Refusal.EXPIRED, id="zero is expired, not urgent"),
        pytest.param(-MS, 0, Refusal.EXPIRED, id="negative"),
        pytest.param(10 * MS, 9 * MS, None, id="just enough after the reserve"),
        pytest.param(10 * MS, 9 * MS + 1, Refusal.UNMEETABLE, id="a nanosecond short"),
    ],
)
def test_the_budget_decides(total_ns: int, least_ns: int, expected: Refusal | None) -> None:
    budget = open_budget(total_ns, BudgetSettings(), Ledger(100))
    assert admission().admit(budget, 100, least_ns) is expected


def test_time_that_passed_before_the_door_counts() -> None:
    budget = open_budget(10 * MS, BudgetSettings(net_reserve_ms=0), Ledger(0))
    assert admission().admit(budget, 10 * MS - 1, 0) is None
    assert admission().admit(budget, 10 * MS, 0) is Refusal.EXPIRED


def test_no_more_than_the_bound_are_inside() -> None:
    door, budget = admission(2), open_budget(MS, BudgetSettings(), Ledger(0))
    assert door.admit(budget, 0, 0) is None
    assert door.admit(budget, 0, 0) is None
    assert door.admit(budget, 0, 0) is Refusal.FULL
    assert door.inflight == 2, "who was refused is not counted"
    door.release()
    assert door.admit(budget, 0, 0) is None


def test_the_order_of_the_reasons() -> None:
    door = admission(1)
    budget, expired = open_budget(MS, BudgetSettings(), Ledger(0)), open_budget(0, BudgetSettings(), Ledger(0))
    assert door.admit(budget, 0, 0) is None
    door.draining = True
    assert door.admit(expired, 0, 0) is Refusal.EXPIRED
    assert door.admit(budget, 0, 2 * MS) is Refusal.DRAINING
    door.draining = False
    assert door.admit(budget, 0, 2 * MS) is Refusal.FULL
    door.release()
    assert door.admit(budget, 0, 2 * MS) is Refusal.UNMEETABLE


def test_the_codes_on_the_wire() -> None:
    assert [refusal.value for refusal in Refusal] == [
        "deadline-expired", "rejected-draining", "rejected-inflight", "deadline-unmeetable", "rejected-overload",
    ]  # fmt: skip
