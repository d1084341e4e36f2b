"""Questions to an idle executor; on virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from budgets.batch_cost import BatchCost
from router.policy.point import Plan
from tests.jobs import LinearCost, echo, job_of, shared, work_of
from tests.spine import Spine, play
from tests.virtual import MS, S

if TYPE_CHECKING:
    from budgets.job import Batch


def cost_of(spine: Spine) -> BatchCost:
    cost = spine.rungs[0].cost
    assert isinstance(cost, BatchCost)
    return cost


def watch(spine: Spine) -> LinearCost:
    """Let the rung keep what it is taught, and nothing else."""
    cost = LinearCost(0, 8 * MS)
    work = spine.rungs[0].work
    assert work is not None
    spine.rungs[0].cost = work.cost = cost
    return cost


def test_an_idle_rung_is_asked_a_question_about_every_two_seconds() -> None:
    async def scenario(spine: Spine) -> None:
        spine.prober.start()
        spine.prober.start()
        await asyncio.sleep(60)
        spine.prober.stop()
        spine.prober.stop()
        assert 20 <= len(spine.large.calls) <= 30, "not more often than two seconds, and little less"
        assert spine.small.calls == [], "what runs inline is learned anyhow"
        assert len(spine.cache) == 0
        count = len(spine.large.calls)
        await asyncio.sleep(60)
        assert len(spine.large.calls) == count, "stopped"

    play(scenario)


def test_a_rung_in_use_is_left_alone() -> None:
    async def scenario(spine: Spine) -> None:
        cost_of(spine).last_ns = 0
        spine.prober.start()
        for number in range(100):
            await spine.ask(f"text {number}")
            await asyncio.sleep(0.3)
        spine.prober.stop()
        assert spine.large.calls == [f"text {number}" for number in range(100)]

    play(scenario)


def test_a_rung_that_was_slow_is_found_to_be_quick_again() -> None:
    async def scenario(spine: Spine) -> None:
        cost, now_ns = cost_of(spine), spine.loop.clock.now_ns()
        for _ in range(400):
            cost.observe(1, 20, 200 * MS, now_ns)
        assert (await spine.ask("before")).decision.rung == "small"
        spine.prober.start()
        await asyncio.sleep(40)
        spine.prober.stop()
        assert (await spine.ask("after")).decision.rung == "large"

    play(scenario)


def test_a_rung_that_is_far_quicker_than_believed_is_asked_again_at_the_next_look() -> None:
    """Within five seconds it is back."""

    async def scenario(spine: Spine) -> None:
        cost = watch(spine)
        cost.text_ns = 200 * MS
        spine.prober.start()
        await asyncio.sleep(3.9)
        assert [round(seen[3] / S, 1) for seen in cost.seen] == [1.5, 2.0, 2.5, 3.0, 3.5]
        cost.text_ns = 8 * MS
        await asyncio.sleep(6)
        spine.prober.stop()
        assert [round(seen[3] / S, 1) for seen in cost.seen[5:]] == [4.0, 6.0, 8.0], "as it was believed"

    play(scenario)


def test_a_rung_that_became_slow_while_nobody_used_it_is_found_out() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.duration_ns = 200 * MS
        spine.prober.start()
        await asyncio.sleep(40)
        spine.prober.stop()
        assert (await spine.ask("text")).decision.rung == "small"

    play(scenario)


def test_what_a_probe_took_is_learned_from_the_threads_stamps() -> None:
    async def scenario(spine: Spine) -> None:
        cost = watch(spine)
        spine.prober.start()
        await asyncio.sleep(2.1)
        spine.prober.stop()
        await asyncio.sleep(1)
        ((texts, longest, cost_ns, _),) = cost.seen
        assert (texts, cost_ns) == (1, 8 * MS)
        assert longest > 20

    play(scenario)


def test_a_busy_executor_is_not_asked() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.duration_ns = 30 * S
        asked = asyncio.ensure_future(spine.ask("slow"))
        spine.prober.start()
        await asyncio.sleep(29)
        assert spine.large.calls == []
        assert len(spine.executor) == 1
        spine.prober.stop()
        await asked

    play(scenario)


def test_a_probe_goes_behind_everybody() -> None:
    async def scenario(spine: Spine) -> None:
        cost = watch(spine)
        spine.executor.submit(job_of(work_of(shared(), echo)))
        await asyncio.sleep(0.001)
        spine.prober._probe(spine.rungs[0], cost, spine.loop.clock.now_ns())
        await spine.ask("hm", 900)
        await asyncio.sleep(1)
        assert len(spine.large.calls) == 2
        assert spine.large.calls[0] == "hm"

    play(scenario)


def test_a_probe_is_dropped_rather_than_late() -> None:
    async def scenario(spine: Spine) -> None:
        cost = watch(spine)
        spine.executor.submit(job_of(work_of(shared(), echo), rank=3))  # just before the look, and slow
        spine.large.duration_ns = S
        await asyncio.sleep(0.001)
        spine.prober._probe(spine.rungs[0], cost, spine.loop.clock.now_ns())
        assert len(spine.executor) == 2
        await asyncio.sleep(5)
        assert spine.large.calls == []
        assert cost.seen == []

    play(scenario)


@pytest.mark.parametrize("texts", [1, 4])
def test_a_batch_that_a_probe_joined_is_learned_from_once_and_as_what_it_was(texts: int) -> None:
    async def scenario(spine: Spine) -> None:
        cost = watch(spine)
        cost.fixed_ns, cost.text_ns = 9 * MS, MS
        blocker = job_of(work_of(shared()))
        spine.executor.submit(blocker)
        await asyncio.sleep(0.001)
        spine.prober._probe(spine.rungs[0], cost, spine.loop.clock.now_ns())
        asked = [asyncio.ensure_future(spine.ask(f"text {number}", 400)) for number in range(texts - 1)]
        await asyncio.sleep(1)
        assert [seen[:1] for seen in cost.seen] == [(texts,)]
        await asyncio.gather(*asked)

    def duration_ns(batch: Batch) -> int:
        return (9 + len(batch.jobs)) * MS

    play(scenario, duration_ns=duration_ns)


def test_without_models_there_is_nothing_to_ask() -> None:
    async def scenario(spine: Spine) -> None:
        spine.point.plan = Plan()
        spine.prober.start()
        await asyncio.sleep(10)
        spine.prober.stop()
        assert spine.large.calls == []

    play(scenario)


def test_a_probe_has_a_value_for_each_column_that_the_rungs_are_fed() -> None:
    async def scenario(spine: Spine) -> None:
        spine.point.plan = spine.point.plan._replace(fed=2)
        spine.prober.start()
        await asyncio.sleep(3)
        spine.prober.stop()
        assert set(spine.large.values) == {(None, None)}

    play(scenario)


def test_a_probe_that_fails_stops_neither_the_prober_nor_the_executor() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.fault = "error"
        spine.prober.start()
        await asyncio.sleep(10)
        spine.prober.stop()
        assert len(spine.large.calls) > 2
        spine.large.fault = "none"
        assert (await spine.ask("hm")).decision.rung == "large"

    play(scenario)
