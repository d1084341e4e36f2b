"""loadtest.engine.inproc: an object in this process is asked as a server is, in virtual time."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest

from loadtest.answer import Answer, AnswerBudget
from loadtest.crew import Alone
from loadtest.engine.inproc import InprocEngine, TargetRefused
from loadtest.errors import Unreachable
from loadtest.pacer import Pacer
from loadtest.quantity import MS, S
from loadtest.record import Recorder
from loadtest.request import Requests
from loadtest.run import Run, open_run
from loadtest.sample import GAVE_UP, NEVER, NOTHING, RUNGS, STAGES
from loadtest.view import view
from loadtest.worker import drive
from tests.fabricated import fabricate
from tests.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
    from typing import Any

ANSWER = Answer(
    "small", "overload", "cards", "", "model", f"{7:016x}{9:016x}", AnswerBudget(3.5, {"infer": 3.0, "queue": 0.5})
)


class Fake:
    """A target that does with the n-th request what the n-th deed says."""

    def __init__(self, *deeds: Callable[[], Awaitable[Answer]]) -> None:
        self._deeds = iter(deeds)
        self.asked: list[tuple[dict[str, Any], int]] = []
        self.states: list[str] = []

    async def open(self) -> None:
        self.states.append("open")

    async def ask(self, body: bytes, budget_ns: int) -> Answer:
        self.asked.append((json.loads(body), budget_ns))
        return await next(self._deeds)()

    async def set_faults(self, faults: Mapping[str, Any]) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        self.states.append("closed")


async def at_once() -> Answer:
    return ANSWER


async def after_20_ms() -> Answer:
    await asyncio.sleep(0.02)
    return ANSWER


async def refused() -> Answer:
    raise TargetRefused(429)


async def broken() -> Answer:
    raise ZeroDivisionError


async def never() -> Answer:
    forever: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    return await forever


def play(
    path: Path, target: Fake, count: int, stop_s: float = 60, gap_ns: int = 100 * MS, timeout_ns: int = 300 * MS
) -> tuple[Run, Recorder]:
    """A request every `gap_ns`."""
    fabricate(path, np.full(count, NEVER), intended_ns=np.arange(count) * gap_ns, budget_ns=50 * MS)
    made = open_run(path, writable=True)
    for field in ("paced_ns", "sent_ns", "first_ns", "done_ns"):
        made.samples[field] = NEVER

    async def main(loop: VirtualLoop) -> Recorder:
        requests, recorder, stop = Requests(made), Recorder(made.samples, loop.clock.now_ns), asyncio.Event()
        engine = InprocEngine(target, requests, recorder, timeout_ns)
        loop.call_later(stop_s, stop.set)
        await engine.open()
        pacer = Pacer(range(count), requests.intended_ns, engine.send, recorder, spin_ns=0)
        await drive(pacer, engine, recorder, stop, 2 * S)
        await engine.close()
        assert len(asyncio.all_tasks()) == 1
        return recorder

    return made, run(main)


def test_an_answer_is_written_down_with_all_that_it_tells(tmp_path: Path) -> None:
    target = Fake(at_once, after_20_ms)
    made, _ = play(tmp_path, target, 2)
    first, second = made.samples
    assert (first["paced_ns"], first["sent_ns"], first["done_ns"]) == (0, 0, 0)
    assert second["done_ns"] - second["sent_ns"] == 20 * MS
    assert (second["status"], RUNGS[second["rung"]], second["server_us"]) == (200, "small", 3_500)
    assert (second["decision_high"], second["decision_low"]) == (7, 9)
    assert second["stages_us"][STAGES.index("infer")] == 3_000
    assert target.states == ["open", "closed"]


def test_it_is_asked_for_what_the_plan_says(tmp_path: Path) -> None:
    target = Fake(at_once, at_once)
    play(tmp_path, target, 2)
    assert [(fields["text"], fields["channel"], budget_ns) for fields, budget_ns in target.asked] == [
        ("text 0", "chat", 50 * MS),
        ("text 1", "chat", 50 * MS),
    ]


def test_nobody_waits_for_another(tmp_path: Path) -> None:
    made, _ = play(tmp_path, Fake(*[after_20_ms] * 100), 100, gap_ns=0)
    assert made.samples["done_ns"].tolist() == [20 * MS] * 100


def test_a_refusal_has_its_status_and_a_failure_is_a_500(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "takt.loadtest"):
        made, recorder = play(tmp_path, Fake(refused, broken, broken), 3)
    assert made.samples["status"].tolist() == [429, 500, 500]
    assert recorder.answered_total == 3
    assert len(caplog.records) == 1  # the first tells; a thousand more would not tell more


def test_what_has_ended_is_forgotten(tmp_path: Path) -> None:
    fabricate(tmp_path, np.full(200, NEVER), intended_ns=np.arange(200) * 10 * MS)
    made = open_run(tmp_path, writable=True)

    async def main(loop: VirtualLoop) -> None:
        requests, recorder = Requests(made), Recorder(made.samples, loop.clock.now_ns)
        engine = InprocEngine(Fake(*[at_once] * 200), requests, recorder, timeout_ns=60 * S)
        pacer = Pacer(range(200), requests.intended_ns, engine.send, recorder, spin_ns=0)
        await engine.open()
        await drive(pacer, engine, recorder, asyncio.Event(), S)
        assert len(engine._tasks) < 10
        await engine.close()

    run(main)


def test_who_does_not_answer_is_given_up(tmp_path: Path) -> None:
    made, recorder = play(tmp_path, Fake(never, at_once, never), 3)
    assert made.samples["status"].tolist() == [GAVE_UP, 200, GAVE_UP]
    assert made.samples["done_ns"][0] - 300 * MS <= 50 * MS
    assert (recorder.answered_total, recorder.failed_total) == (1, 2)


def test_what_is_open_when_it_is_closed_stays_unfinished(tmp_path: Path) -> None:
    target = Fake(at_once, *[never] * 9)
    made, recorder = play(tmp_path, target, 10, stop_s=0.25, timeout_ns=10 * S)
    assert recorder.paced_total == 3
    assert made.samples["status"].tolist() == [200] + [NOTHING] * 9
    assert view(made).counts() == {"ok": 1, "late": 0, "shed": 0, "error": 0, "unsent": 7, "unfinished": 2}
    assert target.states == ["open", "closed"]


def test_a_generator_that_comes_too_late_gives_up_before_it_began(tmp_path: Path) -> None:
    """A task that is cancelled before its first step must not stay pending for ever."""

    async def blocks() -> Answer:
        loop.spend(S)
        return ANSWER

    fabricate(tmp_path, [NEVER, NEVER], intended_ns=[0, 0])
    made, loop = open_run(tmp_path, writable=True), VirtualLoop()

    async def main(loop: VirtualLoop) -> None:
        requests, recorder = Requests(made), Recorder(made.samples, loop.clock.now_ns)
        engine = InprocEngine(Fake(blocks, never), requests, recorder, timeout_ns=300 * MS)
        await engine.open()
        engine.send(0)
        loop.spend(S)
        engine.send(1)
        await asyncio.sleep(0.2)
        assert engine.pending == 0
        await engine.close()

    run(main, loop)


def test_what_did_not_open_can_be_closed(tmp_path: Path) -> None:
    """Or the reason why it did not would be lost."""

    class Absent(Fake):
        async def open(self) -> None:
            raise Unreachable("no model")

    async def main(_: VirtualLoop) -> None:
        crew = Alone(fabricate(tmp_path / "run", [MS]), target)
        with pytest.raises(Unreachable, match="no model"):
            await crew.ready()
        await crew.close()

    target = Absent()
    run(main)
    assert target.states == ["closed"]
