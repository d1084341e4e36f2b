from __future__ import annotations

import pytest

from router.audit import window
from router.audit.window import Windows

S = 1_000_000_000


def test_busy_shares_are_of_the_windows_that_had_requests() -> None:
    windows = Windows()
    for second, busy_us, troubled in ((0, 500_000, 0), (1, 1_000_000, 3), (90_000, 0, 1)):
        at = windows.at(second * S)
        at.n, at.executor_us, at.loop_us, at.troubled = 5, busy_us, busy_us / 10, troubled
    assert windows.executor_share() == pytest.approx(0.5)
    assert windows.loop_share() == pytest.approx(0.05)
    assert windows.executor_share_in_trouble() == pytest.approx(0.75)  # three met 100 %, one met 0 %
    assert windows.loop_share_in_trouble() == pytest.approx(0.075)
    at_ns, worst = windows.worst()
    assert (at_ns, worst.troubled) == (S, 3)


def test_nothing_was_never_busy() -> None:
    assert Windows().executor_share() == Windows().executor_share_in_trouble() == 0.0


def test_windows_widen_instead_of_growing_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "_MOST_WINDOWS", 4)
    windows = Windows()
    for second in range(31, -1, -1):
        at = windows.at(second * S)
        at.n += 1
        at.executor_us += 250_000
    assert windows.width_ns == 8 * S
    assert len(windows._windows) == 4
    assert windows.executor_share() == pytest.approx(0.25)


def test_room_is_found_window_by_window() -> None:
    windows = Windows()
    full, idle = windows.at(0), windows.at(S)
    full.queued, full.executor_us = 100, 850_000  # one executor has no room left
    idle.queued, idle.executor_us = 3, 0
    assert windows.answerable(executors=1, cost_us=10_000) == 3
    assert windows.answerable(executors=2, cost_us=10_000) == 85 + 3
    assert windows.answerable(executors=1, cost_us=5_000, cheaper=0.5) == 85 + 3
