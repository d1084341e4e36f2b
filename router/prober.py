"""Asks the rungs of an idle executor a question now and then.

A rung that was found too slow is not chosen, so nothing would show that it is quick again; and what is believed of one
that nobody used for long is old. A few milliseconds every two seconds, of an executor that has nothing else to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.batch_cost import BatchCost
from budgets.criticality import SHEDDABLE
from budgets.job import Job
from models.inputs import Question

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from budgets.clock import Clock
    from fallbacks.runner import Executor
    from models.classifier import Prediction
    from router.policy.point import ModelRung, Plan

_EVERY_NS = 500_000_000
# Three probes must fit into the five seconds in which a rung that is quick again has to be back: the estimate believes
# two or three that agree (tests/simulation/test_predictor_simulation.py).
_SILENCE_NS = 1_500_000_000
_SURPRISE_SHARE = 0.7
_PROBE = "how long does it take until my new card arrives"


class Prober:
    """Looks twice a second. One event loop owns it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, executor: Executor, plan: Callable[[], Plan]
    ) -> None:
        self._loop, self._clock, self._executor, self._plan = loop, clock, executor, plan
        self._timer: asyncio.TimerHandle | None = None
        self._surprise = ""  # the rung whose last probe was far quicker than believed: ask it again soon

    def start(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_EVERY_NS / 1e9, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        self.start()
        now_ns = self._clock.now_ns()
        if len(self._executor):
            return
        for rung in self._plan().rungs:
            cost = rung.cost
            silence_ns = 0 if rung.name == self._surprise else _SILENCE_NS
            if isinstance(cost, BatchCost) and now_ns - cost.last_ns >= silence_ns:
                self._probe(rung, cost, now_ns)
                return

    def _probe(self, rung: ModelRung, cost: BatchCost, now_ns: int) -> None:
        work = rung.work
        if work is None:
            return

        def learn(job: Job[Question, Prediction]) -> None:
            batch = job.batch
            if batch is not None and batch.end_ns is not None and job is batch.jobs[0]:  # one call, one lesson
                texts, took_ns = len(batch.jobs), batch.end_ns - batch.start_ns
                is_quick = took_ns < _SURPRISE_SHARE * cost.mean_ns(texts, batch.longest)
                self._surprise = rung.name if is_quick else ""
                cost.observe(texts, batch.longest, took_ns, batch.end_ns)

        # Behind everybody else, and not at all if somebody else keeps the executor busy until the next look.
        latest_ns = now_ns + _EVERY_NS
        values = tuple([None] * self._plan().fed)
        self._executor.submit(
            Job(work, Question(_PROBE, values), len(_PROBE), SHEDDABLE, now_ns, latest_ns, latest_ns, 0, learn)
        )
