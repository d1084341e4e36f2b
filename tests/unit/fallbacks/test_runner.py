"""Every waiter gets his answer by his own commit time; in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from budgets.criticality import CRITICAL, CRITICAL_PLUS, SHEDDABLE
from fallbacks.breaker import Ending, State
from fallbacks.ladder import Ask, Choice, Degraded
from fallbacks.runner import Run
from tests.jobs import job_of, linear, work_of
from tests.stage import P99_NS, Stage, busy, leave, play
from tests.virtual import MS, S


def test_a_value_in_time() -> None:
    async def scenario(stage: Stage) -> None:
        assert await stage.find("a", 50) == ("A", Degraded.NONE, 0, 10 * MS, "")
        assert stage.landed == [("a", "A")]
        assert stage.calls_seen() == (1, 0, 0)

    play(scenario)


def test_the_cost_is_learned() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.run("a", 50)
        stage.duration_ns = 40 * MS
        await stage.run("b", 50, length=70)
        assert stage.cost.seen == [(1, 20, 10 * MS, 10 * MS), (1, 70, 40 * MS, 50 * MS)]

    play(scenario)


def test_an_error_is_told_and_does_not_land() -> None:
    async def scenario(stage: Stage) -> None:
        stage.fails = True
        assert await stage.find("a", 50) == (None, Degraded.ERROR, 0, 10 * MS, "ValueError('broken')")
        assert stage.landed == []
        assert stage.calls_seen() == (1, 1, 0)

    play(scenario)


@pytest.mark.parametrize("jitter", [False, True])
def test_a_run_that_takes_too_long_is_given_up_at_the_commit_time_and_lands_late(jitter: bool) -> None:
    async def scenario(stage: Stage) -> None:
        stage.duration_ns = 500 * MS
        for number in range(20):
            start_ns = stage.now_ns
            found = await stage.find(str(number), 50)
            assert (found.value, found.why, found.end_ns) == (None, Degraded.BUDGET, None)
            waited_ns = stage.now_ns - start_ns
            assert 50 * MS <= waited_ns <= 51 * MS, "not before the time, and at most a timer's grain after it"
            await asyncio.sleep(10)
            assert len(stage.landed) == number + 1
            if stage.rung.breaker.state is not State.CLOSED:
                break
        assert stage.calls_seen()[2] > 0 or stage.rung.breaker.state is not State.CLOSED

    play(scenario, jitter=jitter)


def test_who_is_not_started_by_his_latest_start_gives_up_then() -> None:
    async def scenario(stage: Stage) -> None:
        stage.duration_ns = 100 * MS
        first = stage.start("first", 1_000)
        await asyncio.sleep(0.001)
        assert await stage.find("second", 40) == (None, Degraded.BUDGET, None, None, ""), "the first one is overdue"
        assert stage.now_ns == (1 + 40) * MS - P99_NS
        await first
        await asyncio.sleep(1)
        assert stage.calls == [["first"]], "the dead are never started"

    play(scenario)


@pytest.mark.parametrize(
    ("within_ms", "slow"),
    [pytest.param(8, 0, id="the margin was thin"), pytest.param(14, 1, id="99 in 100 are done by then")],
)
def test_a_rung_is_slow_only_beyond_what_was_expected_of_it(within_ms: int, slow: int) -> None:
    async def scenario(stage: Stage) -> None:
        stage.duration_ns = 20 * MS
        permit, until_ns = stage.rung.breaker.acquire(stage.now_ns), stage.now_ns + within_ms * MS
        assert permit is not None
        choice = Choice(stage.rung, permit, until_ns, 5 * MS, 0, 10 * MS)
        ran = await stage.runner.run("me", choice, Ask(CRITICAL, 2, until_ns, lambda _: True), "me")
        assert ran.why is Degraded.BUDGET
        assert stage.calls_seen() == (slow, 0, slow)

    play(scenario)


def test_who_is_behind_others_that_are_not_overdue_is_told_overload() -> None:
    async def scenario(stage: Stage) -> None:
        others = [stage.start(str(n), 30 + n) for n in range(5)]
        await asyncio.sleep(0.001)
        assert await stage.run("me", 40) == Run(None, Degraded.OVERLOAD)
        assert stage.calls_seen() == (2, 0, 0), "it says nothing of the rung"
        await asyncio.gather(*others)

    play(scenario)


def test_a_full_line_is_overload_at_once() -> None:
    async def scenario(stage: Stage) -> None:
        first = stage.start("first", 1_000)
        await asyncio.sleep(0)
        assert await stage.run("me", 1_000) == Run(None, Degraded.OVERLOAD)
        assert stage.now_ns == 0
        assert stage.books.refunded_ns == 10 * MS
        assert (await first).value == "FIRST"

    play(scenario, max_jobs=1)


# Runs that are shared.


def test_equal_keys_share_a_run_and_its_one_ending() -> None:
    async def scenario(stage: Stage) -> None:
        found = await asyncio.gather(*(stage.find("same", 100) for _ in range(30)))
        assert set(found) == {("SAME", Degraded.NONE, 0, 10 * MS, "")}
        assert stage.calls == [["same"]]
        assert stage.landed == [("same", "SAME")]
        assert stage.calls_seen() == (1, 0, 0)
        assert stage.books.refunded_ns == 29 * 10 * MS, "one run is paid for once"
        assert (stage.runner.used_ns, stage.runner.wasted_ns) == (10 * MS, 0)

    play(scenario)


def test_a_newcomer_may_join_a_run_that_is_under_way() -> None:
    async def scenario(stage: Stage) -> None:
        first = stage.start("same", 100)
        await asyncio.sleep(0.009)
        assert (await stage.find("same", 14)).value == "SAME"
        assert stage.now_ns == 10 * MS
        await first

    play(scenario)


def test_a_newcomer_whose_latest_start_has_passed_may_still_join_a_run_under_way() -> None:
    async def scenario(stage: Stage) -> None:
        first = stage.start("same", 100, rank=SHEDDABLE)
        await asyncio.sleep(0.009)
        assert (await stage.find("same", 2, rank=CRITICAL_PLUS)).value == "SAME"
        await first

    play(scenario)


def test_equal_keys_on_different_rungs_do_not_meet() -> None:
    async def scenario(stage: Stage) -> None:
        found = await asyncio.gather(stage.find("same", 100), stage.find("same", 100, rung=stage.other("other")))
        assert [each.start_ns for each in found] == [0, 10 * MS]

    play(scenario)


def test_after_the_end_an_equal_key_runs_again() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.run("same", 100)
        await stage.run("same", 100)
        assert stage.calls == [["same"], ["same"]]

    play(scenario)


def test_when_the_most_patient_leaves_the_others_keep_their_run() -> None:
    async def scenario(stage: Stage) -> None:
        blocker = await busy(stage)
        patient = stage.start("same", 1_000)
        hurried = stage.start("same", 60)
        await asyncio.sleep(0.001)
        await leave(patient)
        assert patient.cancelled()
        assert (await hurried).value == "SAME"
        await blocker

    play(scenario)


def test_who_shares_a_run_takes_it_to_his_place_in_the_line() -> None:
    async def scenario(stage: Stage) -> None:
        tasks = [await busy(stage), stage.start("same", 400, rank=SHEDDABLE), stage.start("other", 500)]
        await asyncio.sleep(0.001)
        tasks.append(stage.start("same", 300, rank=CRITICAL_PLUS))
        await asyncio.gather(*tasks)
        assert stage.calls == [["blocker"], ["same"], ["other"]]

    play(scenario)


@pytest.mark.parametrize("budgets_ms", [(40, 200), (200, 40)])
def test_a_shared_run_starts_as_late_as_the_most_patient_allows(budgets_ms: tuple[int, int]) -> None:
    async def scenario(stage: Stage) -> None:
        stage.duration_ns = 60 * MS
        _, *found = await asyncio.gather(
            await busy(stage), *(stage.find("same", budget_ms) for budget_ms in budgets_ms)
        )
        hurried, patient = found if budgets_ms == (40, 200) else reversed(found)
        assert (hurried.value, patient.value) == (None, "SAME")
        assert patient.start_ns == 60 * MS

    play(scenario)


def test_who_is_left_alone_with_a_run_takes_it_to_his_own_place() -> None:
    """Or a sheddable request would go before others because of somebody who is gone."""

    async def scenario(stage: Stage) -> None:
        blocker = await busy(stage)
        gone = stage.start("same", 60, rank=CRITICAL_PLUS)
        await asyncio.sleep(0.001)
        await leave(gone)
        found = await asyncio.gather(stage.find("same", 900, rank=SHEDDABLE), stage.find("other", 950), blocker)
        assert stage.calls == [["blocker"], ["other"], ["same"]]
        assert found[0].value == "SAME"

    play(scenario)


def test_who_stays_with_a_run_when_a_more_critical_one_leaves_takes_it_back_to_his_place() -> None:
    async def scenario(stage: Stage) -> None:
        tasks = [await busy(stage), stage.start("same", 400, rank=SHEDDABLE), stage.start("other", 500)]
        gone = stage.start("same", 300, rank=CRITICAL_PLUS)
        await asyncio.sleep(0.001)
        await leave(gone)
        await asyncio.gather(*tasks)
        assert stage.calls == [["blocker"], ["other"], ["same"]]

    play(scenario)


# Clients that leave, and runs that end unstarted.


def test_a_client_that_leaves_gives_its_probe_back() -> None:
    async def scenario(stage: Stage) -> None:
        breaker = stage.rung.breaker
        for _ in range(20):
            breaker.record(0, Ending.FAILED, 0)
        await asyncio.sleep(1)
        for _ in range(5):
            leaving = stage.start("same", 1_000)
            await asyncio.sleep(0.001)
            await leave(leaving)
        assert (breaker.state, breaker._probes) == (State.HALF_OPEN, 0)

    play(scenario)


def test_a_good_probe_closes_the_breaker_and_the_cost_starts_again() -> None:
    async def scenario(stage: Stage) -> None:
        stage.duration_ns = 45 * MS
        for _ in range(20):
            stage.rung.breaker.record(0, Ending.FAILED, 0)
        await asyncio.sleep(1)
        assert (await stage.run("a", 50)).value == "A"
        assert stage.rung.breaker.state is State.CLOSED
        assert stage.cost.seen == []

    play(scenario)


def test_a_cancelled_waiter_stays_cancelled() -> None:
    async def scenario(stage: Stage) -> None:
        waiting = stage.start("a", 1_000)
        await asyncio.sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(1)
        assert stage.landed == [("a", "A")], "the run was under way: its answer is not lost"
        assert (stage.runner.used_ns, stage.runner.wasted_ns) == (0, 10 * MS), "though nobody waited for it"

    play(scenario)


def test_a_job_that_is_dropped_unstarted_ends_its_flight() -> None:
    async def scenario(stage: Stage) -> None:
        stage.duration_ns = 5 * S
        stage.executor.submit(job_of(work_of(linear())))
        await asyncio.sleep(0.001)
        found = await stage.find("a", 100)
        assert found.start_ns is None
        assert stage.now_ns == 101 * MS - P99_NS
        await asyncio.sleep(10)
        assert stage.books.refunded_ns == 10 * MS, "he did not use what he was granted"

    play(scenario)


def test_who_joins_a_run_that_was_dropped_a_moment_ago_is_told_at_once() -> None:
    """The thread has dropped it; the event loop has not heard of it."""

    async def scenario(stage: Stage) -> None:
        blocker = await busy(stage)
        leaving = stage.start("same", 500)
        await asyncio.sleep(0.001)
        await leave(leaving)
        stage.loop.spend(9 * MS)
        assert await stage.find("same", 500) == (None, Degraded.OVERLOAD, None, None, "")
        assert stage.now_ns == 11 * MS
        assert (await stage.find("same", 500)).value == "SAME", "and the next one runs"
        assert stage.calls_seen() == (2, 0, 0)
        await blocker

    play(scenario)


def test_a_client_that_leaves_between_the_start_and_the_end_wastes_the_run_and_nothing_else() -> None:
    async def scenario(stage: Stage) -> None:
        leaving, staying = stage.start("a", 500), stage.start("b", 500)
        await asyncio.sleep(0.005)
        await leave(leaving)
        assert stage.executor._line.running is not None
        assert (await staying).value == "B"
        assert stage.landed == [("a", "A"), ("b", "B")]
        assert stage.runner.wasted_ns == stage.runner.used_ns == 10 * MS

    play(scenario)
