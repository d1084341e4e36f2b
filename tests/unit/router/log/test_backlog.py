from __future__ import annotations

from router.log import DecisionRecord
from router.log.backlog import Backlog
from tests.log_records import record


def test_records_leave_oldest_first_and_only_when_settled() -> None:
    backlog: Backlog[DecisionRecord] = Backlog(10)
    for number in range(5):
        assert backlog.offer(record(number))
    assert backlog.batch(3) == [record(0), record(1), record(2)]
    assert len(backlog) == 5
    backlog.settle(3)
    assert backlog.batch(3) == [record(3), record(4)]
    assert (backlog.accepted_total, backlog.settled_total) == (5, 3)


def test_a_full_backlog_refuses_and_counts() -> None:
    backlog: Backlog[DecisionRecord] = Backlog(2)
    assert [backlog.offer(record(number)) for number in range(4)] == [True, True, False, False]
    assert (backlog.accepted_total, backlog.refused_total) == (2, 2)
    backlog.settle(1)
    assert backlog.offer(record(5))


def test_a_snapshot_has_all_oldest_first() -> None:
    backlog: Backlog[DecisionRecord] = Backlog(10)
    backlog.offer(record(1))
    backlog.offer(record(2))
    found = backlog.snapshot()
    backlog.settle(1)
    assert found == [record(1), record(2)]
    assert backlog.snapshot() == [record(2)]


def test_what_is_forced_in_needs_no_room() -> None:
    backlog: Backlog[DecisionRecord] = Backlog(1)
    assert backlog.offer(record(1))
    backlog.force(record(2))
    assert backlog.batch(9) == [record(1), record(2)]
    assert (backlog.accepted_total, backlog.refused_total) == (2, 0)
    backlog.settle(1)
    assert not backlog.offer(record(3))
