from __future__ import annotations

import pytest

from budgets.allowance import Allowance, Rejections
from budgets.criticality import CLASSES, CRITICAL, CRITICAL_PLUS, SHEDDABLE, SHEDDABLE_PLUS
from budgets.deadline import NS_PER_MS as MS

S = 1_000 * MS
START_NS = 77 * S


def spent_by(allowance: Allowance, rank: int, cost_ns: int, now_ns: int) -> int:
    """How many such jobs may wait, one after the other, at one moment."""
    count = 0
    while allowance.draw(rank, cost_ns, 1, now_ns):
        count += 1
    return count


def test_each_class_leaves_something_for_the_more_critical() -> None:
    allowance = Allowance(0.85)
    drawn = [spent_by(allowance, rank, 10 * MS, START_NS) for rank in reversed(range(CLASSES))]
    assert drawn == [50, 20, 20, 10]
    assert allowance.share == 0.0


@pytest.mark.parametrize("rank", [CRITICAL_PLUS, CRITICAL, SHEDDABLE_PLUS, SHEDDABLE])
def test_it_is_refilled_a_little_slower_than_time_passes(rank: int) -> None:
    allowance = Allowance(0.85)
    spent_by(allowance, rank, 10 * MS, START_NS)
    assert spent_by(allowance, rank, 10 * MS, START_NS + 200 * MS) == 17


def test_an_idle_executor_is_for_anybody_and_never_owed() -> None:
    allowance = Allowance(0.5)
    spent_by(allowance, CRITICAL_PLUS, 1 * MS, START_NS)
    for _ in range(1_000):
        assert allowance.draw(SHEDDABLE, 100 * MS, 0, START_NS)
    assert allowance.draw(CRITICAL_PLUS, MS, 1, START_NS + 2), "the next refill is not eaten up by what was idle"


def test_what_was_taken_too_much_is_made_good_before_the_next_may_wait() -> None:
    allowance = Allowance(0.5)
    assert allowance.draw(CRITICAL_PLUS, 3 * S, 1, START_NS)
    assert not allowance.draw(CRITICAL_PLUS, MS, 1, START_NS + 4 * S)
    assert allowance.draw(CRITICAL_PLUS, MS, 1, START_NS + 4 * S + 1_000)


def test_a_dear_critical_job_is_not_refused_where_a_cheap_sheddable_one_is_not() -> None:
    allowance = Allowance(0.85)
    spent_by(allowance, SHEDDABLE, 10 * MS, START_NS)
    assert allowance.draw(CRITICAL, 700 * MS, 1, START_NS)


def test_a_refund_is_drawn_again_but_fills_no_more_than_there_was() -> None:
    allowance = Allowance(0.85)
    allowance.draw(CRITICAL, 600 * MS, 1, START_NS)
    assert allowance.drawn_ns == 600 * MS
    allowance.refund(600 * MS)
    assert (allowance.share, allowance.drawn_ns) == (1.0, 0)
    allowance.refund(600 * MS)
    assert allowance.share == 1.0


def test_what_is_taken_without_leave_is_owed_for_a_full_bucket_at_most() -> None:
    allowance = Allowance(1.0)
    for _ in range(9):
        allowance.take(S)
    assert (allowance.share, allowance.drawn_ns) == (0.0, 9 * S)
    assert not allowance.draw(CRITICAL_PLUS, MS, 1, START_NS)
    assert not allowance.draw(CRITICAL_PLUS, MS, 1, START_NS + S)
    assert allowance.draw(CRITICAL_PLUS, MS, 1, START_NS + S + 1_000)


def test_a_clock_that_was_read_earlier_refills_nothing_twice() -> None:
    allowance = Allowance(1.0)
    spent_by(allowance, CRITICAL_PLUS, 100 * MS, START_NS)
    allowance.draw(CRITICAL_PLUS, 0, 0, START_NS + 100 * MS)
    allowance.draw(CRITICAL_PLUS, 0, 0, START_NS)
    assert allowance.draw(CRITICAL_PLUS, 100 * MS, 1, START_NS + 100 * MS)
    assert not allowance.draw(CRITICAL_PLUS, 100 * MS, 1, START_NS + 100 * MS)


def test_what_may_be_rejected_is_what_the_share_leaves() -> None:
    rejections = Rejections(0.2)
    assert rejections.next_share(10) == pytest.approx(0.2)
    rejections.count(100, 10, START_NS)
    assert rejections.next_share(10) == 1.0
    rejections.count(0, 10, START_NS)
    assert rejections.next_share(100) == pytest.approx(0.2)
    rejections.count(0, 20, START_NS)
    assert rejections.next_share(100) == 0.0


def test_rejections_are_forgotten_after_ten_seconds() -> None:
    rejections = Rejections(0.1)
    rejections.count(100, 60, START_NS)
    for second in range(9):
        rejections.count(10, 0, START_NS + second * S)
        assert rejections.next_share(1) == 0.0
    rejections.count(10, 0, START_NS + 10 * S)
    assert rejections.next_share(1) == 1.0


def test_a_silence_of_years_forgets_everything_at_once() -> None:
    rejections = Rejections(0.1)
    rejections.count(100, 60, START_NS)
    rejections.count(10, 0, START_NS + 10**18)
    assert rejections.next_share(1) == 1.0
