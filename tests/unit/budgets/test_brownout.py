from __future__ import annotations

from budgets.brownout import Brownout, Luxury, RecentLag
from budgets.deadline import NS_PER_MS as MS

START_NS = 9_000 * MS


def test_each_late_window_drops_one_more() -> None:
    brownout = Brownout()
    assert not brownout.off
    steps = []
    for _ in range(5):
        brownout.follow(1.1)
        steps.append(brownout.step)
    assert steps == [1, 2, 3, 3, 3]
    assert list(brownout.off) == list(Luxury)


def test_one_is_taken_up_again_after_ten_windows_well_below() -> None:
    brownout = Brownout()
    brownout.follow(2.0)
    brownout.follow(2.0)
    for _ in range(9):
        brownout.follow(0.4)
    assert brownout.step == 2
    brownout.follow(0.4)
    assert list(brownout.off) == [Luxury.CACHE_WRITES]


def test_a_window_near_the_bound_begins_the_count_anew_and_drops_nothing() -> None:
    brownout = Brownout()
    brownout.follow(2.0)
    for _ in range(9):
        brownout.follow(0.1)
    brownout.follow(0.8)
    for _ in range(9):
        brownout.follow(0.1)
    assert brownout.step == 1
    brownout.follow(0.1)
    assert brownout.step == 0


def test_a_silence_takes_everything_up_again() -> None:
    brownout = Brownout()
    for _ in range(3):
        brownout.follow(2.0)
    brownout.rest(25)
    assert brownout.step == 1
    brownout.rest(5)
    assert brownout.step == 0
    brownout.rest(10**12)
    assert brownout.step == 0


def ticked(*lags_ms: int) -> RecentLag:
    lag = RecentLag()
    for at, lag_ms in enumerate(lags_ms):
        lag.observe(lag_ms * MS, START_NS + at * 20 * MS)
    return lag


def test_one_late_tick_moves_neither_reading() -> None:
    assert ticked(0, 0, 100, 0, 0).close(START_NS + 100 * MS) == (0, 0)


def test_two_late_ticks_are_the_upper_reading_three_the_median() -> None:
    assert ticked(0, 30, 0, 40, 0).close(START_NS + 100 * MS) == (0, 30 * MS)
    assert ticked(0, 30, 20, 40, 0).close(START_NS + 100 * MS) == (20 * MS, 30 * MS)


def test_a_window_without_a_tick_is_as_late_as_the_next_one_is_overdue() -> None:
    lag = ticked(0, 0, 0, 0, 0)
    last_ns = START_NS + 80 * MS
    readings = [lag.close(last_ns + windows * 100 * MS) for windows in range(5)]
    assert readings == [(0, 0), (0, 0), (0, 80 * MS), (80 * MS, 180 * MS), (180 * MS, 280 * MS)]


def test_a_monitor_that_never_ticked_says_nothing() -> None:
    lag = RecentLag()
    assert {lag.close(START_NS + windows * 100 * MS) for windows in range(10)} == {(0, 0)}
