"""Faults on purpose: they come again while they are asked for, and leave nothing behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from budgets.criticality import CRITICAL_PLUS
from budgets.job import Batch
from models.classifier import Prediction, Scores
from models.errors import BadOutput, RunFailed
from models.inputs import Question
from router.faults import Block, FaultPlan, Faults, InjectedError, RungFault, StoreFaults
from router.log import StoreFault
from tests.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from budgets.job import Job
    from models.classifier import Classifier


class Line:
    """An executor that starts and ends its jobs when it is told to."""

    def __init__(self) -> None:
        self.jobs: list[Job[Any, Any]] = []
        self.is_full = False

    def __len__(self) -> int:
        return len(self.jobs)

    def ahead(self, rank: int) -> int:
        raise NotImplementedError

    def submit(self, job: Job[Any, Any]) -> bool:
        if not self.is_full:
            self.jobs.append(job)
        return not self.is_full

    def move(self, job: Job[Any, Any], rank: int, latest_start_ns: int) -> None:
        raise NotImplementedError

    def run(self) -> Batch:
        """As far as a thread does it."""
        job = self.jobs[0]
        batch = job.batch = Batch(job.work, [job], 0, 0, 0, 0)
        batch.run(lambda: 0)
        return batch

    def end(self) -> Job[Any, Any]:
        if self.jobs[0].is_startable(0):
            self.run()
        job = self.jobs.pop(0)
        job.ended(job)
        return job

    def wait_ns(self, rank: int, latest_start_ns: int, now_ns: int) -> int:
        return 0

    def overdue_ns(self, now_ns: int) -> int:
        return 0


def plan(executor_ms: float = 0.0, loop_ms: float = 0.0) -> FaultPlan:
    return FaultPlan(executor=Block(block_ms=executor_ms), loop=Block(block_ms=loop_ms))


def open_faults(loop: asyncio.AbstractEventLoop) -> tuple[Faults, Line, StoreFault]:
    line, store = Line(), StoreFault()
    return Faults(Random(0), loop, line, store), line, store


def timers(loop: VirtualLoop) -> int:
    return sum(not handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]


def test_the_executor_is_blocked_again_a_second_after_each_blocks_end() -> None:
    async def main(loop: VirtualLoop) -> None:
        broken, line, _ = open_faults(loop)
        broken.set(plan(executor_ms=0.1))
        await asyncio.sleep(10)
        assert len(line.jobs) == 1
        assert line.end().error is None
        assert not line.jobs
        await asyncio.sleep(0.9)
        assert not line.jobs
        await asyncio.sleep(0.2)
        assert len(line.jobs) == 1
        broken.set(plan())

    run(main)


def test_nothing_is_scheduled_or_queued_once_it_is_cleared() -> None:
    async def main(loop: VirtualLoop) -> None:
        broken, line, store = open_faults(loop)
        broken.set(FaultPlan(executor=Block(block_ms=10_000), store=StoreFaults(delay_ms=5, down=True)))
        assert (store.delay_ns, store.down) == (5_000_000, True)
        broken.set(FaultPlan())
        assert (store.delay_ns, store.down) == (0, False)
        assert not line.jobs[0].is_startable(0)
        line.end()
        await asyncio.sleep(5)
        assert not line.jobs
        assert timers(loop) == 0
        broken.set(plan(executor_ms=0.1))
        line.end()
        assert timers(loop) == 1
        broken.set(FaultPlan())
        assert timers(loop) == 0
        await asyncio.sleep(5)
        assert not line.jobs

    run(main)


@pytest.mark.timeout(5)
def test_a_block_that_runs_ends_when_it_is_cleared() -> None:
    async def main() -> None:
        broken, line, _ = open_faults(asyncio.get_running_loop())
        broken.set(plan(executor_ms=10_000))
        running = asyncio.create_task(asyncio.to_thread(line.run))
        await asyncio.sleep(0)
        broken.set(FaultPlan())
        assert (await running).jobs[0].value is True

    asyncio.run(main())


def test_a_full_line_is_tried_again() -> None:
    async def main(loop: VirtualLoop) -> None:
        broken, line, _ = open_faults(loop)
        line.is_full = True
        broken.set(plan(executor_ms=0.1))
        line.is_full = False
        await asyncio.sleep(1.1)
        assert len(line.jobs) == 1
        broken.set(FaultPlan())

    run(main)


def test_the_loop_is_blocked_again_a_second_later(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("router.faults.time.sleep", slept.append)

    async def main(loop: VirtualLoop) -> None:
        broken, line, _ = open_faults(loop)
        broken.set(plan(loop_ms=50))
        await asyncio.sleep(2.5)
        assert slept == [0.05] * 3
        broken.set(FaultPlan())
        await asyncio.sleep(5)
        assert len(slept) == 3
        assert not line.jobs

    run(main)


def test_a_block_is_as_critical_as_can_be_and_nobody_foresees_it() -> None:
    async def main(loop: VirtualLoop) -> None:
        broken, line, _ = open_faults(loop)
        broken.set(plan(executor_ms=10_000))
        (job,) = line.jobs
        assert (job.rank, job.charged_ns) == (CRITICAL_PLUS, 0)
        assert job.work.cost.mean_ns(1, 0) < 1_000
        broken.set(FaultPlan())

    run(main)


class Model:
    """Stands for a classifier: says how often it was called, and with how many."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.fails = False

    def scores(self, text: str, values: tuple[object, ...] = ()) -> Scores:
        self.calls.append(1)
        return Scores(np.array([len(text), 0], np.float32), None)

    def scores_many(self, questions: list[Question]) -> list[Scores]:
        self.calls.append(len(questions))
        if self.fails:
            raise RunFailed("no memory")
        return [Scores(np.array([len(question.text), 0], np.float32), None) for question in questions]

    def interpret(self, scores: Scores) -> Prediction:
        if not np.isfinite(scores.logits).all():
            raise BadOutput("not finite")
        return Prediction("cards", float(scores.logits[0]), ())


def classifier() -> tuple[Classifier, Model]:
    model = Model()
    return cast("Classifier", model), model


QUESTIONS = [Question("a" * (1 + number % 9), ()) for number in range(300)]


def test_a_batch_is_slow_as_a_whole_and_fails_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("router.faults.time.sleep", slept.append)

    async def main(loop: VirtualLoop) -> None:
        (broken, _, _), (subject, model) = open_faults(loop), classifier()
        predict_many = broken.around_many("large", subject)
        assert [answer.confidence for answer in predict_many(QUESTIONS) if isinstance(answer, Prediction)] == [
            len(question.text) for question in QUESTIONS
        ]
        assert slept == []
        broken.set(FaultPlan(large=RungFault(delay_ms=50, error_share=0.3, nan_share=0.2)))
        answers = predict_many(QUESTIONS)
        assert slept == [0.05]
        assert model.calls == [300, 300], "one call of the runtime"
        kinds = Counter(type(answer) for answer in answers)
        assert set(kinds) == {Prediction, InjectedError, BadOutput}
        assert 60 < kinds[InjectedError] < 120
        assert 20 < kinds[BadOutput] < 65
        for question, answer in zip(QUESTIONS, answers, strict=True):
            assert not isinstance(answer, Prediction) or answer.confidence == len(question.text)
        broken.set(FaultPlan(small=RungFault(error_share=1)))
        assert all(isinstance(answer, Prediction) for answer in predict_many(QUESTIONS)), "that is another rung"

    run(main)


def test_a_call_that_raises_as_a_whole_raises_as_a_whole() -> None:
    async def main(loop: VirtualLoop) -> None:
        (broken, _, _), (subject, model) = open_faults(loop), classifier()
        model.fails = True
        with pytest.raises(RunFailed):
            broken.around_many("large", subject)(QUESTIONS)

    run(main)


def test_one_question_fails_and_drags_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("router.faults.time.sleep", slept.append)

    async def main(loop: VirtualLoop) -> None:
        (broken, _, _), (subject, _) = open_faults(loop), classifier()
        predict = broken.around("small", subject)
        assert predict("four", ()).confidence == 4
        broken.set(FaultPlan(small=RungFault(delay_ms=5, error_share=1)))
        with pytest.raises(InjectedError, match="small was told to fail"):
            predict("four", ())
        broken.set(FaultPlan(small=RungFault(nan_share=1)))
        with pytest.raises(BadOutput):
            predict("four", ())
        assert slept == [0.005]

    run(main)
