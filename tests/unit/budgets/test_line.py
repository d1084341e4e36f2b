"""The line in front of an executor."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from budgets.line import Job, Line

MS = 1_000_000


def job(call: Callable[[], object] = object, expected_ns: int = 10 * MS, latest_start_ns: int = MS) -> Job[Any]:
    return Job(call, expected_ns, 15 * MS, latest_start_ns, lambda _: None)


def running(since_ns: int) -> Job[Any]:
    started = job()
    started.start_ns = since_ns
    return started


def test_a_job_starts_until_its_latest_start_unless_it_is_cancelled() -> None:
    waiting = job(latest_start_ns=7)
    assert waiting.is_startable(7)
    assert not waiting.is_startable(8)
    waiting.cancelled = True
    assert not waiting.is_startable(0)


def test_a_run_keeps_value_and_times() -> None:
    ran, ticks = job(lambda: "value"), itertools.count(5)
    ran.run(lambda: next(ticks))
    assert (ran.value, ran.error, ran.start_ns, ran.end_ns) == ("value", None, 5, 6)


def test_a_run_keeps_the_error() -> None:
    def fail() -> None:
        raise ValueError("no")

    ran = job(fail)
    ran.run(lambda: 5)
    assert (ran.value, repr(ran.error), ran.end_ns) == (None, "ValueError('no')", 5)


def test_the_line_is_bounded() -> None:
    line, jobs = Line(2), [job() for _ in range(3)]
    assert [line.join(each) for each in jobs] == [True, True, False]
    line.leave(jobs[0])
    assert len(line) == 1
    assert line.join(jobs[2])


@pytest.mark.parametrize(
    ("elapsed_ms", "left_ms"),
    [
        pytest.param(0, 10, id="just started"),
        pytest.param(4, 6, id="on its way"),
        pytest.param(12, 0, id="longer than expected, within its limit: any moment"),
        pytest.param(15, 0, id="at its limit"),
        pytest.param(16, 16, id="overdue: as long again"),
        pytest.param(500, 500, id="stalled"),
    ],
)
def test_how_long_a_newcomer_waits_for_a_running_job(elapsed_ms: int, left_ms: int) -> None:
    line = Line(9)
    line.join(running(since_ns=100))
    assert line.wait_ns(100 + elapsed_ms * MS) == left_ms * MS


def test_those_who_wait_count_the_cancelled_do_not() -> None:
    line, cancelled = Line(9), job()
    cancelled.cancelled = True
    for each in (running(since_ns=0), job(), cancelled, job(expected_ns=3 * MS)):
        line.join(each)
    assert line.wait_ns(0) == (10 + 10 + 3) * MS


def test_a_job_that_has_ended_but_not_left_yet_costs_nothing() -> None:
    """Its thread has stamped the end; the event loop has not heard of it."""
    line, ended = Line(9), running(since_ns=0)
    ended.end_ns = 100 * MS
    line.join(ended)
    assert line.wait_ns(101 * MS) == 0
    assert line.overdue_ns(101 * MS) == 0


def test_a_job_is_overdue_past_its_limit() -> None:
    line = Line(9)
    assert line.overdue_ns(0) == 0
    line.join(running(since_ns=0))
    line.join(job())
    assert line.overdue_ns(15 * MS) == 0
    assert line.overdue_ns(15 * MS + 1) == 15 * MS + 1
