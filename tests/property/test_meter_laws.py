"""A meter against the sum over all that it was told."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from router.insight.meter import DAY_MS, HOUR_MS, MINUTE_MS, QUARTER_MS, Meter

# When, what is added to the counter, by what the level changes.
Change = tuple[int, int, int]
START_MS = 20_000 * DAY_MS + 12_345

gaps = st.one_of(st.integers(0, 3_000), st.integers(0, 5 * MINUTE_MS), st.integers(0, 9 * HOUR_MS))
changes = st.lists(st.tuples(gaps, st.integers(0, 3), st.integers(-2, 2)), max_size=60)


def played(steps: list[tuple[int, int, int]], fine_ms: int) -> tuple[Meter, list[Change]]:
    meter, told, at_ms = Meter(1, 1, START_MS, fine_ms=fine_ms), [], START_MS
    for gap, amount, change in steps:
        at_ms += gap
        meter.add(0, amount, at_ms)
        meter.shift(0, change, at_ms)
        told.append((at_ms, amount, change))
    return meter, told


def expected(told: list[Change], start_ms: int, now_ms: int) -> list[int]:
    total = sum(amount for at_ms, amount, _ in told if at_ms >= start_ms)
    return [total, sum(change * (now_ms - max(at_ms, start_ms)) for at_ms, _, change in told)]


@settings(max_examples=150, deadline=None)
@given(changes, st.sampled_from([DAY_MS, HOUR_MS]), st.integers(0, DAY_MS), gaps)
def test_a_window_is_the_sum_of_what_lies_in_it(
    steps: list[tuple[int, int, int]], fine_ms: int, window_ms: int, later_ms: int
) -> None:
    meter, told = played(steps, fine_ms)
    now_ms = meter.now_ms + later_ms
    start_ms = meter.start_of(window_ms, now_ms)
    assert 0 <= now_ms - start_ms - window_ms < (MINUTE_MS if window_ms <= fine_ms else QUARTER_MS)
    assert meter.window(start_ms, now_ms) == expected(told, start_ms, now_ms)


@settings(max_examples=50, deadline=None)
@given(changes, st.integers(0, DAY_MS), st.integers(0, DAY_MS))
def test_windows_add_up(steps: list[tuple[int, int, int]], one_ms: int, other_ms: int) -> None:
    meter, _ = played(steps, DAY_MS)
    starts = sorted(meter.start_of(window_ms, meter.now_ms) for window_ms in (one_ms, other_ms))
    early, late = (meter.window(start_ms, meter.now_ms) for start_ms in starts)
    between = [a - b for a, b in zip(early, late, strict=True)]
    assert between[0] >= 0
    assert [a + b for a, b in zip(between, late, strict=True)] == early


def test_memory_is_bounded_and_old_windows_stay_right() -> None:
    """Three days with a change every 20 seconds: rows are thinned over and over."""
    for fine_ms, most in ((DAY_MS, 1_570), (HOUR_MS, 190)):
        meter, told, rows = Meter(1, 1, START_MS, fine_ms=fine_ms), [], 0
        for number in range(3 * DAY_MS // 20_000):
            at_ms = START_MS + number * 20_000
            meter.add(0, number % 7, at_ms)
            meter.shift(0, -1 if number % 2 else 1, at_ms)
            told.append((at_ms, number % 7, -1 if number % 2 else 1))
            rows = max(rows, len(meter))
        assert most - 32 < rows <= most
        for window_ms in (0, 7 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS, 23 * HOUR_MS, DAY_MS):
            start_ms = meter.start_of(window_ms, meter.now_ms)
            assert meter.window(start_ms, meter.now_ms) == expected(told, start_ms, meter.now_ms)
