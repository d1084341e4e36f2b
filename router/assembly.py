"""The composition root: puts the parts together, once, and takes them apart again."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from budgets.admission import Admission
from budgets.batch_cost import BatchCost
from budgets.clock import SystemClock
from budgets.deadline import NS_PER_MS
from budgets.job import Work
from budgets.overload import Overload
from budgets.predictor import InlineCost
from fallbacks.breaker import Breaker, State
from fallbacks.cache import Cache
from fallbacks.runner import Runner
from models.columns import declared
from models.executor import ThreadExecutor
from models.inputs import Question
from models.spec import OUT_OF_SCOPE
from router import __version__
from router.activation import INLINE_RUNG, check_providers
from router.activator import Activator
from router.adapters.hub import AdapterHub
from router.adapters.settings import find_problems
from router.assign.command import Tick
from router.assign.engine import Engine
from router.assign.errors import Refused
from router.descent import Descent, Key
from router.desk.desk import Desk
from router.domain.identity import IdSource
from router.faults import Faults
from router.gauges import watch, watch_desk, watch_queues, watch_rungs
from router.handover import Handover
from router.insight.insight import Insight
from router.log import GroupJournal, GroupLog, MemoryJournal, MemoryLog, SqliteStore, StoreFault
from router.pipeline import Pipeline
from router.policy.errors import PolicyError
from router.policy.point import ModelRung, Plan, Point, build_point
from router.policy.project import Project, read_project
from router.policy_book import PolicyBook
from router.prober import Prober
from router.queues import compile_condition, read_queues, unknown_targets
from router.telemetry.lag import LagMonitor
from router.telemetry.registry import Metrics
from router.telemetry.span import SpanKeeper, open_export
from router.webhooks.hub import WebhookHub
from router.webhooks.journal import JournalLog, behind
from router.webhooks.settings import idle

if TYPE_CHECKING:
    from collections.abc import Collection

    from budgets.clock import Clock
    from models.classifier import Prediction
    from models.registry import LoadedModels, LoadedRung
    from models.spec import RungManifest
    from router.assign.event import Event
    from router.assign.policy import Policy
    from router.config import Config
    from router.log import Journal, Log
    from router.telemetry.otel import SpanExport

_LOGGER = logging.getLogger("takt.assembly")
# A batch of several may take this part of a usual budget (B9 of the design).
BLOCK_SHARE = 0.35


@dataclass(slots=True)
class App:
    """Everything that runs. `start` before the first decision, `close` after the last."""

    config: Config
    clock: Clock
    project: Project
    point: Point
    pipeline: Pipeline
    executor: ThreadExecutor
    runner: Runner[Key, Question, Prediction]
    control: Overload
    prober: Prober
    cache: Cache[Key, Prediction]
    log: Log
    metrics: Metrics
    lag: LagMonitor
    rng: random.Random
    spans: SpanExport | None
    keeper: SpanKeeper
    faults: Faults | None
    desk: Desk | None
    """None: there is no queues.toml, or nobody is to be asked; decisions create no tasks."""
    handover: Handover | None
    models: Activator = field(init=False)
    is_ready: bool = False
    webhooks: WebhookHub | None = None
    """None as `desk` is: there is nothing to tell."""
    adapters: AdapterHub | None = None
    policies: PolicyBook | None = None
    """The versions of queues.toml."""
    insight: Insight | None = None

    @property
    def hindrance(self) -> str:
        """Why no traffic should come here; empty: it is ready."""
        if not self.is_ready:
            return "draining" if self.point.plan.rungs else "the models are being loaded"
        if not self.executor.is_alive:
            return "the executor's thread has ended by an error, which is on stderr: restart the server"
        if self.desk is not None and self.desk.end:
            return f"no task is taken any more: {self.desk.end}"
        return ""

    async def start(self) -> None:
        """Open the log, take the tasks up where they were, load and warm up the models.

        Raises: LogRefused, ModelError: what is wrong and what to do.
        """
        await self.log.start()
        self.lag.start()
        if self.desk is not None and self.handover is not None and self.policies is not None:
            await self._take_up(self.desk, self.handover, self.policies)
        await self.models.start()
        self.prober.start()
        self.is_ready = True

    async def _take_up(self, desk: Desk, handover: Handover, policies: PolicyBook) -> None:
        """Recover the engine from its journal: some seconds for 100,000 tasks."""

        async def choose(found: Policy) -> Policy:
            policy = await policies.choose(found)
            for problem in self.misled(policy):
                cure = "routes.toml, takt.toml or queues.toml has to change; the latter then takes effect"
                raise PolicyError(f"version {policy.version} of the policy, which is in force: {problem}; {cure}")
            return policy

        began_ns = self.clock.now_ns()
        _LOGGER.info("recovering_tasks")
        try:
            await desk.start(choose)
        except Refused as refused:
            raise PolicyError(f"{self.config.queues_path}: {refused.detail}") from refused
        handover.is_open, state = True, desk.state
        await policies.started(state.policy)
        self.insight = Insight(desk)
        self.insight.start()
        watch_queues(self.metrics.assignment, self.insight, state.policy.queues)
        desk.subscribe(self._hear)
        if self.webhooks is not None and self.adapters is not None:
            self.adapters.start()
            await self.webhooks.start(JournalLog(desk.journal), behind(state.position))
            desk.subscribe(self.webhooks.wake)
        took_ms = round((self.clock.now_ns() - began_ns) / NS_PER_MS)
        facts = {"tasks": len(state.tasks) - len(state.ended), "resources": len(state.resources)}
        _LOGGER.info("recovered_tasks", extra={**facts, "position": state.position, "took_ms": took_ms})

    def _hear(self, events: tuple[Event, ...]) -> None:
        if self.desk is not None and self.insight is not None and any(e.type == "policy.activated" for e in events):
            watch_queues(self.metrics.assignment, self.insight, self.desk.state.policy.queues)

    def misled(self, policy: Policy) -> list[str]:
        """Routes and adapters that lead to queues which a policy lacks."""
        targets = {name: route.target for name, route in self.project.routes.routes.items()}
        return [*unknown_targets(targets, policy), *find_problems(self.config.settings.adapters, policy.queues)]

    def install(self, loaded: LoadedModels) -> None:
        """Let the point answer from models: the best rung first. Who decides now keeps to the plan it began with."""
        unknown = sorted(set(loaded.manifest.labels) - set(self.point.targets) - {OUT_OF_SCOPE})
        if unknown:
            effect = "the models know them, routes.toml does not: they answer `unsure`; train again"
            _LOGGER.warning("unknown_routes", extra={"routes": ", ".join(unknown), "effect": effect})
        rungs = []
        for spec in reversed(loaded.manifest.rungs):
            rung = loaded.rungs[spec.name]
            rungs.append(self._rung(spec, rung))
        fed = declared(loaded.manifest.columns)
        others = tuple(column for column in self.project.routes.columns if column not in fed)
        version = plan_version(self.project, loaded.manifest.plan_version)
        plan = Plan(version, tuple(rungs), columns=fed + others, fed=len(fed))
        watch_rungs(self.metrics, self.clock, plan.rungs)
        self.metrics.set_info(__version__, plan.version)
        self.point.plan = plan

    def _rung(self, spec: RungManifest, loaded: LoadedRung) -> ModelRung:
        classifier, faults = loaded.classifier, self.faults
        cost: InlineCost | BatchCost = InlineCost(loaded.p50_ns, loaded.p99_ns)
        work = None
        if spec.name != INLINE_RUNG:
            cost = BatchCost(loaded.profile)
            many = faults.around_many(spec.name, classifier) if faults else classifier.predict_many
            work = Work(spec.name, cost, many)
        breaker = Breaker(self.config.settings.breaker, self.rng)
        breaker.on_move = partial(_tell_breaker, spec.name)
        return ModelRung(
            name=spec.name,
            cost=cost,
            breaker=breaker,
            work=work,
            predict=faults.around(spec.name, classifier) if faults else classifier.predict,
            threshold=spec.threshold,
        )

    async def close(self) -> None:
        """Finish what was begun and write what waits."""
        self.is_ready = False
        await self.models.close()
        self.lag.stop()
        self.prober.stop()
        if self.desk is not None and self.handover is not None and self.handover.is_open:
            self.handover.is_open = False
            if self.insight is not None:
                await self.insight.close()
            if self.webhooks is not None and self.adapters is not None:
                await self.adapters.close()
                await self.webhooks.close()
            await self.desk.close()
        await self.log.close()
        await asyncio.to_thread(self.executor.close)  # a call that hangs must hold up nothing else
        if self.spans is not None:
            await asyncio.to_thread(self.spans.close)


def build_app(config: Config, *, allow_faults: bool = False, log_to_memory: bool = False, has_desk: bool = True) -> App:
    """Wire a server (or one decision without a server) from its configuration. Runs on the loop that will own it.

    Without `has_desk` decisions create no tasks, and a server that runs beside keeps them; conditions find the queues
    as they are while nobody is there.
    Raises: PolicyError, TelemetryError: what in the configuration can't be, and what is allowed.
    """
    check_providers(config)
    settings = config.settings
    clock, rng, metrics = SystemClock(), random.SystemRandom(), Metrics()
    loop = asyncio.get_running_loop()
    project = read_project(config.routes_path, config.rules_path)
    policy = _read_queues(config, project)
    for problem in find_problems(settings.adapters, () if policy is None else policy.queues):
        raise PolicyError(problem)
    point = _build_point(config, project, () if policy is None else policy.queues)
    admission = Admission(settings.admission)
    cache: Cache[Key, Prediction] = Cache(settings.cache)
    smallest_ns = int(settings.budget.default_ms * NS_PER_MS)
    control = Overload(settings.overload, max_jobs=settings.models.executor_queue, smallest_budget_ns=smallest_ns)
    executor = ThreadExecutor(loop, clock, settings.models.executor_queue, int(BLOCK_SHARE * smallest_ns))
    log, journal = (MemoryLog(), MemoryJournal()) if log_to_memory else _open_log(config, clock)
    desk = None
    if policy is not None and has_desk:
        folder = (config.queues_path or config.folder).parent
        desk = Desk(journal, clock, policy, compile_condition, folder=folder)
    handover = None
    if policy is not None:
        handover = Handover(desk, _deserted(policy, clock).state, keep_text=settings.log.text == "keep")
    lag = LagMonitor(loop, clock, metrics.loop_lag.child(), control.lagged)
    runner = Runner[Key, Question, "Prediction"](executor, clock, control)
    chance, explore_share = random.Random(rng.getrandbits(64)), settings.overload.explore_share
    descent = Descent(clock, runner, control, lag.estimate, metrics, lambda: chance.random() < explore_share)
    pipeline = Pipeline(
        clock=clock,
        admission=admission,
        control=control,
        cache=cache,
        descent=descent,
        log=log,
        metrics=metrics,
        ids=IdSource(clock, rng),
        keep_text=settings.log.text == "keep",
        await_commit=settings.log.durability == "commit",
        handover=handover,
    )
    app = App(
        config=config,
        clock=clock,
        project=project,
        point=point,
        pipeline=pipeline,
        executor=executor,
        runner=runner,
        control=control,
        prober=Prober(loop, clock, executor, lambda: point.plan),
        cache=cache,
        log=log,
        metrics=metrics,
        lag=lag,
        rng=rng,
        spans=open_export(settings.telemetry.otlp_endpoint, __version__, rng),
        keeper=SpanKeeper(settings.telemetry.keep_share, random.Random(rng.getrandbits(64))),
        faults=None,
        desk=desk,
        handover=handover,
    )
    app.models = Activator(config, app.install, metrics.model_swaps)
    if desk is not None and policy is not None:
        watch_desk(metrics, desk)
        app.policies = PolicyBook(journal, clock, policy)
        app.adapters = AdapterHub(settings.adapters, desk, IdSource(clock, rng).next_id)
        app.webhooks = WebhookHub(settings.webhooks, clock, rng, metrics)
        app.adapters.register(app.webhooks)
    elif settings.webhooks and has_desk:
        _LOGGER.warning("webhooks_idle", extra={"why": idle(settings.webhooks, settings.files.queues)})
    if allow_faults:
        store = log.fault if isinstance(log, GroupLog) else StoreFault()
        app.faults = Faults(random.Random(rng.getrandbits(64)), loop, executor, store)
    watch(app)
    return app


def _tell_breaker(rung: str, state: State) -> None:
    _LOGGER.warning("breaker_%s", state.name.lower(), extra={"rung": rung})


def _read_queues(config: Config, project: Project) -> Policy | None:
    """Raises: PolicyError: queues.toml is wrong, or a route leads to a queue that it lacks."""
    path = config.queues_path
    if path is None:
        return None
    policy = read_queues(path)
    targets = {name: route.target for name, route in project.routes.routes.items()}
    for problem in unknown_targets(targets, policy):
        raise PolicyError(f"{config.routes_path}: {problem}, of {path}")
    return policy


def _deserted(policy: Policy, clock: Clock) -> Engine:
    """The queues at this hour, with nobody there and nothing waiting."""
    engine = Engine(compile_condition, policy)
    engine.step(Tick(), clock.wall_ns())
    return engine


def _build_point(config: Config, project: Project, queues: Collection[str]) -> Point:
    try:
        return build_point("interactions", project, config.settings.budget, queues)
    except PolicyError as error:
        raise PolicyError(f"{config.rules_path}: {error}") from None


def _open_log(config: Config, clock: Clock) -> tuple[Log, Journal]:
    settings = config.settings.log
    anchored = msgspec.structs.replace(settings, path=str(config.path(settings.path)))
    store = SqliteStore(anchored, clock)
    log = GroupLog(store, anchored, clock)
    return log, GroupJournal(log.writer, store.commands)


def plan_version(project: Project, models_version: str) -> str:
    """Short hash of all that decides an answer: models, routes, guards and rules."""
    return hashlib.sha256(models_version.encode() + project.digest).hexdigest()[:12]
