"""The parts of the spine, watched: each notes what happens and objects to what must not."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVarTuple

from budgets.batch_cost import P99
from budgets.criticality import CLASSES, COHORTS, CRITICAL_PLUS
from budgets.overload import WINDOW_NS, Overload
from fallbacks.runner import Run, Runner
from models.classifier import Prediction
from models.inputs import Question
from router.descent import Key
from router.errors import NotAdmitted
from router.log import DecisionRecord, MemoryLog
from tests.spine import Answer
from tests.virtual import S, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context

    from budgets.deadline import Budget
    from budgets.job import Batch, Job
    from budgets.overload import OverloadSettings
    from budgets.shedding import Verdict
    from fallbacks.ladder import Ask, Choice
    from fallbacks.singleflight import Flight
    from tests.simulation.plan import Arrival

Ts = TypeVarTuple("Ts")
NEVER_NS = 1 << 62


@dataclass(slots=True, eq=False)
class Visit:
    """One request, from its arrival to its end."""

    arrival: Arrival
    budget: Budget
    wall_ns: int
    plan_version: str
    ended: list[Answer | NotAdmitted | asyncio.CancelledError] = field(default_factory=list)
    end_ns: int = 0

    @property
    def answer(self) -> Answer | None:
        return self.ended[0] if isinstance(self.ended[0], Answer) else None


# The request whose task is running.
VISIT: ContextVar[Visit | None] = ContextVar("VISIT", default=None)


class WatchedLoop(VirtualLoop):
    """I3: no timer that a request sets rings after its deadline."""

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        visit = VISIT.get()
        if visit is not None:
            latest_ns = max(visit.budget.deadline_ns, visit.budget.ledger.start_ns)
            assert round(when * S) <= latest_ns, "I3: a wait beyond the deadline"
        return super().call_at(when, callback, *args, context=context)


class KeepingLog(MemoryLog):
    """Keeps the records in the order they came; durable after `commit_ns`."""

    def __init__(self, commit_ns: int) -> None:
        super().__init__()
        self.records: list[DecisionRecord] = []
        self._commit_ns = commit_ns

    def append(self, record: DecisionRecord) -> bool:
        self.records.append(record)
        return super().append(record)

    def commit(self) -> Awaitable[None]:
        # The log's own timer, not the request's.
        loop = asyncio.get_running_loop()
        durable = loop.create_future()
        token = VISIT.set(None)
        loop.call_later(self._commit_ns / S, _resolve, durable)
        VISIT.reset(token)
        return durable


def _resolve(durable: asyncio.Future[None]) -> None:
    if not durable.done():
        durable.set_result(None)


@dataclass(slots=True)
class Wait:
    """A request that waits for a run on the executor."""

    choice: Choice[Any]
    visit: Visit
    is_over: bool = False


class WatchedRunner(Runner[Key, Question, Prediction]):
    """Knows who waits for which job, from the requests' side."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.waits: dict[Job[Any, Any], list[Wait]] = {}
        self._boarding: Wait

    async def run(
        self,
        key: Key,
        choice: Choice[Any],
        ask: Ask,
        question: Question,
        on_value: Callable[[Key, Prediction], None] | None = None,
    ) -> Run[Prediction]:
        visit = VISIT.get()
        assert visit is not None
        wait = self._boarding = Wait(choice, visit)
        try:
            return await super().run(key, choice, ask, question, on_value)
        finally:
            wait.is_over = True

    def _board(self, key: Key, choice: Choice[Any], *args: Any) -> Flight[Prediction] | None:
        assert choice.latest_start_ns >= self._clock.now_ns(), "I8: who is too late is in the line"
        assert self._boarding.visit.budget.total_ns > 0, "I8: who never had time is in the line"
        control = self._gauge
        assert isinstance(control, WatchedControl)
        is_new = (choice.rung.name, key) not in self._flights
        if is_new and control.is_on and args[0].rank != CRITICAL_PLUS:
            in_line = self.executor.ahead(args[0].rank)
            assert in_line < max(1, control.limit), "I7: more jobs than the limiter allows"
        flight = super()._board(key, choice, *args)
        if flight is None:
            return None
        self.waits.setdefault(flight.job, []).append(self._boarding)
        return flight

    def check_start(self, batch: Batch, waiting: list[Job[Any, Any]], now_ns: int) -> None:
        """A batch starts, while `waiting` stay in line."""
        texts = len(batch.jobs)
        ends_ns = now_ns + batch.work.cost.quantile_ns(P99, texts, batch.longest, now_ns)
        assert batch.longest == max(job.length for job in batch.jobs)
        for job in batch.jobs:
            if not job.charged_ns and job not in self.waits:  # the prober's
                continue
            waits = [wait for wait in self.waits[job] if not wait.is_over and not wait.visit.ended]
            assert waits, "I2: started for nobody: who asked is answered or gone"
            assert not job.cancelled, "I2: started though cancelled"
            latest_ns = max(wait.choice.latest_start_ns for wait in waits)
            assert now_ns <= latest_ns, "I2: started after the latest start"
            assert any(now_ns <= wait.visit.budget.deadline_ns for wait in waits), "I2: all who wait have expired"
            if texts > 1:  # of one, its latest start says so
                assert all(ends_ns <= wait.choice.until_ns for wait in waits), "I9: a member's commit comes too soon"
        for job in waiting:
            if job.work is batch.work and job.is_startable(now_ns):
                assert not any(
                    job.rank < other.rank and job.enqueued_ns <= other.enqueued_ns for other in batch.jobs
                ), "I5: one who is less critical and came later starts first"


class WatchedControl(Overload):
    """I5: in no window is a class worse off than a less critical one."""

    def __init__(self, settings: OverloadSettings, **bounds: Any) -> None:
        super().__init__(settings, **bounds)
        self.is_on = settings.mode == "enforce"
        self._window = -1
        self._best: list[Verdict | None] = []
        self._worst: list[Verdict | None] = []
        self._refused_ns = [-NEVER_NS] * CLASSES

    def judge(self, level: int, now_ns: int) -> Verdict:
        verdict = super().judge(level, now_ns)
        rank = level // COHORTS
        if self._until_ns != self._window:
            self._window, self._best, self._worst = self._until_ns, [None] * CLASSES, [None] * CLASSES
        less, more = self._best[rank + 1 :], self._worst[:rank]
        assert all(best is None or verdict <= best for best in less), "I5: judged worse than one less critical"
        assert all(worst is None or worst <= verdict for worst in more), "I5: judged better than one more critical"
        best, worst = self._best[rank], self._worst[rank]
        self._best[rank] = verdict if best is None else min(best, verdict)
        self._worst[rank] = verdict if worst is None else max(worst, verdict)
        return verdict

    def admits_run(self, rank: int, cost_ns: int, in_line: int, now_ns: int) -> bool:
        is_admitted = super().admits_run(rank, cost_ns, in_line, now_ns)
        if self.is_on and is_admitted and in_line:
            recent = [now_ns - refused_ns < WINDOW_NS for refused_ns in self._refused_ns[:rank]]
            assert not any(recent), "I5: got a slot that one more critical was refused in this window"
        if not is_admitted:
            self._refused_ns[rank] = now_ns
        return is_admitted
