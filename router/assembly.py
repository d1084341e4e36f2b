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
from router.descent import Descent, Key
from router.domain.identity import IdSource
from router.faults import Faults
from router.gauges import watch, watch_rungs
from router.log import GroupLog, MemoryLog, SqliteStore, StoreFault
from router.pipeline import Pipeline
from router.policy.errors import PolicyError
from router.policy.point import ModelRung, Plan, Point, build_point
from router.policy.project import Project, read_project
from router.prober import Prober
from router.telemetry.lag import LagMonitor
from router.telemetry.registry import Metrics
from router.telemetry.span import SpanKeeper, open_export

if TYPE_CHECKING:
    from budgets.clock import Clock
    from models.classifier import Prediction
    from models.registry import LoadedModels, LoadedRung
    from models.spec import RungManifest
    from router.config import Config
    from router.log import Log
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
    models: Activator = field(init=False)
    is_ready: bool = False

    async def start(self) -> None:
        """Open the log, load and warm up the models. Raises: LogRefused, ModelError: what is wrong and what to do."""
        await self.log.start()
        self.lag.start()
        await self.models.start()
        self.prober.start()
        self.is_ready = True

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
        await self.log.close()
        await asyncio.to_thread(self.executor.close)  # a call that hangs must hold up nothing else
        if self.spans is not None:
            await asyncio.to_thread(self.spans.close)


def build_app(config: Config, *, allow_faults: bool = False, log_to_memory: bool = False) -> App:
    """Wire a server (or one decision without a server) from its configuration. Runs on the loop that will own it.

    Raises: PolicyError, TelemetryError: what in the configuration can't be, and what is allowed.
    """
    check_providers(config)
    settings = config.settings
    clock, rng, metrics = SystemClock(), random.SystemRandom(), Metrics()
    loop = asyncio.get_running_loop()
    project = read_project(config.routes_path, config.rules_path)
    point = _build_point(config, project)
    admission = Admission(settings.admission)
    cache: Cache[Key, Prediction] = Cache(settings.cache)
    smallest_ns = int(settings.budget.default_ms * NS_PER_MS)
    control = Overload(settings.overload, max_jobs=settings.models.executor_queue, smallest_budget_ns=smallest_ns)
    executor = ThreadExecutor(loop, clock, settings.models.executor_queue, int(BLOCK_SHARE * smallest_ns))
    log: Log = MemoryLog() if log_to_memory else _open_log(config, clock)
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
    )
    app.models = Activator(config, app.install, metrics.model_swaps)
    if allow_faults:
        store = log.fault if isinstance(log, GroupLog) else StoreFault()
        app.faults = Faults(random.Random(rng.getrandbits(64)), loop, executor, store)
    watch(app)
    return app


def _tell_breaker(rung: str, state: State) -> None:
    _LOGGER.warning("breaker_%s", state.name.lower(), extra={"rung": rung})


def _build_point(config: Config, project: Project) -> Point:
    try:
        return build_point("interactions", project, config.settings.budget)
    except PolicyError as error:
        raise PolicyError(f"{config.rules_path}: {error}") from None


def _open_log(config: Config, clock: Clock) -> Log:
    settings = config.settings.log
    anchored = msgspec.structs.replace(settings, path=str(config.path(settings.path)))
    return GroupLog(SqliteStore(anchored, clock), anchored, clock)


def plan_version(project: Project, models_version: str) -> str:
    """Short hash of all that decides an answer: models, routes, guards and rules."""
    return hashlib.sha256(models_version.encode() + project.digest).hexdigest()[:12]
