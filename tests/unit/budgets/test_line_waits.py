"""Whether it is worth while to wait for one more, and how long a newcomer waits."""

from __future__ import annotations

from typing import Any

import pytest

from budgets.criticality import CRITICAL, CRITICAL_PLUS, SHEDDABLE, SHEDDABLE_PLUS
from budgets.job import Work
from budgets.line import MAX_TEXTS, Line
from tests.jobs import BLOCK_NS, MS, NEVER_NS, LinearCost, echo, job_of, line_of, linear, shared, take, work_of

US = 1_000


def running(since_ns: int, cost: LinearCost) -> Line:
    """A line whose one job was taken then."""
    line = line_of(job_of(work_of(cost)))
    assert line.take(since_ns).batch is not None
    return line


# Waiting for one more.


def coming(work: Work[Any, Any], gap_ns: int, count: int = 1, **fields: Any) -> tuple[Line, int]:
    """Arrivals so far apart, of which the last `count` still wait; and when the last one came."""
    line, now_ns = Line(64, fields.pop("block_ns", BLOCK_NS)), 0
    for number in range(10):
        now_ns += gap_ns
        job = job_of(work, number, enqueued_ns=now_ns, **fields)
        assert line.join(job, now_ns)
        if number < 10 - count:
            job.cancelled = True
    return line, now_ns


def wait_until_ns(line: Line, now_ns: int) -> int | None:
    turn = line.take(now_ns)
    assert (turn.batch is None) == (turn.wait_until_ns is not None)
    return turn.wait_until_ns


def test_it_waits_two_milliseconds_for_one_more_who_saves_more_than_that() -> None:
    line, now_ns = coming(work_of(shared()), gap_ns=MS)
    assert wait_until_ns(line, now_ns) == now_ns + 2 * MS
    assert wait_until_ns(line, now_ns + MS) == now_ns + 2 * MS, "counted from the arrival"
    assert wait_until_ns(line, now_ns + 2 * MS) is None
    assert len(line) == 10


def test_one_more_who_comes_meanwhile_runs_with_it() -> None:
    work = work_of(shared())
    line, now_ns = coming(work, gap_ns=MS)
    assert wait_until_ns(line, now_ns) is not None
    line.join(job_of(work, enqueued_ns=now_ns + MS), now_ns + MS)
    assert len(take(line, now_ns + 2 * MS)) == 2


@pytest.mark.parametrize(
    ("gap_us", "waiting", "waits"),
    [
        pytest.param(1_999, 1, True, id="a wait of 2 ms for 9 ms saved"),
        pytest.param(2_000, 1, False, id="he is not expected within 2 ms"),
        pytest.param(999, 2, True, id="two wait"),
        pytest.param(1_000, 2, False, id="two who wait pay twice"),
        pytest.param(199, 10, True, id="ten wait"),
        pytest.param(200, 10, False, id="and pay ten times"),
    ],
)
def test_all_who_wait_pay_for_the_wait(gap_us: int, waiting: int, waits: bool) -> None:
    line, now_ns = coming(work_of(shared()), gap_us * US, waiting)
    assert (wait_until_ns(line, now_ns) is not None) == waits


def test_those_who_can_not_join_pay_for_the_wait_too() -> None:
    work = work_of(shared())
    line, now_ns = coming(work, gap_ns=500 * US)
    line.join(job_of(work_of(linear()), enqueued_ns=now_ns), now_ns)
    line.join(job_of(work_of(linear()), enqueued_ns=now_ns), now_ns)
    assert wait_until_ns(line, now_ns) is not None
    line.join(job_of(work_of(linear()), enqueued_ns=now_ns), now_ns)
    assert wait_until_ns(line, now_ns) is None


@pytest.mark.parametrize(("saved_us", "waits"), [(999, False), (1_001, True)])
def test_it_waits_only_if_he_saves_more_than_the_wait_costs(saved_us: int, waits: bool) -> None:
    line, now_ns = coming(work_of(LinearCost(saved_us * US, 5 * MS)), gap_ns=MS)
    assert (wait_until_ns(line, now_ns) is not None) == waits


def test_where_nothing_is_saved_nobody_is_waited_for() -> None:
    line, now_ns = coming(work_of(linear()), gap_ns=1)
    assert wait_until_ns(line, now_ns) is None


def test_the_first_ever_waits_for_nobody() -> None:
    line = Line(64, BLOCK_NS)
    line.join(job_of(work_of(shared()), enqueued_ns=5), 5)
    assert wait_until_ns(line, 5) is None


def test_after_a_silence_nobody_is_waited_for() -> None:
    work = work_of(shared())
    line, now_ns = coming(work, gap_ns=US)
    assert len(take(line, now_ns + 5 * MS)) == 1
    now_ns += 1_000 * MS
    line.join(job_of(work, enqueued_ns=now_ns), now_ns)
    assert wait_until_ns(line, now_ns) is None


def test_a_full_batch_waits_for_nobody() -> None:
    work = work_of(shared())
    line = Line(64, BLOCK_NS)
    for number in range(MAX_TEXTS):
        line.join(job_of(work, enqueued_ns=number), number)
    assert len(take(line, MAX_TEXTS)) == MAX_TEXTS


def test_it_waits_for_nobody_for_whom_the_block_has_no_room() -> None:
    for block_ns, waits in ((13_200 * US, True), (13_199 * US, False)):  # 11 ms, times 1.2
        line, now_ns = coming(work_of(shared()), gap_ns=MS, block_ns=block_ns)
        assert (wait_until_ns(line, now_ns) is not None) == waits


def test_it_waits_as_long_as_both_will_be_in_time() -> None:
    """They take 11 ms, times 1.5."""
    line, now_ns = coming(work_of(shared()), gap_ns=100 * US, commit_ns=18 * MS)
    assert now_ns == MS
    assert wait_until_ns(line, now_ns) == 1_500 * US
    line, now_ns = coming(work_of(shared()), gap_ns=100 * US, commit_ns=17_500 * US)
    assert wait_until_ns(line, now_ns) is None


@pytest.mark.parametrize(("latest_us", "expected_us"), [(2_000, 1_500), (1_600, 1_100), (1_500, None), (1_000, None)])
def test_nobody_dies_of_the_wait(latest_us: int, expected_us: int | None) -> None:
    """Half a millisecond is kept: so late may a thread wake."""
    line, now_ns = coming(work_of(shared()), gap_ns=100 * US, latest_start_ns=latest_us * US)
    assert wait_until_ns(line, now_ns) == (None if expected_us is None else expected_us * US)


def test_the_gap_follows_the_arrivals() -> None:
    work = work_of(linear())
    work.arrive(0)
    assert work.gap_ns == float("inf")
    for number in range(1, 100):
        work.arrive(number * MS)
    assert work.gap_ns == pytest.approx(MS)
    work.arrive(109 * MS)
    assert work.gap_ns == pytest.approx(1.9 * MS)


def test_who_is_turned_away_is_no_arrival() -> None:
    work, line = work_of(linear()), Line(1, BLOCK_NS)
    assert line.join(job_of(work), 0)
    assert not line.join(job_of(work), 5)
    assert work.gap_ns == float("inf")


# How long a newcomer waits, and for how many.


def test_ahead_of_a_newcomer_are_those_that_run_and_those_as_critical() -> None:
    work = work_of(linear())
    line = line_of(
        *(job_of(work, rank=rank) for rank in (CRITICAL_PLUS, CRITICAL_PLUS, CRITICAL, SHEDDABLE, SHEDDABLE))
    )
    ranks = (CRITICAL_PLUS, CRITICAL, SHEDDABLE_PLUS, SHEDDABLE)
    assert [line.ahead(rank) for rank in ranks] == [2, 3, 3, 5]
    jobs = take(line)
    assert [line.ahead(rank) for rank in ranks] == [2, 3, 3, 5]
    line.leave(jobs[0])
    assert [line.ahead(rank) for rank in ranks] == [1, 2, 2, 4]


@pytest.mark.parametrize(
    ("elapsed_ms", "left_ms"),
    [
        pytest.param(0, 12, id="just started"),
        pytest.param(4, 8, id="on its way"),
        pytest.param(13, 0, id="longer than expected, within its limit: any moment"),
        pytest.param(15, 0, id="at its limit"),
        pytest.param(16, 16, id="overdue: as long again"),
        pytest.param(500, 500, id="stalled"),
    ],
)
def test_how_long_a_newcomer_waits_for_a_running_batch(elapsed_ms: int, left_ms: int) -> None:
    line, now_ns = running(100, linear()), 100 + elapsed_ms * MS
    assert line.wait_ns(CRITICAL, NEVER_NS, now_ns) == left_ms * MS
    assert line.wait_ns(CRITICAL_PLUS, now_ns, now_ns) == left_ms * MS, "nobody interrupts it"


def test_those_before_him_count_the_cancelled_and_those_after_him_do_not() -> None:
    work = work_of(linear())
    cancelled = job_of(work, latest_start_ns=20 * MS)
    cancelled.cancelled = True
    line = line_of(
        job_of(work, rank=CRITICAL_PLUS, latest_start_ns=90 * MS),
        job_of(work, latest_start_ns=20 * MS),
        cancelled,
        job_of(work, latest_start_ns=40 * MS),
        job_of(work, rank=SHEDDABLE, latest_start_ns=20 * MS),
    )
    assert line.wait_ns(CRITICAL_PLUS, 80 * MS, 0) == 0
    assert line.wait_ns(CRITICAL, 19 * MS, 0) == 10 * MS
    assert line.wait_ns(CRITICAL, 20 * MS, 1) == 20 * MS, "who came first goes first"
    assert line.wait_ns(CRITICAL, 50 * MS, 0) == 30 * MS
    assert line.wait_ns(SHEDDABLE, 50 * MS, 0) == 40 * MS


def test_those_who_will_run_in_one_call_cost_one_call() -> None:
    work, other = work_of(shared()), work_of(linear())
    line = line_of(*(job_of(each, latest_start_ns=place) for place, each in enumerate((work, work, work, other, work))))
    assert line.wait_ns(CRITICAL, 99, 0) == (12 + 10 + 10) * MS
    line = line_of(*(job_of(work) for _ in range(MAX_TEXTS + 1)))
    assert line.wait_ns(SHEDDABLE, 99, 0) == (9 + MAX_TEXTS + 10) * MS
    line = line_of(*(job_of(work) for _ in range(3)), block_ns=11 * MS)
    assert line.wait_ns(SHEDDABLE, 99, 0) == (11 + 10) * MS


def test_a_batch_that_has_ended_but_not_left_yet_costs_nothing() -> None:
    """Its thread has stamped the end; the event loop has not heard of it."""
    line = running(0, linear())
    assert line.running is not None
    line.running.run(lambda: 100 * MS)
    assert line.wait_ns(CRITICAL, NEVER_NS, 101 * MS) == 0
    assert line.overdue_ns(101 * MS) == 0


def test_a_batch_is_overdue_past_its_limit() -> None:
    work = work_of(linear(), echo)
    line = line_of(job_of(work), job_of(work))
    assert line.overdue_ns(10**12) == 0
    assert line.take(0).batch is not None
    assert line.overdue_ns(15 * MS) == 0
    assert line.overdue_ns(15 * MS + 1) == 15 * MS + 1
