"""Plans that are swapped under decisions; and the activator's turns."""

from __future__ import annotations

import asyncio
from random import Random
from threading import Event
from typing import TYPE_CHECKING

import pytest

from budgets.predictor import InlineCost
from fallbacks.breaker import Breaker, BreakerSettings
from models.classifier import Prediction
from models.errors import RunFailed
from router.background import Background
from router.policy.point import ModelRung, Plan
from tests.spine import Spine, play, served
from tests.virtual import MS

if TYPE_CHECKING:
    from router.log import DecisionRecord


def _other_plan(spine: Spine) -> Plan:
    """One rung, `small`, that says `loans`."""
    rung = ModelRung(
        "small", InlineCost(MS, MS), Breaker(BreakerSettings(), Random(0)), work=None,
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


def test_what_a_plan_answered_before_answers_for_no_other() -> None:
    async def scenario(spine: Spine) -> None:
        assert served(await spine.ask("a text"))[1] == "large"
        assert served(await spine.ask("a text"))[1] == "cache"
        spine.point.plan = _other_plan(spine)
        assert served(await spine.ask("a text"))[:2] == ("loans", "small")

    play(scenario)


def test_what_a_plan_answers_late_after_the_swap_answers_for_no_other() -> None:
    async def scenario(spine: Spine) -> None:
        spine.large.duration_ns = 80 * MS
        assert served(await spine.ask("a text", 50))[:3] == ("cards", "small", "budget")
        before = spine.point.plan
        spine.point.plan = _other_plan(spine)
        assert len(spine.cache) == 0
        await asyncio.sleep(0.05)
        assert len(spine.cache) == 1, "the large model's answer has come"
        assert served(await spine.ask("a text", 50))[:2] == ("loans", "small")
        spine.point.plan = before
        assert served(await spine.ask("a text", 50))[:2] == ("cards", "cache")

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
        background = Background()
        assert await background.run(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await background.run(lambda: 1 // 0)
        abandoned = background.run(lambda: 7)
        abandoned.cancel()
        await asyncio.sleep(0)
        assert await background.run(lambda: 8) == 8  # the loop lives, and nobody complained

    asyncio.run(main())


class _Panic(BaseException):
    """As a library in Rust raises it."""


@pytest.mark.parametrize("kind", [_Panic, SystemExit, KeyboardInterrupt])
def test_what_is_no_exception_ends_neither_the_wait_nor_the_loop(kind: type[BaseException]) -> None:
    def panic() -> None:
        raise kind("told to")

    async def main() -> None:
        with pytest.raises(RunFailed, match=f"{kind.__name__}: told to"):
            await asyncio.wait_for(Background().run(panic), 20)

    asyncio.run(main())


def test_the_end_waits_for_the_thread_within_bounds() -> None:
    async def main() -> None:
        background, is_over = Background(), Event()
        await background.join()
        done = background.run(lambda: is_over.wait(20))
        await background.join(timeout_s=0.01)
        assert not done.done()
        is_over.set()
        await background.join()
        assert await done

    asyncio.run(main())
