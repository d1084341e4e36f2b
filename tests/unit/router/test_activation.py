"""Plans that are swapped under decisions; and the activator's turns."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from budgets.predictor import CostEstimate
from fallbacks.breaker import Breaker, BreakerSettings
from models.classifier import Prediction
from router.activation import in_background
from router.policy.point import ModelRung, Plan
from tests.spine import Spine, play, served
from tests.virtual import MS

if TYPE_CHECKING:
    from router.log import DecisionRecord


def _other_plan(spine: Spine) -> Plan:
    """One rung, `small`, that says `loans`."""
    rung = ModelRung(
        "small", CostEstimate(MS, MS), Breaker(BreakerSettings(), Random(0)), needs_executor=False,
        predict=lambda *_: Prediction("loans", 0.8, ()), threshold=0.5,
    )  # fmt: skip
    return Plan("other", (rung,))


async def _record(spine: Spine, decision_id: str) -> DecisionRecord:
    found = await spine.log.get(decision_id)
    assert found is not None
    return found


def test_a_decision_keeps_to_the_plan_it_began_with() -> None:
    async def scenario(spine: Spine) -> None:
        began = asyncio.ensure_future(spine.ask("where is my card"))
        await asyncio.sleep(0.001)
        spine.point.plan = _other_plan(spine)
        after = await spine.ask("where is my card")
        before = await began
        assert served(before) == ("cards", "large", "none", "model")
        assert served(after) == ("loans", "small", "none", "model")
        versions = [(await _record(spine, each.decision.decision_id)).plan_version for each in (before, after)]
        assert versions == ["plan", "other"]

    play(scenario)


def test_what_a_plan_answered_late_or_before_answers_for_no_other() -> None:
    async def scenario(spine: Spine) -> None:
        assert served(await spine.ask("a text"))[1] == "large"
        assert served(await spine.ask("a text"))[1] == "cache"
        spine.point.plan = _other_plan(spine)
        assert served(await spine.ask("a text"))[:2] == ("loans", "small")

    play(scenario)


def test_a_rung_that_fails_after_the_swap_falls_within_its_own_plan() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.fault = "error"
        began = asyncio.ensure_future(spine.ask("where is my card"))
        await asyncio.sleep(0.001)
        spine.point.plan = _other_plan(spine)
        assert served(await began) == ("cards", "small", "error", "model")

    play(scenario)


def test_work_in_the_background_gives_its_value_or_its_error() -> None:
    async def main() -> None:
        assert await in_background(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await in_background(lambda: 1 // 0)
        abandoned = in_background(lambda: 7)
        abandoned.cancel()
        await asyncio.sleep(0)
        assert await in_background(lambda: 8) == 8  # the loop lives, and nobody complained

    asyncio.run(main())
