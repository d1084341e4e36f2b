"""Plays a plan against the real pipeline and watches every step."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from budgets.batch_cost import BatchCost, Sample
from budgets.criticality import CRITICAL_PLUS
from budgets.job import Job, Work
from router.errors import NotAdmitted
from router.policy import point
from tests.simulation.watch import NEVER_NS, VISIT, KeepingLog, Visit, WatchedControl, WatchedLoop, WatchedRunner
from tests.spine import Spine, build_rungs, build_spine
from tests.virtual import MS, S

if TYPE_CHECKING:
    from budgets.job import Batch
    from tests.simulation.plan import Arrival, Fault, Plan

_HOUR_NS = 3_600 * S
_PIECE_NS = 30 * MS


class World:
    """One simulation. After `play` the visits, the records and the metrics are there to be checked."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._rng = Random(plan.seed + 1)
        self._blocks: dict[Work[Any, Any], int] = {}
        self.visits: list[Visit] = []
        self.rungs: list[point.ModelRung] = []  # of all plans that served
        self.pressures: list[tuple[int, float, float]] = []  # when, on the models and on the loop
        self.log = KeepingLog(plan.commit_ns or 0)
        callback_ns = (lambda: plan.callback_ns) if plan.callback_ns else None
        self.loop = WatchedLoop(Random(plan.seed) if plan.has_jitter else None, callback_ns)
        self.loop.set_exception_handler(self._fail)
        self.failures: list[BaseException] = []
        self.spine: Spine

    async def play(self) -> None:
        plan, loop = self.plan, self.loop
        spine = self.spine = build_spine(
            loop,
            rng=Random(plan.seed + 2),
            large_ns=plan.fixed_ns + plan.large_ns,
            small_ns=plan.small_ns,
            duration_ns=self._start,
            profile=self._profile(),
            overload=plan.overload,
            log=self.log,
            cache=plan.cache,
            max_jobs=plan.max_jobs,
            max_inflight=plan.max_inflight,
            await_commit=plan.commit_ns is not None,
            runner=WatchedRunner,
            overload_control=WatchedControl,
        )
        self.rungs += spine.rungs
        spine.monitor.start()
        spine.prober.start()
        for fault in plan.faults:
            loop.call_at(fault.start_ns / S, self._begin, fault)
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
        spine.prober.stop()
        await asyncio.sleep(1)
        for task in tasks:
            assert task.cancelled() or task.result() is None
        spine.monitor.stop()

    def log_bytes(self) -> bytes:
        return msgspec.msgpack.encode(self.log.records)

    def _fail(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What happens outside may object while a callback keeps the loop busy, which asyncio would only log."""
        if not self.failures:
            loop.stop()
        self.failures.append(context.get("exception") or AssertionError(context["message"]))

    async def _visit(self, arrival: Arrival) -> None:
        spine, clock = self.spine, self.loop.clock
        visit = Visit(arrival, spine.open(arrival.stated_ms), clock.wall_ns(), spine.point.plan.version)
        self.visits.append(visit)
        self.pressures.append((clock.now_ns(), spine.control.shed_share, spine.control.reject_pressure))
        VISIT.set(visit)
        try:
            who = {"criticality": arrival.criticality, "session_id": arrival.session_id}
            visit.ended.append(await spine.ask(arrival.text, budget=visit.budget, **who))
        except NotAdmitted as refused:
            visit.ended.append(refused)
        except asyncio.CancelledError as cancelled:
            visit.ended.append(cancelled)
        finally:
            visit.end_ns = clock.now_ns()
        self._check_bounds()

    def _begin(self, fault: Fault) -> None:
        """What a fault does once; the others are asked for by `_break` and `_start`."""
        match fault.kind:
            case "loop blocked":
                self.loop.spend(fault.end_ns - fault.start_ns)
            case "loop busy":
                self._keep_busy(fault.end_ns)
            case "executor blocked":
                self._block_executor(fault.end_ns - fault.start_ns)
            case "clock forward":
                self.loop.clock.step_wall(_HOUR_NS)
            case "clock back":
                self.loop.clock.step_wall(-_HOUR_NS)
            case "swap":
                self._swap()

    def _keep_busy(self, until_ns: int) -> None:
        """Something else computes on the loop, in long pieces: everything runs late, and the ticks say so."""
        if self.loop.clock.now_ns() < until_ns:
            self.loop.spend(_PIECE_NS)
            self.loop.call_later(1e-3, self._keep_busy, until_ns)

    def _break(self) -> None:
        """What is broken now, as the models see it."""
        broken, spine = self.plan.broken(self.loop.clock.now_ns()), self.spine
        is_flaky = "flaky" in broken and self._rng.random() < 0.2
        spine.large.fault = "error" if "error" in broken or is_flaky else "nan" if "nan" in broken else "none"
        spine.small.fault = "error" if "small error" in broken else "none"
        spine.small.duration_ns = self._cost_ns(self.plan.small_ns) * (10 if "small slow" in broken else 1)

    def _block_executor(self, ns: int) -> None:
        work: Work[None, bool] = Work("block", BatchCost.flat(1, 1), lambda _: [True])
        self._blocks[work] = ns
        self.spine.executor.submit(Job(work, None, 0, CRITICAL_PLUS, 0, NEVER_NS, NEVER_NS, 0, lambda _: None))

    def _swap(self) -> None:
        """Another version of the models; who decides now keeps to the one that it began with."""
        spine = self.spine
        spine.small.duration_ns = self.plan.small_ns
        rungs = build_rungs(self.loop, self._rng, spine.large, spine.small, self._profile())
        self.rungs += rungs
        spine.point.plan = point.Plan(f"plan {len(self.rungs)}", rungs)

    def _start(self, batch: Batch) -> int:
        """A batch starts. Returns: how long it runs."""
        now_ns = self.loop.clock.now_ns()
        self._check_bounds()
        if batch.work in self._blocks:
            return self._blocks[batch.work]
        runner = self.spine.runner
        assert isinstance(runner, WatchedRunner)
        runner.check_start(batch, self.spine.executor._line._waiting, now_ns)
        broken = self.plan.broken(now_ns)
        cost_ns = self._cost_ns(self.plan.fixed_ns + len(batch.jobs) * self.plan.large_ns)
        if "stall" in broken:
            return broken["stall"] - now_ns + cost_ns
        return cost_ns * (10 if "very slow" in broken else 2 if "slow" in broken else 1)

    def _profile(self) -> list[Sample]:
        """What a warm-up would find."""
        plan = self.plan
        return [
            Sample(texts, 20, self._cost_ns(plan.fixed_ns + texts * plan.large_ns))
            for texts in (1, 2, 4, 8, 16)
            for _ in range(10)
        ]

    def _cost_ns(self, typical_ns: int) -> int:
        return int(typical_ns * self._rng.lognormvariate(0, self.plan.spread))

    def _check_bounds(self) -> None:
        spine = self.spine
        assert len(spine.executor) <= self.plan.max_jobs, "I7: the line is longer than its bound"
        assert 0 <= spine.admission.inflight <= self.plan.max_inflight, "I7: more inside than the bound"
        assert len(spine.cache) <= self.plan.cache.entries, "I7: the cache holds more than its bound"
        assert all(0 <= rung.breaker._probes <= 2 for rung in self.rungs), "I10: more than two probes"


def play(plan: Plan) -> World:
    """Play a plan to its end."""
    world = World(plan)
    with asyncio.Runner(loop_factory=lambda: world.loop) as runner:
        try:
            runner.run(world.play())
        except RuntimeError:  # stopped
            if not world.failures:
                raise
    if world.failures:
        raise world.failures[0]
    return world
