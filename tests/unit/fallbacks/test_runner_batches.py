"""Runs that share a call, what the overload control hears, and runs inline; in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from budgets.job import Batch
from fallbacks.ladder import Choice, Degraded
from fallbacks.runner import Run
from tests.jobs import NEVER_NS
from tests.stage import Stage, busy, leave, play
from tests.virtual import MS

# Batches.


def test_those_who_run_in_one_call_get_their_own_answers() -> None:
    async def scenario(stage: Stage) -> None:
        blocker = await busy(stage)
        found = await asyncio.gather(*(stage.find(key, 500, length=len(key)) for key in ("a", "bbb", "cc")))
        await blocker
        assert stage.calls == [["blocker"], ["a", "bbb", "cc"]]
        assert found == [(key, Degraded.NONE, 10 * MS, 20 * MS, "") for key in ("A", "BBB", "CC")]
        assert stage.cost.seen == [(1, 20, 10 * MS, 10 * MS), (3, 3, 10 * MS, 20 * MS)], "one call, one lesson"
        assert stage.runner.used_ns == 10 * MS + 3 * (10 * MS // 3)
        assert stage.books.refunded_ns == 3 * (10 * MS - 10 * MS // 3), "each was granted a call of his own"

    play(scenario, fixed_ns=9 * MS)


def test_a_member_whose_client_has_gone_keeps_nobody_waiting() -> None:
    async def scenario(stage: Stage) -> None:
        blocker = await busy(stage)
        tasks = [stage.start(key, 500) for key in "abc"]
        await asyncio.sleep(0.011)
        await leave(tasks[0])
        assert [task.result().value for task in (await asyncio.wait(tasks[1:]))[0] if not task.cancelled()]
        assert {task.result().value for task in tasks[1:]} == {"B", "C"}
        assert sorted(stage.landed) == [("a", "A"), ("b", "B"), ("blocker", "BLOCKER"), ("c", "C")]
        assert stage.runner.wasted_ns == 10 * MS // 3
        assert (await blocker).value == "BLOCKER"

    play(scenario, fixed_ns=9 * MS)


def test_a_call_that_forgets_an_answer_is_an_error_for_all() -> None:
    async def scenario(stage: Stage) -> None:
        blocker = await busy(stage)
        stage.forgets = True
        found = await asyncio.gather(*(stage.find(key, 500) for key in "ab"), blocker)
        assert [each.why for each in found] == [Degraded.ERROR] * 3
        assert "ValueError" in found[0].error
        assert stage.landed == []

    play(scenario, fixed_ns=9 * MS)


def test_each_member_of_a_batch_keeps_his_own_commit_time() -> None:
    async def scenario(stage: Stage) -> None:
        blocker = await busy(stage)
        stage.duration_ns = 100 * MS
        hurried, patient = await asyncio.gather(stage.find("a", 40), stage.find("b", 500))
        assert hurried == (None, Degraded.BUDGET, 10 * MS, None, "")
        assert patient == ("B", Degraded.NONE, 10 * MS, 110 * MS, "")
        await blocker

    play(scenario, fixed_ns=9 * MS)


def test_who_shares_a_run_in_haste_lets_no_one_join_it_who_would_make_it_late() -> None:
    async def scenario(stage: Stage) -> None:
        blocker = await busy(stage)
        tasks = [stage.start("same", 500), stage.start("other", 501), stage.start("same", 22.5)]
        await asyncio.gather(blocker, *tasks)
        assert stage.calls == [["blocker"], ["same"], ["other"]], (
            "together they may take 14.3 ms, from 10 ms to 23.5 ms"
        )

    play(scenario, fixed_ns=9 * MS)


def test_who_was_in_haste_and_has_gone_keeps_nobody_out_of_the_call() -> None:
    async def scenario(stage: Stage) -> None:
        blocker = await busy(stage)
        tasks = [stage.start("same", 500), stage.start("other", 501), stage.start("same", 22.5)]
        await asyncio.sleep(0.001)
        await leave(tasks.pop())
        await asyncio.gather(blocker, *tasks)
        assert stage.calls == [["blocker"], ["same", "other"]]

    play(scenario, fixed_ns=9 * MS)


# What the overload control hears.


def test_it_hears_how_long_each_waited_of_what_he_could_beyond_one_call() -> None:
    """Behind one that happens to run is no queue yet."""

    async def scenario(stage: Stage) -> None:
        await asyncio.gather(*(stage.run(key, 113 + place) for place, key in enumerate("abc")))
        assert stage.books.waits == [(0, 100 * MS, True), (0, 101 * MS, True), (10 * MS, 102 * MS, True)]
        assert stage.books.refunded_ns == 0, "all ran"

    play(scenario)


def test_it_hears_of_one_who_waited_in_vain() -> None:
    async def scenario(stage: Stage) -> None:
        stage.duration_ns = 100 * MS
        await asyncio.gather(await busy(stage), stage.run("b", 43))
        await asyncio.sleep(1)
        assert stage.books.waits == [(0, 987 * MS, True), (89 * MS, 30 * MS, False)], "one call less"
        assert stage.books.refunded_ns == 10 * MS

    play(scenario)


def test_it_hears_nothing_of_the_line_from_a_client_that_left() -> None:
    async def scenario(stage: Stage) -> None:
        first, leaving = stage.start("a", 500), stage.start("b", 500)
        await asyncio.sleep(0.001)
        await leave(leaving)
        await first
        assert stage.books.waits == [(0, 487 * MS, True)]
        assert stage.books.refunded_ns == 10 * MS, "what he was granted is there again"

    play(scenario)


# Inline.


@pytest.mark.parametrize(
    ("took_ms", "within_ms", "seen"), [(5, 10, (1, 0, 0)), (10, 10, (1, 0, 0)), (11, 10, (1, 0, 1))]
)
def test_an_inline_run_blocks_and_is_told_by_its_time(took_ms: int, within_ms: int, seen: tuple[int, int, int]) -> None:
    async def scenario(stage: Stage) -> None:
        def call() -> str:
            stage.loop.spend(took_ms * MS)
            return "value"

        choice = Choice(stage.rung, 0, within_ms * MS, 0, 0, 0)
        assert stage.runner.run_inline(choice, 7, call) == Run("value", Degraded.NONE)
        assert stage.cost.seen == [(1, 7, took_ms * MS, took_ms * MS)]
        assert stage.calls_seen() == seen

    play(scenario)


def test_an_inline_run_that_raises_is_a_failure() -> None:
    async def scenario(stage: Stage) -> None:
        ran = stage.runner.run_inline(Choice(stage.rung, 0, MS, 0, 0, 0), 7, lambda: str(1 // 0))
        assert (ran.value, ran.why) == (None, Degraded.ERROR)
        assert ran.error.startswith("ZeroDivisionError")
        assert stage.calls_seen() == (1, 1, 0)

    play(scenario)


def test_a_batch_is_of_the_executor() -> None:
    async def scenario(stage: Stage) -> None:
        ran = await stage.run("a", 500)
        assert isinstance(ran.batch, Batch)
        assert ran.batch.jobs[0].latest_start_ns < NEVER_NS

    play(scenario)
