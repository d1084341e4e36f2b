"""The spine's books: stages, lateness, the record, the wait for the disk, and what the pipeline learns of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from budgets.ledger import Stage
from router.log import DecisionRecord, MemoryLog
from router.pipeline import OWN_COST_NS
from tests.spine import Spine, play, refused
from tests.virtual import MS


def test_every_nanosecond_is_booked_where_it_went() -> None:
    async def scenario(spine: Spine) -> None:
        start_ns = spine.loop.clock.now_ns()
        first, second = await asyncio.gather(spine.ask("one"), spine.ask("two"))
        stages_ns = second.budget.ledger.stages_ns
        assert sum(stages_ns) == second.budget.ledger.elapsed_ns == spine.loop.clock.now_ns() - start_ns
        assert first.budget.ledger.stages_ns[Stage.QUEUE] == 20_000, "until the thread has noticed"
        assert first.budget.ledger.stages_ns[Stage.INFER] == 8 * MS
        assert stages_ns[Stage.QUEUE] == 20_000 + 8 * MS
        assert stages_ns[Stage.INFER] == 8 * MS

    play(scenario)


def test_time_the_loop_took_to_come_back_is_the_loops() -> None:
    async def scenario(spine: Spine) -> None:
        spine.loop.call_later(0.001, spine.loop.spend, 20 * MS)
        answer = await spine.ask("one")
        assert answer.decision.rung == "large"
        assert answer.budget.ledger.stages_ns[Stage.LOOP] == (1 + 20 - 8) * MS - 20_000

    play(scenario)


def test_a_late_answer_is_labelled_and_counted() -> None:
    async def scenario(spine: Spine) -> None:
        spine.loop.call_later(0.001, spine.loop.spend, 100 * MS)
        answer = await spine.ask("one")
        assert not answer.budget.is_met()
        assert spine.metrics.budget_missed.child("interactions").value == 1
        record = await spine.log.get(answer.decision.decision_id)
        assert record is not None
        assert record.late

    play(scenario)


def test_the_record_tells_how_it_came_about() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.fault = spine.small.fault = "error"
        answer = await spine.ask("I lost it", 100, id="i-7", customer_id="c-1", channel="phone")
        record = await spine.log.get(answer.decision.decision_id)
        assert isinstance(record, DecisionRecord)
        assert (record.interaction_id, record.customer_id, record.channel) == ("i-7", "c-1", "phone")
        assert (record.text, record.route, record.target_name) == ("I lost it", "blocking", "blocking")
        assert (record.rung, record.degraded, record.reason) == ("rules", "error", "rule")
        assert record.skipped == (("large", "error"), ("small", "error"))
        assert record.match is not None
        assert (record.match.name, record.match.why) == ("lost_card", "keyword 'lost'")
        assert (record.total_ms, record.late, record.plan_version) == (100.0, False, "plan")

    play(scenario)


class SlowLog(MemoryLog):
    """Needs `commit_s` until a record is durable."""

    def __init__(self, commit_s: float) -> None:
        super().__init__()
        self.commit_s = commit_s

    def commit(self) -> Awaitable[None]:
        return asyncio.sleep(self.commit_s)


def test_with_durability_commit_the_answer_waits_for_the_disk() -> None:
    async def scenario(spine: Spine) -> None:
        answer = await spine.ask("get me a real person")
        assert answer.elapsed_ms == 5.0
        assert spine.pipeline.commits_missed_total == 0

    play(scenario, await_commit=True, log=SlowLog(0.005))


def test_a_disk_that_is_slower_than_the_budget_is_not_waited_for() -> None:
    async def scenario(spine: Spine) -> None:
        answer = await spine.ask("get me a real person")
        assert answer.budget.is_met()
        assert spine.pipeline.commits_missed_total == 1

    play(scenario, await_commit=True, log=SlowLog(3_600))


def test_a_disk_that_takes_most_of_the_budget_is_still_waited_for() -> None:
    """What the pipeline learns of its own cost includes the wait, which must not be kept back twice."""

    async def scenario(spine: Spine) -> None:
        for number in range(500):
            answer = await spine.ask(f"get me a real person {number}", 50)
            assert answer.budget.is_met()
        assert spine.pipeline.commits_missed_total == 0

    play(scenario, await_commit=True, log=SlowLog(0.030))


def test_a_dead_disk_does_not_make_the_server_refuse() -> None:
    async def scenario(spine: Spine) -> None:
        for number in range(300):
            assert (await spine.ask(f"text {number}")).decision.rung == "large"
        assert spine.pipeline.commits_missed_total == 300

    play(scenario, await_commit=True, log=SlowLog(3_600))


def test_a_slow_spell_of_the_server_itself_does_not_lock_small_budgets_out_for_ever() -> None:
    async def scenario(spine: Spine) -> None:
        for _ in range(100):
            budget = spine.open([50])
            budget.ledger.mark(Stage.PARSE, spine.loop.clock.now_ns())
            request_answer = await spine.ask("get me a real person", budget=budget)
            spine.loop.spend(20 * MS)
            budget.ledger.mark(Stage.ENCODE, spine.loop.clock.now_ns())
            spine.pipeline.finish(spine.point, request_answer.decision, budget)
        assert await refused(spine.ask("get me a real person", 2)) == "deadline-unmeetable"
        await asyncio.sleep(10)
        assert (await spine.ask("get me a real person", 2)).decision.rung == "guard"

    play(scenario)


def test_own_cost_starts_at_what_is_documented() -> None:
    async def scenario(spine: Spine) -> None:
        assert await refused(spine.ask("hm", OWN_COST_NS / MS)) == "deadline-unmeetable"
        assert (await spine.ask("hm", 1.2 * OWN_COST_NS / MS)).decision.rung == "default"

    play(scenario)
