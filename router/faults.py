"""Faults on purpose, for load tests and drills: slow, failing or lying rungs, a slow or dead store, a blocked loop.

Only a server started with `--allow-faults` has any of this between its parts.
"""

from __future__ import annotations

import time
from threading import Event
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
from msgspec import Meta

from budgets.batch_cost import BatchCost
from budgets.criticality import CRITICAL_PLUS
from budgets.deadline import NS_PER_MS
from budgets.job import Job, Work
from models.errors import BadOutput

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from random import Random

    from fallbacks.runner import Executor
    from models.classifier import Classifier, Prediction, Scores
    from models.columns import Value
    from models.inputs import Question
    from router.log import StoreFault

Share = Annotated[float, Meta(ge=0, le=1)]
# Long enough for any drill; short enough that a typing error does not stop a server for an hour.
Delay = Annotated[float, Meta(ge=0, le=10_000)]
NEVER_NS = 1 << 62
BETWEEN_BLOCKS_S = 1.0


class RungFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    delay_ms: Delay = 0.0
    error_share: Share = 0.0
    nan_share: Share = 0.0


class StoreFaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    delay_ms: Delay = 0.0
    down: bool = False


class Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Blocks for so long, and again a second after each block's end, until cleared."""

    block_ms: Delay = 0.0


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is broken now; `{}` is nothing."""

    large: RungFault = RungFault()
    small: RungFault = RungFault()
    store: StoreFaults = StoreFaults()
    loop: Block = Block()
    executor: Block = Block()


class InjectedError(RuntimeError):
    """Raised by a rung that was told to fail."""


class Faults:
    """Holds the plan and keeps it happening. Safety: `set` on the event loop; the rungs read from any thread."""

    def __init__(self, rng: Random, loop: asyncio.AbstractEventLoop, executor: Executor, store: StoreFault) -> None:
        self.plan = FaultPlan()
        self._rng, self._loop, self._executor, self._store = rng, loop, executor, store
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._block: Job[None, bool] | None = None  # the one of the executor
        self._cleared = Event()

    def set(self, plan: FaultPlan) -> None:
        """Break what the plan says, from now on; mend the rest."""
        self.plan = plan
        self._store.delay_ns, self._store.down = int(plan.store.delay_ms * NS_PER_MS), plan.store.down
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._block is not None:
            self._block.cancelled, self._block = True, None
            self._cleared.set()
        if plan.executor.block_ms:
            self._block_executor()
        if plan.loop.block_ms:
            self._block_loop()

    def _block_loop(self) -> None:
        time.sleep(self.plan.loop.block_ms / 1e3)
        self._again(self._block_loop)

    def _block_executor(self) -> None:
        cleared, seconds = Event(), self.plan.executor.block_ms / 1e3
        # Free of charge, and first in line: nobody foresees it.
        work: Work[None, bool] = Work("block", BatchCost.flat(1, 1), lambda _: [cleared.wait(seconds)])
        self._block = Job(work, None, 0, CRITICAL_PLUS, 0, NEVER_NS, NEVER_NS, 0, self._block_ended)
        self._cleared = cleared
        if not self._executor.submit(self._block):
            self._block_ended(self._block)

    def _block_ended(self, job: Job[None, bool]) -> None:
        """Not before this is the next block made: blocks that take turns with slow calls must not pile up."""
        if job is self._block:
            self._block = None
            self._again(self._block_executor)

    def _again(self, block: Callable[[], None]) -> None:
        self._timers[block] = self._loop.call_later(BETWEEN_BLOCKS_S, block)

    def around(self, name: str, classifier: Classifier) -> Callable[[str, tuple[Value, ...]], Prediction]:
        """The classifier's `predict`, with what the plan says for the rung of that name."""

        def predict(text: str, values: tuple[Value, ...] = ()) -> Prediction:
            self._delay(name)
            return self._answer(name, classifier, classifier.scores(text, values))

        return predict

    def around_many(
        self, name: str, classifier: Classifier
    ) -> Callable[[Sequence[Question]], list[Prediction | Exception]]:
        """The same of `predict_many`: slow as a whole, failing one by one."""

        def predict_many(questions: Sequence[Question]) -> list[Prediction | Exception]:
            self._delay(name)
            answers: list[Prediction | Exception] = []
            for scores in classifier.scores_many(questions):
                try:
                    answers.append(self._answer(name, classifier, scores))
                except (InjectedError, BadOutput) as error:
                    answers.append(error)
            return answers

        return predict_many

    def _fault(self, name: str) -> RungFault:
        fault: RungFault = getattr(self.plan, name, RungFault())
        return fault

    def _delay(self, name: str) -> None:
        delay_ms = self._fault(name).delay_ms
        if delay_ms:
            time.sleep(delay_ms / 1e3)

    def _answer(self, name: str, classifier: Classifier, scores: Scores) -> Prediction:
        fault = self._fault(name)
        if self._rng.random() < fault.error_share:
            raise InjectedError(f"{name} was told to fail")
        if self._rng.random() < fault.nan_share:
            scores = scores._replace(logits=np.full_like(scores.logits, np.nan))
        return classifier.interpret(scores)
