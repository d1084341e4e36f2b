"""Batch matching by the desk under virtual time: proposals that come, come late, or never come."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fallbacks.breaker import State as BreakerState
from models.errors import RunFailed
from router.assign.command import Propose
from router.assign.policy import ClassPolicy, Policy, QueuePolicy, ScorePolicy
from router.desk import matcher
from router.desk.outcome import OutcomeModel
from router.desk.record import decode_command
from tests.outcomes import write_outcome
from tests.virtual import MS, VirtualLoop, run
from tests.virtual_desk import Place, agent, create, present

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from router.desk.desk import Desk

SKILLS = {"task.context.topic=loans * agent.skill.loans": 1.0, "task.context.topic=cards * agent.skill.cards": 1.0}
LINEAR = ScorePolicy(weights=SKILLS)


def policy_of(score: ScorePolicy | None = LINEAR, window_ms: float = 100.0, **queue: Any) -> Policy:
    scored = {} if score is None else {"rank": "score", "score": "fit"}
    return Policy(
        version="1",
        queues={"cards": QueuePolicy(window_ms=window_ms, **(scored | queue))},
        scores={} if score is None else {"fit": score},
    )


async def staff(desk: Desk, **skills: dict[str, int]) -> None:
    for name, known in skills.items():
        await desk.submit(agent(name, most=1, skills=known))
        await desk.submit(present(name))


async def two_and_two(desk: Desk) -> None:
    """The first in both lines do not go together: whoever takes pairs one by one gets it wrong."""
    await asyncio.sleep(1)  # the solver and the models are loaded
    await staff(desk, ana={"cards": 5, "loans": 4}, ben={"cards": 4})
    await asyncio.sleep(1)
    desk.submit_now(create("t1", context={"topic": "cards"}))
    desk.submit_now(create("t2", context={"topic": "loans"}))


def asked(place: Place) -> dict[str, str]:
    """Whom each task was offered to first."""
    issued = [event for event in place.told if event.type == "offer.issued"]
    return {event.subject: str(event.data["resource_id"]) for event in reversed(issued)}


def proposals(place: Place) -> list[Propose]:
    commands = [decode_command(entry.command) for entry in place.memory.entries]
    return [command for command in commands if isinstance(command, Propose)]


def play(policy: Policy, main: Callable[[Place, Desk], Coroutine[Any, Any, None]], folder: Path | None = None) -> None:
    async def around(loop: VirtualLoop) -> None:
        place = Place(loop, policy, folder)
        async with place.desk() as (desk, _):
            await main(place, desk)
            assert await place.is_whole(desk)

    run(around)


def test_the_best_pairs_are_asked_at_the_end_of_the_window() -> None:
    async def main(place: Place, desk: Desk) -> None:
        await two_and_two(desk)
        began_ns = place.loop.clock.now_ns()
        await asyncio.sleep(0.099)
        assert asked(place) == {}
        await asyncio.sleep(0.010)
        assert asked(place) == {"t1": "ben", "t2": "ana"}
        (proposal,) = proposals(place)
        assert {(pair.task_id, pair.resource_id, pair.score) for pair in proposal.pairs} == {
            ("t1", "ben", 4.0), ("t2", "ana", 4.0),
        }  # fmt: skip
        assert place.loop.clock.now_ns() - began_ns < 110 * MS

    play(policy_of(), main)


def test_a_large_matching_is_proposed_in_parts_the_most_urgent_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matcher, "_AT_ONCE", 2)

    async def main(place: Place, desk: Desk) -> None:
        await asyncio.sleep(1)
        desk.submit_now(create("old", context={"topic": "cards"}))
        desk.submit_now(create("hot", context={"topic": "cards"}, service_class="hot"))
        desk.submit_now(create("new", context={"topic": "loans"}))
        await asyncio.sleep(10)
        await staff(desk, ana={"cards": 5}, ben={"cards": 4}, cem={"loans": 4})
        await asyncio.sleep(0.3)
        first, second = proposals(place)
        assert [pair.task_id for pair in first.pairs] == ["hot", "old"]
        assert [pair.task_id for pair in second.pairs] == ["new"]
        assert (first.has_more, second.has_more) == (True, False)
        assert asked(place)["new"] == "cem"

    policy = msgspec.structs.replace(policy_of(window_ms=250.0), classes={"hot": ClassPolicy(slope=3.0)})
    play(policy, main)


def test_whoever_is_preferred_is_asked_whatever_the_scores() -> None:
    async def main(place: Place, desk: Desk) -> None:
        await asyncio.sleep(1)
        await staff(desk, ana={"cards": 5, "loans": 4}, ben={"cards": 4})
        desk.submit_now(create("t1", context={"topic": "cards"}, preferred=("ana",)))
        desk.submit_now(create("t2", context={"topic": "loans"}))
        await asyncio.sleep(0.2)
        assert asked(place) == {"t1": "ana", "t2": "ben"}

    play(policy_of(), main)


def test_a_small_matching_needs_no_thread() -> None:
    async def main(place: Place, desk: Desk) -> None:
        await two_and_two(desk)
        calls = place.thread.calls_total
        await asyncio.sleep(0.2)
        assert asked(place) == {"t1": "ben", "t2": "ana"}
        assert place.thread.calls_total == calls

    play(policy_of(), main)


def test_a_large_matching_runs_in_the_thread() -> None:
    async def main(place: Place, desk: Desk) -> None:
        await asyncio.sleep(1)
        await staff(desk, **{f"a{number}": {"cards": 1 + number % 5} for number in range(60)})
        await asyncio.sleep(1)
        calls = place.thread.calls_total
        for number in range(60):
            desk.submit_now(create(f"t{number}", context={"topic": "cards"}))
        await asyncio.sleep(0.2)
        assert place.thread.calls_total == calls + 1
        assert len(set(asked(place).values())) == 60

    play(policy_of(), main)


def test_without_a_model_the_ranking_counts() -> None:
    async def main(place: Place, desk: Desk) -> None:
        await two_and_two(desk)
        await staff(desk, cy={})
        await asyncio.sleep(0.2)
        assert set(asked(place).values()) == {"ana", "ben"}, "who has been idle longest"
        assert len(proposals(place)) == 1

    play(policy_of(None, rank="longest_idle"), main)


def test_when_the_thread_is_late_the_engine_matches_without_it() -> None:
    async def main(place: Place, desk: Desk) -> None:
        await two_and_two(desk)
        place.thread.duration_ns = 1_000 * MS
        desk._matcher._is_loaded = False  # so that even a small one takes the thread
        await asyncio.sleep(0.199)
        assert asked(place) == {}
        await asyncio.sleep(0.010)
        assert set(asked(place)) == {"t1", "t2"}
        assert desk._matcher.late_total == 1
        await asyncio.sleep(3)
        assert proposals(place) == [], "what comes late is not even logged"

    play(policy_of(), main)


@pytest.mark.parametrize("window_ms", [0.0, 100.0])
def test_a_model_that_was_trained_elsewhere(tmp_path: Path, window_ms: float) -> None:
    write_outcome(tmp_path / "fit.onnx", SKILLS)

    async def main(place: Place, desk: Desk) -> None:
        await two_and_two(desk)
        await asyncio.sleep(0.2)
        assert set(asked(place)) == {"t1", "t2"}
        if window_ms:
            assert asked(place) == {"t1": "ben", "t2": "ana"}
        assert proposals(place)[0].pairs

    play(policy_of(ScorePolicy(kind="onnx", file="fit.onnx"), window_ms), main, tmp_path)


def test_a_model_that_is_not_there_is_no_reason_to_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main(place: Place, desk: Desk) -> None:
        await two_and_two(desk)
        await asyncio.sleep(0.110)
        assert set(asked(place)) == {"t1", "t2"}, "at once at the end of the window"
        assert [proposal.pairs for proposal in proposals(place)] == [()]

    play(policy_of(ScorePolicy(kind="onnx", file="gone.onnx")), main, tmp_path)
    assert "outcome_model_unusable" in [record.message for record in caplog.records]


def test_a_model_that_fails_again_and_again_is_taken_out_of_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_outcome(tmp_path / "fit.onnx", SKILLS)
    calls = 0

    def fail(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise RunFailed("broken")

    monkeypatch.setattr(OutcomeModel, "predict", fail)

    async def main(place: Place, desk: Desk) -> None:
        await asyncio.sleep(1)
        await staff(desk, **{f"a{number}": {"cards": 1} for number in range(20)})
        for number in range(20):
            await desk.submit(create(f"t{number}", context={"topic": "cards"}))
            await asyncio.sleep(0.020)
        assert len(asked(place)) == 20
        assert calls == 5
        assert desk._matcher.failed_total == 5
        assert desk._matcher._breakers["fit.onnx"].state is BreakerState.OPEN

    play(policy_of(ScorePolicy(kind="onnx", file="fit.onnx"), window_ms=0.0), main, tmp_path)


def test_another_policy_brings_its_models(tmp_path: Path) -> None:
    write_outcome(tmp_path / "fit.onnx", SKILLS)

    async def main(loop: VirtualLoop) -> None:
        place = Place(loop, policy_of(), tmp_path)
        async with place.desk() as (desk, _):
            await asyncio.sleep(1)
            assert desk._matcher._models == {}
        place.policy = policy_of(ScorePolicy(kind="onnx", file="fit.onnx"))
        async with place.desk() as (desk, _):
            await asyncio.sleep(1)
            assert list(desk._matcher._models) == ["fit.onnx"]
            await two_and_two(desk)
            await asyncio.sleep(0.2)
            assert asked(place) == {"t1": "ben", "t2": "ana"}

    run(main)


def test_a_desk_that_closes_gives_up_its_matchings() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop, policy_of())
        async with place.desk() as (desk, _):
            await two_and_two(desk)
            place.thread.duration_ns = 10_000 * MS
            desk._matcher._is_loaded = False
            await asyncio.sleep(0.110)
            assert desk._matcher._tasks
        assert not desk._matcher._tasks
        assert proposals(place) == []
        place.thread = type(place.thread)(loop)
        async with place.desk() as (desk, _):
            await asyncio.sleep(1)
            assert set(asked(place)) == {"t1", "t2"}

    run(main)
