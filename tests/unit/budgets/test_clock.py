"""Monotonic and wall time."""

from __future__ import annotations

import time

import pytest

from budgets.clock import ManualClock, SystemClock


def test_the_system_clock_reads_the_machine() -> None:
    before_ns, before_wall_ns = time.monotonic_ns(), time.time_ns()
    clock = SystemClock()
    assert before_ns <= clock.now_ns() <= time.monotonic_ns()
    assert before_wall_ns <= clock.wall_ns() <= time.time_ns()


def test_a_manual_clock_moves_when_told() -> None:
    clock = ManualClock(now_ns=5, epoch_ns=1_000)
    clock.advance(7)
    assert (clock.now_ns(), clock.wall_ns()) == (12, 1_012)


def test_a_step_of_the_wall_leaves_monotonic_time_alone() -> None:
    clock = ManualClock(now_ns=5, epoch_ns=1_000)
    clock.step_wall(-500)
    assert (clock.now_ns(), clock.wall_ns()) == (5, 505)


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="advance\\(-1\\)"):
        ManualClock().advance(-1)
