"""The spine, one behaviour at a time, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from budgets.batch_cost import P99
from fallbacks.breaker import Ending, State
from fallbacks.cache import CacheSettings
from models.classifier import Prediction
from models.columns import Column
from router.errors import NotAdmitted
from router.policy.point import Plan
from tests.spine import SURE, Answer, Spine, play, refused, served
from tests.virtual import MS


def trip(spine: Spine, rung: int) -> None:
    breaker, now_ns = spine.rungs[rung].breaker, spine.loop.clock.now_ns()
    for _ in range(20):
        breaker.record(breaker.acquire(now_ns) or 0, Ending.FAILED, now_ns)
    assert breaker.state is State.OPEN


def test_the_best_rung_answers_when_there_is_time() -> None:
    async def scenario(spine: Spine) -> None:
        answer = await spine.ask("where is it?")
        assert served(answer) == ("cards", "large", "none", "model")
        assert answer.decision.confidence == 0.9
        assert answer.decision.alternatives == SURE.alternatives
        assert answer.budget.is_met()

    play(scenario)


def test_a_guard_wins_over_everything_and_calls_no_model() -> None:
    async def scenario(spine: Spine) -> None:
        await spine.ask("get me a real person")
        answer = await spine.ask("Get me a REAL person, I lost it")
        assert served(answer) == ("human", "guard", "none", "guard")
        assert answer.decision.match == ("wants_human", "keyword 'real person'")
        assert answer.decision.confidence == 1.0
        assert not spine.large.calls
        assert len(spine.cache) == 0

    play(scenario)


def test_a_fresh_cache_entry_settles_it() -> None:
    async def scenario(spine: Spine) -> None:
        await spine.ask("where is it?")
        answer = await spine.ask("  Where is  IT?")
        assert served(answer) == ("cards", "cache", "none", "cache")
        assert answer.decision.confidence == 0.9
        assert spine.large.calls == ["where is it?"]

    play(scenario)


def test_a_stale_cache_entry_does_not_keep_the_models_from_answering() -> None:
    async def scenario(spine: Spine) -> None:
        await spine.ask("where is it?")
        await asyncio.sleep(11)
        assert served(await spine.ask("where is it?")) == ("cards", "large", "none", "model")
        assert len(spine.large.calls) == 2

    play(scenario, cache=CacheSettings(fresh_s=10, stale_s=60))


def test_a_stale_cache_entry_is_the_floor_when_no_model_answers() -> None:
    async def scenario(spine: Spine) -> None:
        await spine.ask("i lost it")
        await asyncio.sleep(11)
        spine.large.fault = spine.small.fault = "error"
        assert served(await spine.ask("i lost it")) == ("cards", "cache", "error", "cache")
        await asyncio.sleep(60)
        assert served(await spine.ask("i lost it")) == ("blocking", "rules", "error", "rule"), "gone by now"

    play(scenario, cache=CacheSettings(fresh_s=10, stale_s=60))


def test_a_cached_prediction_is_held_to_the_threshold_too() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.answer = Prediction("cards", 0.3, ())
        await spine.ask("hm")
        assert served(await spine.ask("hm")) == ("human", "cache", "none", "unsure")

    play(scenario)


@pytest.mark.parametrize(
    ("prediction", "alternatives"),
    [
        pytest.param(
            Prediction("cards", 0.49, (("blocking", 0.3), ("oos", 0.2))),
            (("cards", 0.49), ("blocking", 0.3)),
            id="below the threshold",
        ),
        pytest.param(Prediction("oos", 0.99, (("cards", 0.01),)), (("cards", 0.01),), id="out of scope"),
        pytest.param(Prediction("retired_route", 0.99, ()), (), id="a route that is no more"),
    ],
)
def test_what_the_model_is_not_sure_of_goes_to_unsure(
    prediction: Prediction, alternatives: tuple[tuple[str, float], ...]
) -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.answer = prediction
        answer = await spine.ask("hm")
        assert served(answer) == ("human", "large", "none", "unsure")
        assert answer.decision.alternatives == alternatives, "only what is a route"

    play(scenario)


@pytest.mark.parametrize("text", ["   ", "?!", "..."])
def test_where_there_is_nothing_to_read_no_model_is_asked(text: str) -> None:
    async def scenario(spine: Spine) -> None:
        assert served(await spine.ask(text)) == ("help", "default", "none", "default")
        assert spine.large.calls == spine.small.calls == []

    play(scenario)


def test_at_the_threshold_the_model_is_sure() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.answer = Prediction("cards", 0.5, ())
        assert served(await spine.ask("hm")) == ("cards", "large", "none", "model")

    play(scenario)


def test_cold_the_floor_answers_and_says_so() -> None:
    async def scenario(spine: Spine) -> None:
        spine.point.plan = Plan()
        assert served(await spine.ask("hm")) == ("help", "default", "cold", "default")
        assert served(await spine.ask("i lost it")) == ("blocking", "rules", "cold", "rule")
        assert served(await spine.ask("real person")) == ("human", "guard", "none", "guard")

    play(scenario)


def test_degraded_by_the_budget() -> None:
    async def scenario(spine: Spine) -> None:
        answer = await spine.ask("hm", 10)
        assert served(answer) == ("cards", "small", "budget", "model")
        assert [(skip.rung, skip.why.value) for skip in answer.decision.skips] == [("large", "budget")]
        answer = await spine.ask("hm", 0.5)
        assert served(answer) == ("help", "default", "budget", "default")
        assert [skip.rung for skip in answer.decision.skips] == ["large", "small"]

    play(scenario)


def test_the_smallest_budget_stated_counts() -> None:
    async def scenario(spine: Spine) -> None:
        assert served(await spine.ask("hm", 500, 10, 50)) == ("cards", "small", "budget", "model")

    play(scenario)


def test_degraded_by_overload_as_those_ahead_take_the_time() -> None:
    async def scenario(spine: Spine) -> None:
        answers = await asyncio.gather(*(spine.ask(f"text {n}") for n in range(8)))
        rungs = [answer.decision.rung for answer in answers]
        assert rungs == ["large"] * 5 + ["small"] * 3
        assert {answer.decision.degraded for answer in answers[5:]} == {"overload"}
        assert all(answer.budget.is_met() for answer in answers)

    play(scenario)


def test_degraded_by_overload_as_the_line_is_full() -> None:
    async def scenario(spine: Spine) -> None:
        answers = await asyncio.gather(*(spine.ask(f"text {n}", 1_000) for n in range(3)))
        assert [answer.decision.rung for answer in answers] == ["large", "large", "small"]
        assert answers[2].decision.degraded == "overload"

    play(scenario, max_jobs=2)


def test_degraded_by_the_breaker() -> None:
    async def scenario(spine: Spine) -> None:
        trip(spine, 0)
        assert served(await spine.ask("hm")) == ("cards", "small", "breaker", "model")
        trip(spine, 1)
        assert served(await spine.ask("hm")) == ("help", "default", "breaker", "default")

    play(scenario)


@pytest.mark.parametrize("fault", ["error", "nan"])
def test_degraded_by_an_error_the_next_rung_answers(fault: str) -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.fault = fault
        assert served(await spine.ask("hm")) == ("cards", "small", "error", "model")
        spine.small.fault = fault
        assert served(await spine.ask("i lost it")) == ("blocking", "rules", "error", "rule")
        assert len(spine.large.calls) == 2, "a rung is not tried twice in a request"
        assert len(spine.cache) == 0

    play(scenario)


def test_only_the_best_rung_fills_the_cache() -> None:
    async def scenario(spine: Spine) -> None:
        await spine.ask("hm", 10)
        assert len(spine.cache) == 0
        spine.point.plan = Plan("plan", spine.rungs[1:])
        await spine.ask("hm", 10)
        assert len(spine.cache) == 1, "where it is the best one, the inline rung does"

    play(scenario)


def test_a_large_model_that_does_not_make_it_is_replaced_in_time_and_fills_the_cache_late() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.duration_ns = 80 * MS
        answer = await spine.ask("hm", 50)
        assert served(answer) == ("cards", "small", "budget", "model")
        assert 40 < answer.elapsed_ms < 49, "it waited as long as it could, and no longer"
        assert spine.runner.executor.overdue_ns(spine.loop.clock.now_ns()) > 0
        await asyncio.sleep(0.05)
        assert served(await spine.ask("hm", 50)) == ("cards", "cache", "none", "cache")

    play(scenario)


def test_a_stalled_executor_is_not_waited_for_twice() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.duration_ns = 5_000 * MS
        await spine.ask("first", 50)
        answer = await spine.ask("second", 50)
        assert served(answer) == ("cards", "small", "budget", "model")
        assert answer.elapsed_ms < 1

    play(scenario)


def test_an_inline_rung_that_drags_is_taken_out_and_comes_back() -> None:
    async def scenario(spine: Spine) -> None:
        small = spine.rungs[1]
        spine.point.plan = Plan("plan", (small,))
        spine.small.duration_ns = 60 * MS
        for number in range(20):
            await spine.ask(f"text {number}", 50)
            small.cost.restart()
        assert served(await spine.ask("hm", 50)) == ("help", "default", "breaker", "default")
        spine.small.duration_ns = 10 * MS
        await asyncio.sleep(1)
        assert served(await spine.ask("hm", 50)) == ("cards", "small", "none", "model")
        assert small.breaker.state is State.CLOSED
        assert small.cost.quantile_ns(P99, 1, 2, spine.loop.clock.now_ns()) < MS, "it starts again from its profile"

    play(scenario)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_step_of_the_wall_clock_changes_no_answer(hours: int) -> None:
    async def scenario(spine: Spine) -> None:
        asked = asyncio.ensure_future(spine.ask("hm"))
        await asyncio.sleep(0.001)
        spine.loop.clock.step_wall(hours * 3_600_000 * MS)
        answer = await asked
        assert served(answer) == ("cards", "large", "none", "model")
        assert answer.elapsed_ms == 8.02
        assert served(await spine.ask("hm")) == ("cards", "cache", "none", "cache")

    play(scenario)


def test_equal_texts_at_the_same_time_share_one_run() -> None:
    async def scenario(spine: Spine) -> None:
        answers = await asyncio.gather(*(spine.ask("the same", 1_000) for _ in range(40)))
        assert {served(answer) for answer in answers} == {("cards", "large", "none", "model")}
        assert spine.large.calls == ["the same"]
        assert len({answer.decision.decision_id for answer in answers}) == 40

    play(scenario)


def test_a_shared_run_that_fails_is_one_failure_for_the_breaker() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.fault = "error"
        answers = await asyncio.gather(*(spine.ask("the same", 1_000) for _ in range(40)))
        assert {served(answer) for answer in answers} == {("cards", "small", "error", "model")}
        assert spine.large.calls == ["the same"]
        assert spine.rungs[0].breaker.state is State.CLOSED

    play(scenario)


def test_each_waiter_of_a_shared_run_keeps_his_own_budget() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.duration_ns = 60 * MS
        hurried, patient = await asyncio.gather(spine.ask("the same", 40), spine.ask("the same", 200))
        assert (hurried.decision.rung, hurried.decision.degraded) == ("small", "budget")
        assert patient.decision.rung == "large"
        assert hurried.budget.is_met()
        assert patient.budget.is_met()

    play(scenario)


def test_who_leaves_frees_his_place_and_his_job_is_not_started() -> None:
    async def scenario(spine: Spine) -> None:
        first = asyncio.ensure_future(spine.ask("first", 1_000))
        second = asyncio.ensure_future(spine.ask("second", 1_000))
        await asyncio.sleep(0.001)
        second.cancel()
        await asyncio.wait((second,))
        assert second.cancelled()
        assert spine.admission.inflight == 1
        assert (await first).decision.rung == "large"
        await asyncio.sleep(0.1)
        assert spine.large.calls == ["first"]

    play(scenario)


@pytest.mark.parametrize(
    ("budget_ms", "code"),
    [
        pytest.param(0, "deadline-expired", id="zero"),
        pytest.param(-1e308, "deadline-expired", id="long ago"),
        pytest.param(0.1, "deadline-unmeetable", id="less than the floor takes"),
    ],
)
def test_what_cannot_be_met_is_refused_at_once_and_counted(budget_ms: float, code: str) -> None:
    async def scenario(spine: Spine) -> None:
        assert await refused(spine.ask("hm", budget_ms)) == code
        assert spine.metrics.refused.child(code).value == 1
        assert not spine.large.calls
        assert not spine.small.calls

    play(scenario)


def test_a_full_house_and_a_draining_one_refuse() -> None:
    async def scenario(spine: Spine) -> None:
        one = asyncio.ensure_future(spine.ask("one"))
        await asyncio.sleep(0)
        assert await refused(spine.ask("two")) == "rejected-inflight"
        assert (await one).decision.rung == "large"
        assert (await spine.ask("three")).decision.rung == "large"
        spine.admission.draining = True
        assert await refused(spine.ask("four")) == "rejected-draining"

    play(scenario, max_inflight=1)


def test_a_request_without_a_budget_gets_the_default() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.duration_ns = 3_600_000 * MS
        answer = await spine.ask("hm")
        assert answer.budget.total_ns == 50 * MS
        assert answer.budget.is_met()

    play(scenario)


TEXT = "where is it?"


async def _logged(spine: Spine, answer: Answer) -> tuple[tuple[str, str | float], ...]:
    record = await spine.log.get(answer.decision.decision_id)
    assert record is not None
    return record.columns


def _watch_cart(spine: Spine, fed: int) -> None:
    columns = (Column(name="context.cart_value", kind="number"), Column(name="channel"))
    spine.point.plan = spine.point.plan._replace(columns=columns, fed=fed)


def test_the_rungs_are_fed_their_columns_and_the_log_keeps_all() -> None:
    async def scenario(spine: Spine) -> None:
        _watch_cart(spine, fed=1)
        answer = await spine.ask(TEXT, context={"cart_value": 80, "other": "secret"})
        assert spine.large.values == [(80.0,)]
        assert await _logged(spine, answer) == (("context.cart_value", 80.0), ("channel", "chat"))
        answer = await spine.ask(f"{TEXT} then", 5.0, context={"cart_value": "many"})
        assert spine.small.values == [(None,)]
        assert await _logged(spine, answer) == (("channel", "chat"),)
        answer = await spine.ask("a real person", context={"cart_value": 7})
        assert await _logged(spine, answer) == (("context.cart_value", 7.0), ("channel", "chat"))

    play(scenario)


def test_a_text_that_is_not_kept_leaves_no_values_either() -> None:
    async def scenario(spine: Spine) -> None:
        _watch_cart(spine, fed=1)
        spine.pipeline._keep_text = False
        answer = await spine.ask(TEXT, context={"cart_value": 80})
        assert await _logged(spine, answer) == ()

    play(scenario)


def test_a_cached_answer_is_for_the_same_values_of_what_is_fed() -> None:
    async def scenario(spine: Spine) -> None:
        _watch_cart(spine, fed=1)
        rungs = [
            (await spine.ask(TEXT, channel=channel, context={"cart_value": cart})).decision.rung
            for cart, channel in ((80, "chat"), (80.0, "phone"), (5, "chat"), (80, "chat"))
        ]
        assert rungs == ["large", "cache", "large", "cache"]

    play(scenario)


def test_questions_that_differ_beside_the_text_share_no_flight() -> None:
    async def scenario(spine: Spine) -> None:
        _watch_cart(spine, fed=1)
        asks = [spine.ask(TEXT, context={"cart_value": cart}) for cart in (5, 5, 80)]
        await asyncio.gather(*asks)
        assert sorted(spine.large.values) == [(5.0,), (80.0,)]

    play(scenario)


@pytest.mark.parametrize(
    ("rank", "left_ns", "shut_out", "code"),
    [
        (None, 0, False, "deadline-expired"),
        (3, 1, True, "rejected-overload"),
        (3, 1, False, None),
        (None, None, True, None),
    ],
)
def test_whom_the_headers_doom_is_turned_away_unread(
    rank: int | None, left_ns: int | None, shut_out: bool, code: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(spine: Spine) -> None:
        monkeypatch.setattr(spine.control, "shuts_out", lambda *_: shut_out)
        if code is None:
            spine.pipeline.screen(rank, left_ns)
        else:
            with pytest.raises(NotAdmitted) as caught:
                spine.pipeline.screen(rank, left_ns)
            assert caught.value.code == code
        counted = {reason: child.value for (reason,), child in spine.metrics.refused.children.items()}
        assert counted == ({} if code is None else {code: 1})
        assert sum(spine.control.verdicts(3).values()) == (code == "rejected-overload"), "it counts as an arrival"
        assert spine.admission.inflight == 0

    play(scenario)
