"""The real pipeline on virtual time, with fake models: for the tests of the spine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from budgets.admission import Admission, AdmissionSettings
from budgets.batch_cost import BatchCost, Sample
from budgets.deadline import Budget, BudgetSettings, grant_ns, open_budget
from budgets.job import Work
from budgets.ledger import Ledger, Stage
from budgets.overload import Overload, OverloadSettings
from budgets.predictor import InlineCost
from fallbacks.breaker import Breaker, BreakerSettings
from fallbacks.cache import Cache, CacheSettings
from fallbacks.runner import Runner
from models.classifier import Prediction
from models.columns import Value
from models.errors import BadOutput
from models.inputs import Question
from router.assembly import BLOCK_SHARE
from router.descent import Descent, Key
from router.domain.decision import Decision, Target
from router.domain.identity import IdSource
from router.domain.interaction import Interaction
from router.errors import NotAdmitted
from router.log import MemoryLog
from router.pipeline import Pipeline
from router.policy.point import ModelRung, Plan, Point, Request, build_point
from router.policy.project import Project, RoutesFile, RouteSpec, RulesFile, RuleSpec
from router.prober import Prober
from router.telemetry.lag import LagMonitor
from router.telemetry.registry import Metrics
from tests.virtual import MS, VirtualExecutor, VirtualLoop, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from budgets.job import Batch
    from router.handover import Handover
    from router.log import Log

ROUTES = ("cards", "loans", "help", "human", "blocking")
_PROJECT = Project(
    routes=RoutesFile(
        default="help",
        unsure="human",
        routes={name: RouteSpec(target=Target(kind="queue", name=name)) for name in ROUTES},
    ),
    rules=RulesFile(
        guards=(RuleSpec(name="wants_human", route="human", keywords=("real person",)),),
        rules=(RuleSpec(name="lost_card", route="blocking", keywords=("lost*",), confidence=0.6),),
    ),
    routes_path=Path("routes.toml"),
)
SURE = Prediction("cards", 0.9, (("loans", 0.05),))


class Injected(RuntimeError):
    """What a fake model raises when told to."""


@dataclass(slots=True)
class FakeModel:
    """A model that takes `duration_ns` and answers `answer`, or what is broken at the time."""

    duration_ns: int
    answer: Prediction = SURE
    fault: str = "none"  # none | error | nan
    calls: list[str] = field(default_factory=list)
    values: list[tuple[Value, ...]] = field(default_factory=list)

    def predict(self, text: str, values: tuple[Value, ...]) -> Prediction:
        self.calls.append(text)
        self.values.append(values)
        if self.fault == "error":
            raise Injected("told to fail")
        if self.fault == "nan":
            raise BadOutput("logits are not finite")
        return self.answer

    def predict_many(self, questions: Sequence[Question]) -> list[Prediction | Exception]:
        answers: list[Prediction | Exception] = []
        for question in questions:
            try:
                answers.append(self.predict(*question))
            except (Injected, BadOutput) as error:
                answers.append(error)
        return answers


class Answer(NamedTuple):
    """What a client gets, and its budget's books."""

    decision: Decision
    budget: Budget

    @property
    def elapsed_ms(self) -> float:
        return self.budget.ledger.elapsed_ns / MS


@dataclass(slots=True)
class Spine:
    """Everything around one pipeline."""

    loop: VirtualLoop
    large: FakeModel
    small: FakeModel
    rungs: tuple[ModelRung, ModelRung]
    point: Point
    executor: VirtualExecutor
    runner: Runner[Key, Question, Prediction]
    control: Overload
    cache: Cache[Key, Prediction]
    admission: Admission
    metrics: Metrics
    log: Log
    monitor: LagMonitor
    prober: Prober
    pipeline: Pipeline

    def open(self, stated_ms: Sequence[float] = ()) -> Budget:
        """The budget of a request that arrives now."""
        start_ns, settings = self.loop.clock.now_ns(), self.point.budget
        return open_budget(grant_ns(stated_ms, settings), settings, Ledger(start_ns))

    async def ask(self, text: str, *stated_ms: float, budget: Budget | None = None, **fields: Any) -> Answer:
        """Ask as router/http/ does: open the budget, decide, book the encoding, count."""
        budget = budget or self.open(stated_ms)
        request = Request(Interaction(text=text, **fields), budget.total_ns / MS)
        decision = await self.pipeline.decide(self.point, request, budget)
        budget.ledger.mark(Stage.ENCODE, self.loop.clock.now_ns())
        self.pipeline.finish(self.point, decision, budget)
        return Answer(decision, budget)


def build_rungs(
    loop: VirtualLoop, rng: Random, large: FakeModel, small: FakeModel, profile: Sequence[Sample] | None = None
) -> tuple[ModelRung, ModelRung]:
    """A ladder of two rungs, the second inline, with breakers and costs of their own."""

    def predict_inline(text: str, values: tuple[Value, ...]) -> Prediction:
        loop.spend(small.duration_ns)
        return small.predict(text, values)

    cost = BatchCost(profile or [Sample(texts, 20, texts * large.duration_ns) for texts in (1, 2, 4)])
    small_ns = small.duration_ns
    return (
        ModelRung(
            "large", cost, Breaker(BreakerSettings(), rng), Work("large", cost, large.predict_many),
            predict=large.predict, threshold=0.5,
        ),
        ModelRung(
            "small", InlineCost(small_ns, 1.2 * small_ns), Breaker(BreakerSettings(), rng), None,
            predict=predict_inline, threshold=0.5,
        ),
    )  # fmt: skip


def build_spine(
    loop: VirtualLoop,
    *,
    rng: Random | None = None,
    large_ns: int = 8 * MS,
    small_ns: int = MS // 4,
    duration_ns: Callable[[Batch], int] | None = None,
    profile: Sequence[Sample] | None = None,
    budget: BudgetSettings | None = None,
    overload: OverloadSettings | None = None,
    log: Log | None = None,
    cache: CacheSettings | None = None,
    max_jobs: int = 64,
    max_inflight: int = 1_024,
    await_commit: bool = False,
    handover: Handover | None = None,
    runner: type[Runner[Key, Question, Prediction]] = Runner,
    overload_control: type[Overload] = Overload,
) -> Spine:
    """Wire a pipeline as router/assembly.py does, with fakes for the models.

    Args:
        duration_ns: how long a batch of the executor runs; by default as long as the large model says, for each text.
        profile: what the large model's warm-up found; by default that a call of several saves nothing.
    """
    rng = rng or Random(0)
    clock, metrics = loop.clock, Metrics()
    large, small = FakeModel(large_ns), FakeModel(small_ns)

    rungs = build_rungs(loop, rng, large, small, profile)
    point = build_point("interactions", _PROJECT, budget or BudgetSettings())
    point.plan = Plan("plan", rungs)
    smallest_ns = int(point.budget.default_ms * MS)
    settings = overload or OverloadSettings()
    control = overload_control(settings, max_jobs=max_jobs, smallest_budget_ns=smallest_ns)
    executor = VirtualExecutor(
        loop, max_jobs, int(BLOCK_SHARE * smallest_ns),
        duration_ns or (lambda batch: len(batch.jobs) * large.duration_ns),
    )  # fmt: skip
    answers: Cache[Key, Prediction] = Cache(cache or CacheSettings())
    flights = runner(executor, clock, control)
    monitor = LagMonitor(loop, clock, metrics.loop_lag.child(), control.lagged)
    admission, log = Admission(AdmissionSettings(max_inflight=max_inflight)), log or MemoryLog(1_000_000)
    chance = Random(rng.getrandbits(64))
    descent = Descent(
        clock, flights, control, monitor.estimate, metrics, lambda: chance.random() < settings.explore_share
    )
    prober = Prober(loop, clock, executor, lambda: point.plan)
    pipeline = Pipeline(
        clock=clock, admission=admission, control=control, cache=answers, descent=descent, log=log, metrics=metrics,
        ids=IdSource(clock, rng), keep_text=True, await_commit=await_commit, handover=handover,
    )  # fmt: skip
    return Spine(
        loop, large, small, rungs, point, executor, flights, control, answers, admission, metrics, log, monitor,
        prober, pipeline,
    )  # fmt: skip


Scenario = Callable[[Spine], Awaitable[None]]


def play(scenario: Scenario, **options: object) -> None:
    """Run a scenario on a new spine; nothing may be left over."""

    async def main(loop: VirtualLoop) -> None:
        spine = build_spine(loop, **options)  # type: ignore[arg-type]
        await scenario(spine)
        await asyncio.sleep(3_600)
        assert spine.admission.inflight == 0
        assert len(spine.executor) == 0

    run(main)


def served(answer: Answer) -> tuple[str, str, str, str]:
    decision = answer.decision
    return decision.route, decision.rung, decision.degraded, decision.reason.value


async def refused(asked: Awaitable[Answer]) -> str:
    with pytest.raises(NotAdmitted) as caught:
        await asked
    return caught.value.code
