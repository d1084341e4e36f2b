from __future__ import annotations

import pytest

from budgets.criticality import CRITICAL, CRITICAL_PLUS, SHEDDABLE, SHEDDABLE_PLUS
from budgets.limit import Limit

TARGET = 0.25


def settled(delay_share: float, *, windows: int = 200, max_jobs: int = 64) -> Limit:
    """A limit after many windows like each other, all with as many jobs in flight as it allows."""
    limit = Limit(max_jobs, TARGET)
    for _ in range(windows):
        limit.follow(delay_share, int(limit.value) + 1, 10)
    return limit


def test_it_starts_with_room_but_within_what_the_line_holds() -> None:
    assert Limit(64, TARGET).value == 16.0
    assert Limit(5, TARGET).value == 5.0
    assert Limit(1, TARGET).value == 2.0


def test_long_waits_shrink_it_to_one_that_runs_and_one_that_waits() -> None:
    assert settled(1.0).value == 2.0


def test_short_waits_grow_it_to_what_the_line_holds() -> None:
    assert settled(0.01).value == 64.0


@pytest.mark.parametrize(("delay_share", "least", "most"), [(0.28, 10, 70), (0.32, 3, 6)])
def test_it_settles_where_waits_are_a_little_over_the_target(delay_share: float, least: float, most: float) -> None:
    """Its headroom keeps it there: a limit of 4 at 1.3 times the target, one of 64 at 1.1 times."""
    limit = settled(delay_share, windows=2_000, max_jobs=1_000)
    assert least < limit.value < most


def test_one_window_moves_it_by_a_tenth_at_most_downwards() -> None:
    limit = Limit(64, TARGET)
    limit.follow(4.0, 16, 10)
    assert 14.0 < limit.value < 16.0


def test_it_does_not_grow_while_half_of_it_would_do() -> None:
    limit = Limit(64, TARGET)
    limit.follow(0.01, 7, 10)
    assert limit.value == 16.0
    limit.follow(0.01, 8, 10)
    assert limit.value > 16.0
    limit.follow(1.0, 1, 10)
    assert limit.value < 17.0, "it shrinks nevertheless"


def drifted(*, throughput_follows: bool) -> Limit:
    """More in flight, longer waits, all short of the target; and more done, or not."""
    limit = Limit(1_000, TARGET)
    for window in range(120):
        inflight = 400 + 10 * (window % 30)
        limit.follow(0.05 + inflight / 10_000, inflight, inflight / 8 if throughput_follows else 50 + window % 2)
    return limit


def test_it_does_not_drift_upwards_past_the_knee() -> None:
    assert drifted(throughput_follows=False).value < 0.5 * drifted(throughput_follows=True).value


def test_waits_that_do_not_vary_are_no_drift() -> None:
    assert settled(0.01, windows=400, max_jobs=10_000).value == 10_000


def test_the_less_critical_leave_room_and_critical_plus_knows_no_limit_but_the_line() -> None:
    limit = Limit(64, TARGET)
    assert [limit.admits(SHEDDABLE, jobs) for jobs in (7, 8)] == [True, False]
    assert [limit.admits(SHEDDABLE_PLUS, jobs) for jobs in (11, 12)] == [True, False]
    assert [limit.admits(CRITICAL, jobs) for jobs in (15, 16)] == [True, False]
    assert [limit.admits(CRITICAL_PLUS, jobs) for jobs in (63, 64)] == [True, False]
