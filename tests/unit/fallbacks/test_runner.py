"""Every waiter gets his answer by his own commit time; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from budgets.line import Job
from budgets.predictor import CostEstimate
from fallbacks.breaker import Breaker, BreakerSettings, Ending, State
from fallbacks.ladder import Choice, Degraded, Rung
from fallbacks.runner import Run, Runner
from tests.virtual import MS, S, VirtualExecutor, VirtualLoop, run

P99_NS = 13 * MS


class Stage:
    """A runner over one rung whose runs take `duration_ns`."""

    def __init__(self, loop: VirtualLoop, max_jobs: int = 64) -> None:
        self.loop = loop
        self.duration_ns = 10 * MS
        self.calls: list[str] = []
        self.landed: list[tuple[str, str]] = []
        self.endings: list[Ending] = []
        self.fails = False
        self.executor = VirtualExecutor(loop, max_jobs, lambda job: self.duration_ns, wake_ns=0)
        self.runner = Runner[str, str](self.executor, loop.clock)
        self.rung = Rung("large", CostEstimate(10 * MS, 10 * MS), Breaker(BreakerSettings(), Random(0)), True)

    def call(self, key: str) -> str:
        self.calls.append(key)
        if self.fails:
            raise ValueError("broken")
        return key.upper()

    async def run(self, key: str, within_ms: float) -> Run[str]:
        now_ns = self.loop.clock.now_ns()
        permit = self.rung.breaker.acquire(now_ns)
        assert permit is not None
        choice = Choice(self.rung, permit, now_ns + int(within_ms * MS))
        return await self.runner.run(key, choice, lambda: self.call(key), self.land)

    def land(self, key: str, value: str) -> None:
        self.landed.append((key, value))

    def calls_seen(self) -> tuple[int, int, int]:
        """Calls, failed and slow ones, as the breaker counted them."""
        window = self.rung.breaker._window
        return sum(s.calls for s in window), sum(s.failed for s in window), sum(s.slow for s in window)


def play(scenario: Callable[[Stage], Awaitable[None]], *, jitter: bool = False, max_jobs: int = 64) -> None:
    async def main(loop: VirtualLoop) -> None:
        stage = Stage(loop, max_jobs)
        await scenario(stage)
        await asyncio.sleep(100)
        assert not stage.runner._flights
        assert len(stage.executor) == 0

    run(main, VirtualLoop(Random(5) if jitter else None))


def test_a_value_in_time() -> None:
    async def scenario(stage: Stage) -> None:
        assert await stage.run("a", 50) == Run("A", Degraded.NONE, 0, 10 * MS)
        assert stage.landed == [("a", "A")]
        assert stage.calls_seen() == (1, 0, 0)

    play(scenario)


def test_the_cost_is_learned() -> None:
    async def scenario(stage: Stage) -> None:
        stage.duration_ns = 40 * MS
        await stage.run("a", 50)
        await stage.run("b", 50)
        assert stage.rung.cost.p99_ns(stage.loop.clock.now_ns()) > P99_NS

    play(scenario)


def test_an_error_is_told_and_does_not_land() -> None:
    async def scenario(stage: Stage) -> None:
        stage.fails = True
        assert await stage.run("a", 50) == Run(None, Degraded.ERROR, 0, 10 * MS, "ValueError('broken')")
        assert stage.landed == []
        assert stage.calls_seen() == (1, 1, 0)

    play(scenario)


@pytest.mark.parametrize("jitter", [False, True])
def test_a_run_that_takes_too_long_is_given_up_at_the_commit_time_and_lands_late(jitter: bool) -> None:
    async def scenario(stage: Stage) -> None:
        stage.duration_ns = 500 * MS
        for number in range(20):
            start_ns = stage.loop.clock.now_ns()
            found = await stage.run(str(number), 50)
            assert (found.value, found.why, found.end_ns) == (None, Degraded.BUDGET, None)
            waited_ns = stage.loop.clock.now_ns() - start_ns
            assert 50 * MS <= waited_ns <= 51 * MS, "not before the time, and at most a timer's grain after it"
            await asyncio.sleep(10)
            assert len(stage.landed) == number + 1
            stage.rung.cost.restart()
            if stage.rung.breaker.state is not State.CLOSED:
                break
        assert stage.calls_seen()[2] > 0 or stage.rung.breaker.state is not State.CLOSED

    play(scenario, jitter=jitter)


def test_who_is_not_started_by_his_latest_start_gives_up_then() -> None:
    async def scenario(stage: Stage) -> None:
        stage.duration_ns = 100 * MS
        first = asyncio.ensure_future(stage.run("first", 1_000))
        await asyncio.sleep(0.001)
        found = await stage.run("second", 40)
        assert found == Run(None, Degraded.BUDGET), "the first one is overdue by now"
        assert stage.loop.clock.now_ns() == (1 + 40) * MS - P99_NS
        await first
        await asyncio.sleep(1)
        assert stage.calls == ["first"], "the dead are never started"

    play(scenario)


def test_who_is_behind_others_that_are_not_overdue_is_told_overload() -> None:
    async def scenario(stage: Stage) -> None:
        others = [asyncio.ensure_future(stage.run(str(n), 1_000)) for n in range(5)]
        await asyncio.sleep(0.001)
        assert await stage.run("me", 30) == Run(None, Degraded.OVERLOAD)
        assert stage.calls_seen() == (1, 0, 0), "it says nothing of the rung"
        await asyncio.gather(*others)

    play(scenario)


def test_a_full_line_is_overload_at_once() -> None:
    async def scenario(stage: Stage) -> None:
        first = asyncio.ensure_future(stage.run("first", 1_000))
        await asyncio.sleep(0)
        assert await stage.run("me", 1_000) == Run(None, Degraded.OVERLOAD)
        assert stage.loop.clock.now_ns() == 0
        assert (await first).value == "FIRST"

    play(scenario, max_jobs=1)


def test_equal_keys_share_a_run_and_its_one_ending() -> None:
    async def scenario(stage: Stage) -> None:
        found = await asyncio.gather(*(stage.run("same", 100) for _ in range(30)))
        assert set(found) == {Run("SAME", Degraded.NONE, 0, 10 * MS)}
        assert stage.calls == ["same"]
        assert stage.landed == [("same", "SAME")]
        assert stage.calls_seen() == (1, 0, 0)

    play(scenario)


def test_a_newcomer_may_join_a_run_that_is_under_way() -> None:
    async def scenario(stage: Stage) -> None:
        first = asyncio.ensure_future(stage.run("same", 100))
        await asyncio.sleep(0.009)
        found = await stage.run("same", 14)
        assert found.value == "SAME"
        assert stage.loop.clock.now_ns() == 10 * MS
        await first

    play(scenario)


def test_equal_keys_on_different_rungs_do_not_meet() -> None:
    async def scenario(stage: Stage) -> None:
        other = Rung("other", stage.rung.cost, Breaker(BreakerSettings(), Random(0)), True)
        found = await asyncio.gather(
            stage.run("same", 100), stage.runner.run("same", Choice(other, 0, 100 * MS), lambda: "else")
        )
        assert [each.value for each in found] == ["SAME", "else"]

    play(scenario)


def test_after_the_end_an_equal_key_runs_again() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.run("same", 100)
        await stage.run("same", 100)
        assert stage.calls == ["same", "same"]

    play(scenario)


def test_when_the_most_patient_leaves_the_others_keep_their_run() -> None:
    async def scenario(stage: Stage) -> None:
        blocker = asyncio.ensure_future(stage.run("blocker", 1_000))
        await asyncio.sleep(0)
        patient = asyncio.ensure_future(stage.run("same", 1_000))
        hurried = asyncio.ensure_future(stage.run("same", 60))
        await asyncio.sleep(0.001)
        patient.cancel()
        await asyncio.wait((patient,))
        assert patient.cancelled()
        assert (await hurried).value == "SAME"
        await blocker

    play(scenario)


def test_a_client_that_leaves_gives_its_probe_back() -> None:
    async def scenario(stage: Stage) -> None:
        breaker = stage.rung.breaker
        for _ in range(20):
            breaker.record(0, Ending.FAILED, 0)
        await asyncio.sleep(1)
        for _ in range(5):
            leaving = asyncio.ensure_future(stage.run("same", 1_000))
            await asyncio.sleep(0.001)
            leaving.cancel()
            await asyncio.wait((leaving,))
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
        assert stage.rung.cost.p99_ns(stage.loop.clock.now_ns()) == P99_NS

    play(scenario)


def test_a_cancelled_waiter_stays_cancelled() -> None:
    async def scenario(stage: Stage) -> None:
        waiting = asyncio.ensure_future(stage.run("a", 1_000))
        await asyncio.sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(1)
        assert stage.landed == [("a", "A")], "the run was under way: its answer is not lost"

    play(scenario)


def test_a_job_that_is_dropped_unstarted_ends_its_flight() -> None:
    async def scenario(stage: Stage) -> None:
        never = 1 << 62
        stage.duration_ns = 5 * S
        stage.executor.submit(Job(lambda: None, 0, never, never, lambda _: None))
        found = await stage.run("a", 100)
        assert found.start_ns is None
        assert stage.loop.clock.now_ns() == 100 * MS - P99_NS

    play(scenario)
