"""Down the ladder under each verdict, for each class, with the books of each run; on virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from budgets.batch_cost import Sample
from budgets.criticality import CLASSES, COHORTS, SHEDDABLE, SHEDDABLE_PLUS, cohort
from budgets.overload import OverloadSettings
from budgets.shedding import Verdict
from models.classifier import Prediction
from models.errors import BadOutput
from router.domain.interaction import Criticality
from router.errors import NotAdmitted
from router.policy.point import Plan
from tests.jobs import LinearCost
from tests.spine import SURE, Answer, Spine, play, refused, served
from tests.virtual import MS

if TYPE_CHECKING:
    from router.log import DecisionRecord

# A call of several costs little more than a call of one.
SHARED = [Sample(texts, 20, (9 + texts) * MS) for texts in (1, 2, 4, 8)]


def judge(spine: Spine, patch: pytest.MonkeyPatch, verdict: Verdict) -> list[int]:
    """Let the control judge so; returns the levels that it will be asked about."""
    asked: list[int] = []

    def judged(level: int, _: int) -> Verdict:
        asked.append(level)
        return verdict

    patch.setattr(spine.control, "judge", judged)
    return asked


async def record_of(spine: Spine, answer: Answer) -> DecisionRecord:
    record = await spine.log.get(answer.decision.decision_id)
    assert record is not None
    return record


# Verdicts.


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.ADMIT, ("cards", "large", "none", "model")),
        (Verdict.INLINE, ("cards", "small", "overload", "model")),
        (Verdict.FLOOR, ("blocking", "rules", "overload", "rule")),
    ],
)
def test_each_verdict_leaves_the_rungs_it_names(
    verdict: Verdict, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(spine: Spine) -> None:
        judge(spine, monkeypatch, verdict)
        answer = await spine.ask("i lost it")
        assert served(answer) == expected
        record = await record_of(spine, answer)
        assert (record.verdict, record.dark) == (verdict.value, False)
        if verdict is Verdict.FLOOR:
            assert spine.large.calls == spine.small.calls == []
            assert record.skipped == (("large", "overload"), ("small", "overload"))

    play(scenario)


def test_who_is_rejected_is_turned_away_and_is_not_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(spine: Spine) -> None:
        judge(spine, monkeypatch, Verdict.REJECT)
        assert await refused(spine.ask("i lost it")) == "rejected-overload"
        assert spine.metrics.refused.child("rejected-overload").value == 1
        assert spine.admission.inflight == 0
        assert not spine.large.calls

    play(scenario)


@pytest.mark.parametrize("verdict", [Verdict.INLINE, Verdict.FLOOR])
def test_a_guard_and_a_fresh_cache_entry_stand_whatever_the_verdict(
    verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(spine: Spine) -> None:
        await spine.ask("where is it")
        judge(spine, monkeypatch, verdict)
        assert served(await spine.ask("where is it")) == ("cards", "cache", "none", "cache")
        assert served(await spine.ask("a real person")) == ("human", "guard", "none", "guard")

    play(scenario)


@pytest.mark.parametrize("verdict", [Verdict.INLINE, Verdict.FLOOR, Verdict.REJECT])
def test_in_the_dark_a_verdict_is_recorded_and_changes_nothing(
    verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(spine: Spine) -> None:
        judge(spine, monkeypatch, verdict)
        answer = await spine.ask("i lost it")
        assert served(answer) == ("cards", "large", "none", "model")
        record = await record_of(spine, answer)
        assert (record.verdict, record.dark) == (verdict.value, True)
        judge(spine, monkeypatch, Verdict.ADMIT)
        assert not (await record_of(spine, await spine.ask("i lost it"))).dark

    play(scenario, overload=OverloadSettings(mode="dark"))


@pytest.mark.parametrize("verdict", Verdict)
def test_without_models_it_is_cold_whatever_the_verdict(verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    """And never `none`: that would say that the best rung has answered."""

    async def scenario(spine: Spine) -> None:
        spine.point.plan = Plan()
        judge(spine, monkeypatch, verdict)
        if verdict is Verdict.REJECT:
            assert await refused(spine.ask("i lost it")) == "rejected-overload"
        else:
            assert served(await spine.ask("i lost it")) == ("blocking", "rules", "cold", "rule")

    play(scenario)


@pytest.mark.parametrize(("mode", "rung"), [("enforce", "small"), ("dark", "large"), ("off", "large")])
def test_who_is_not_let_into_the_line_has_the_rung_inline(
    mode: str, rung: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(spine: Spine) -> None:
        asked = []

        def admits_run(*args: int) -> bool:
            asked.append(args)
            return False

        monkeypatch.setattr(spine.control, "admits_run", admits_run)
        answer = await spine.ask("i lost it", criticality=Criticality.SHEDDABLE_PLUS)
        assert answer.decision.rung == rung
        ((rank, cost_ns, in_line, now_ns),) = asked
        assert (rank, in_line, now_ns) == (2, 0, 0)
        assert 7 * MS < cost_ns < 9 * MS, "the median of one"

    play(scenario, overload=OverloadSettings(mode=mode, explore_share=0))  # type: ignore[arg-type]


# Before a request is decoded.


def test_who_is_turned_away_unread_is_counted_in_all_cohorts_of_his_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the next window would take the flood for one cohort's, and let all the others in."""

    async def scenario(spine: Spine) -> None:
        asked = judge(spine, monkeypatch, Verdict.REJECT)
        monkeypatch.setattr(spine.control, "shuts_out", lambda rank, _: rank == SHEDDABLE)
        for _ in range(2 * COHORTS):
            with pytest.raises(NotAdmitted):
                spine.pipeline.screen(SHEDDABLE, None)
        spine.pipeline.screen(SHEDDABLE_PLUS, None)
        assert Counter(asked) == dict.fromkeys(range(SHEDDABLE * COHORTS, CLASSES * COHORTS), 2)

    play(scenario)


def test_who_has_no_time_left_is_turned_away_unread() -> None:
    async def scenario(spine: Spine) -> None:
        with pytest.raises(NotAdmitted, match="run out"):
            spine.pipeline.screen(None, 0)
        spine.pipeline.screen(None, 1)

    play(scenario)


# Levels.


def test_sessions_customers_and_callers_share_a_fate_and_others_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(spine: Spine) -> None:
        asked = judge(spine, monkeypatch, Verdict.FLOOR)
        hour = spine.loop.clock.wall_ns() // 3_600_000_000_000
        for fields in (
            {"session_id": "s", "customer_id": "c"},
            {"customer_id": "c", "criticality": Criticality.SHEDDABLE},
            {"session_id": "s", "criticality": Criticality.CRITICAL_PLUS},
        ):
            await spine.ask("hm", **fields)
        assert asked == [128 + cohort("s", hour), 384 + cohort("c", hour), cohort("s", hour)]
        asked.clear()
        for _ in range(256):
            await spine.ask("hm")
        assert set(Counter(asked).values()) == {2}
        assert set(asked) == set(range(128, 256))

    play(scenario)


def test_a_level_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(spine: Spine) -> None:
        asked = judge(spine, monkeypatch, Verdict.ADMIT)
        record = await record_of(spine, await spine.ask("hm", session_id="s"))
        assert [record.level] == asked

    play(scenario)


def test_who_is_refused_at_the_door_is_no_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(spine: Spine) -> None:
        asked = judge(spine, monkeypatch, Verdict.ADMIT)
        assert await refused(spine.ask("hm", 0)) == "deadline-expired"
        assert asked == []

    play(scenario)


# Classes.


def test_the_more_critical_go_first() -> None:
    async def scenario(spine: Spine) -> None:
        first = asyncio.ensure_future(spine.ask("first", 1_000))
        await asyncio.sleep(0.001)
        classes = list(Criticality)
        asked = [spine.ask(each.value, 1_000, criticality=each) for each in reversed(classes)]
        await asyncio.gather(first, *asked)
        assert spine.large.calls == ["first", *(each.value for each in classes)]

    play(scenario)


@pytest.mark.parametrize(("share", "rungs"), [(0.0, {"small"}), (1.0, {"large"})])
def test_only_the_less_critical_explore(share: float, rungs: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The rung was slow, and nothing shows that it is quick again."""

    async def scenario(spine: Spine) -> None:
        spine.rungs[0].cost = LinearCost(0, 8 * MS, factors=(1.0, 3.0, 3.5, 4.0))
        monkeypatch.setattr(spine.executor, "ahead", lambda _: 1)  # an idle one would be tried by anybody
        for each in (Criticality.CRITICAL_PLUS, Criticality.CRITICAL):
            assert (await spine.ask(each.value, 25, criticality=each)).decision.rung == "small"
        found = set()
        for each in (Criticality.SHEDDABLE_PLUS, Criticality.SHEDDABLE):
            found.add((await spine.ask(each.value, 25, criticality=each)).decision.rung)
        assert found == rungs

    play(scenario, overload=OverloadSettings(explore_share=share))


# What is recorded of a run.


def test_the_record_has_what_was_expected_and_what_became_of_it() -> None:
    async def scenario(spine: Spine) -> None:
        asks = [asyncio.ensure_future(spine.ask(text, budget)) for text, budget in (("first", 100), ("second", 101))]
        await asyncio.sleep(0.001)
        asks.append(asyncio.ensure_future(spine.ask("third", 102)))
        first, second, third = [(await record_of(spine, await ask)).run for ask in asks]
        assert first is not None
        assert second is not None
        assert third is not None
        assert (first.rung, first.texts, first.queued_ms, first.wait_ms) == ("large", 1, 0, 0)
        assert (first.start_ms, first.end_ms) == (0.02, 8.02)
        assert (second.start_ms, second.end_ms) == (8.02, 16.02)
        assert second.wait_ms == pytest.approx(8, rel=0.1)
        assert (third.start_ms, third.end_ms) == (15.02, 23.02)
        assert third.wait_ms == pytest.approx(15 + 0.2 * 8, rel=0.1), (
            "what runs is expected to be done in 9 of 10 cases"
        )
        for run in (first, second, third):
            assert 8 < run.predicted_ms < 16
            assert run.start_ms is not None
            assert run.start_ms <= run.latest_start_ms < run.commit_ms - 8 < 102

    play(scenario)


def test_a_run_that_was_given_up_has_no_end_and_one_that_never_started_no_start() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.duration_ns = 200 * MS
        first = asyncio.ensure_future(spine.ask("first", 50))
        await asyncio.sleep(0.001)
        second = asyncio.ensure_future(spine.ask("second", 50))
        run = (await record_of(spine, await first)).run
        assert run is not None
        assert (run.texts, run.start_ms, run.end_ms) == (1, 0.02, None)
        run = (await record_of(spine, await second)).run
        assert run is not None
        assert (run.texts, run.start_ms, run.end_ms) == (0, None, None)
        await asyncio.sleep(1)
        assert spine.large.calls == ["first"]

    play(scenario)


@pytest.mark.parametrize(("text", "budget_ms"), [("a real person", 50), ("hm", 5)])
def test_an_answer_without_the_executor_has_no_run(text: str, budget_ms: int) -> None:
    async def scenario(spine: Spine) -> None:
        assert (await record_of(spine, await spine.ask(text, budget_ms))).run is None

    play(scenario)


def test_an_answer_from_the_rung_below_keeps_the_run_that_failed() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.fault = "error"
        answer = await spine.ask("hm")
        assert answer.decision.rung == "small"
        assert answer.decision.run is not None
        assert answer.decision.run.rung == "large"
        assert spine.metrics.rung_errors.child("large").value == 1

    play(scenario)


# Batches.


def test_where_a_call_of_several_saves_time_equally_urgent_ones_share_it() -> None:
    async def scenario(spine: Spine) -> None:
        first = asyncio.ensure_future(spine.ask("first", 500))
        await asyncio.sleep(0.001)
        answers = await asyncio.gather(*(spine.ask(f"text {number}", 500) for number in range(6)))
        await first
        assert {answer.decision.run.texts for answer in answers if answer.decision.run is not None} == {6}
        assert spine.rungs[0].work is not None
        assert (spine.rungs[0].work.batches_total, spine.rungs[0].work.texts_total) == (2, 7)

    play(scenario, profile=SHARED, duration_ns=lambda batch: (9 + len(batch.jobs)) * MS)


@pytest.mark.parametrize("mode", ["enforce", "off"])
def test_in_a_steady_overload_the_executor_is_put_to_use_by_batches(mode: str) -> None:
    """200 a second, of which alone it could run 100: the time that a batch saves is there for others."""

    async def scenario(spine: Spine) -> None:
        asks = []
        for number in range(1_200):
            asks.append(asyncio.ensure_future(spine.ask(f"text {number}", 200)))
            await asyncio.sleep(0.005)
        rungs = Counter(answer.decision.rung for answer in await asyncio.gather(*asks))
        assert rungs["large"] > 0.9 * len(asks)

    settings = OverloadSettings(mode=mode)  # type: ignore[arg-type]
    play(scenario, profile=SHARED, duration_ns=lambda batch: (9 + len(batch.jobs)) * MS, overload=settings)


def test_in_a_batch_each_has_his_own_answer_or_error() -> None:
    async def scenario(spine: Spine) -> None:
        first = asyncio.ensure_future(spine.ask("first", 500))
        await asyncio.sleep(0.001)
        work = spine.rungs[0].work
        assert work is not None
        work.call = lambda _: [Prediction("loans", 0.9, ()), SURE, BadOutput("no"), SURE]
        answers = await asyncio.gather(*(spine.ask(f"text {number}", 500) for number in range(4)))
        await first
        assert [(each.decision.route, each.decision.rung) for each in answers] == [
            ("loans", "large"), ("cards", "large"), ("cards", "small"), ("cards", "large"),
        ]  # fmt: skip

    play(scenario, profile=SHARED, duration_ns=lambda batch: (9 + len(batch.jobs)) * MS)


def test_where_it_saves_none_each_runs_alone() -> None:
    async def scenario(spine: Spine) -> None:
        answers = await asyncio.gather(*(spine.ask(f"text {number}", 500) for number in range(6)))
        assert {answer.decision.run.texts for answer in answers if answer.decision.run is not None} == {1}

    play(scenario)


def test_the_floor_is_compared_with_what_the_models_say() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.answer = Prediction("blocking", 0.9, ())
        await spine.ask("i lost it")
        await spine.ask("hm")
        agreement = spine.metrics.floor_agreement
        assert agreement.child("rules", "true").value == 1
        assert agreement.child("default", "false").value == 1

    play(scenario)
