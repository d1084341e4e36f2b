"""Plays a plan against the real pipeline and watches every step."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, TypeVarTuple

import msgspec

from budgets.line import Job
from fallbacks.runner import Run, Runner
from models.classifier import Prediction
from router.errors import NotAdmitted
from router.log import DecisionRecord, MemoryLog
from router.pipeline import Key
from tests.spine import Answer, Spine, build_spine
from tests.virtual import S, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context

    from budgets.deadline import Budget
    from fallbacks.ladder import Choice
    from tests.simulation.plan import Arrival, Plan

Ts = TypeVarTuple("Ts")
NEVER_NS = 1 << 62
# The deadline of the request whose task is running.
_DEADLINE_NS: ContextVar[int | None] = ContextVar("_DEADLINE_NS", default=None)


class WatchedLoop(VirtualLoop):
    """I3: no timer that a request sets rings after its deadline."""

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        deadline_ns = _DEADLINE_NS.get()
        assert deadline_ns is None or round(when * S) <= deadline_ns, "I3: a wait beyond the deadline"
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
        token = _DEADLINE_NS.set(None)
        loop.call_later(self._commit_ns / S, _resolve, durable)
        _DEADLINE_NS.reset(token)
        return durable


def _resolve(durable: asyncio.Future[None]) -> None:
    if not durable.done():
        durable.set_result(None)


class WatchedRunner(Runner[Key, Prediction]):
    """Notes until when a text's run may start: the latest start of the most patient who asked."""

    latest_ns: dict[str, int]

    async def run(
        self,
        key: Key,
        choice: Choice[Any],
        call: Callable[[], Prediction],
        on_value: Callable[[Key, Prediction], None] | None = None,
    ) -> Run[Prediction]:
        latest_ns = choice.until_ns - choice.rung.cost.p99_ns(self._clock.now_ns())
        self.latest_ns[key.text] = max(latest_ns, self.latest_ns.get(key.text, latest_ns))
        return await super().run(key, choice, call, on_value)


@dataclass(slots=True, eq=False)
class Visit:
    """One request, from its arrival to its end."""

    arrival: Arrival
    budget: Budget
    ended: list[Answer | NotAdmitted | asyncio.CancelledError] = field(default_factory=list)
    end_ns: int = 0

    @property
    def answer(self) -> Answer | None:
        return self.ended[0] if isinstance(self.ended[0], Answer) else None


class World:
    """One simulation. After `play` the visits, the records and the metrics are there to be checked."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._rng = Random(plan.seed + 1)
        self._latest_ns: dict[str, int] = {}
        self._blocks: dict[Job[Any], int] = {}
        self.visits: list[Visit] = []
        self.log = KeepingLog(plan.commit_ns or 0)
        callback_ns = (lambda: plan.callback_ns) if plan.callback_ns else None
        self.loop = WatchedLoop(Random(plan.seed) if plan.has_jitter else None, callback_ns)
        self.spine: Spine

    async def play(self) -> None:
        plan, loop = self.plan, self.loop
        spine = self.spine = build_spine(
            loop,
            rng=Random(plan.seed + 2),
            large_ns=plan.large_ns,
            small_ns=plan.small_ns,
            duration_ns=self._start,
            log=self.log,
            cache=plan.cache,
            max_jobs=plan.max_jobs,
            max_inflight=plan.max_inflight,
            await_commit=plan.commit_ns is not None,
            runner=WatchedRunner,
        )
        self._latest_ns = spine.runner.latest_ns = {}  # type: ignore[attr-defined]
        spine.monitor.start()
        for fault in plan.faults:
            if fault.kind == "loop blocked":
                loop.call_at(fault.start_ns / S, loop.spend, fault.end_ns - fault.start_ns)
            if fault.kind == "executor blocked":
                loop.call_at(fault.start_ns / S, self._block_executor, fault.end_ns - fault.start_ns)
        tasks: list[asyncio.Task[None]] = []
        for arrival in plan.arrivals:
            if (left_ns := arrival.at_ns - loop.clock.now_ns()) > 0:
                await asyncio.sleep(left_ns / S)
            self._break()
            task = loop.create_task(self._visit(arrival))
            tasks.append(task)
            if arrival.leaves_after_ns is not None:
                loop.call_later(arrival.leaves_after_ns / S, task.cancel)
        await asyncio.wait(tasks)
        await asyncio.sleep(1)
        for task in tasks:
            assert task.cancelled() or task.result() is None
        spine.monitor.stop()

    def log_bytes(self) -> bytes:
        return msgspec.msgpack.encode(self.log.records)

    async def _visit(self, arrival: Arrival) -> None:
        spine, clock = self.spine, self.loop.clock
        visit = Visit(arrival, spine.open(arrival.stated_ms))
        self.visits.append(visit)
        _DEADLINE_NS.set(max(visit.budget.deadline_ns, clock.now_ns()))
        try:
            visit.ended.append(await spine.ask(arrival.text, budget=visit.budget))
        except NotAdmitted as refused:
            visit.ended.append(refused)
        except asyncio.CancelledError as cancelled:
            visit.ended.append(cancelled)
        finally:
            visit.end_ns = clock.now_ns()
        self._check_bounds()

    def _break(self) -> None:
        """What is broken now, as the models see it."""
        broken, spine = self.plan.broken(self.loop.clock.now_ns()), self.spine
        is_flaky = "flaky" in broken and self._rng.random() < 0.2
        spine.large.fault = "error" if "error" in broken or is_flaky else "nan" if "nan" in broken else "none"
        spine.small.fault = "error" if "small error" in broken else "none"
        spine.small.duration_ns = self._cost_ns(self.plan.small_ns)

    def _block_executor(self, ns: int) -> None:
        job = Job[Any](lambda: None, 0, 0, NEVER_NS, lambda _: None)
        self._blocks[job] = ns
        self.spine.executor.submit(job)

    def _start(self, job: Job[Any]) -> int:
        """A job starts: I2 says when it must not. Returns: how long it runs."""
        now_ns = self.loop.clock.now_ns()
        self._check_bounds()
        if job in self._blocks:
            return self._blocks[job]
        text = job.call.args[0]  # type: ignore[attr-defined]
        assert not job.cancelled, "I2: started for nobody"
        assert now_ns <= self._latest_ns[text], "I2: started after the latest start"
        waiting = [visit for visit in self.visits if not visit.ended and visit.budget.deadline_ns >= now_ns]
        assert any(text == visit.arrival.text for visit in waiting), "I2: who asked is gone, answered or expired"
        broken, cost_ns = self.plan.broken(now_ns), self._cost_ns(self.plan.large_ns)
        if "stall" in broken:
            return broken["stall"] - now_ns + cost_ns
        return 10 * cost_ns if "slow" in broken else cost_ns

    def _cost_ns(self, typical_ns: int) -> int:
        return int(typical_ns * self._rng.lognormvariate(0, self.plan.spread))

    def _check_bounds(self) -> None:
        spine = self.spine
        assert len(spine.executor) <= self.plan.max_jobs, "I7: the line is longer than its bound"
        assert 0 <= spine.admission.inflight <= self.plan.max_inflight, "I7: more inside than the bound"
        assert len(spine.cache) <= self.plan.cache.entries, "the cache holds more than its bound"
        assert all(0 <= rung.breaker._probes <= 2 for rung in spine.rungs), "I10: more than two probes"


def play(plan: Plan) -> World:
    """Play a plan to its end."""
    world = World(plan)
    with asyncio.Runner(loop_factory=lambda: world.loop) as runner:
        runner.run(world.play())
    return world
