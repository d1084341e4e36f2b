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
from budgets.clock import SystemClock
from budgets.predictor import CostEstimate
from fallbacks.breaker import Breaker, State
from fallbacks.cache import Cache
from fallbacks.runner import Runner
from models.columns import declared
from models.executor import ThreadExecutor
from models.spec import OUT_OF_SCOPE
from router import __version__
from router.activation import INLINE_RUNG, check_providers
from router.activator import Activator
from router.domain.identity import IdSource
from router.faults import Faults
from router.log import GroupLog, MemoryLog, SqliteStore, StoreFault
from router.pipeline import Key, Pipeline
from router.policy.errors import PolicyError
from router.policy.expression import Expression
from router.policy.point import ModelRung, Plan, Point, build_point
from router.policy.project import Project, read_project
from router.telemetry import logs
from router.telemetry.lag import LagMonitor
from router.telemetry.registry import Metrics
from router.telemetry.span import SpanKeeper, open_export

if TYPE_CHECKING:
    from budgets.clock import Clock
    from models.classifier import Prediction
    from models.registry import LoadedModels
    from router.config import Config
    from router.log import Log
    from router.telemetry.otel import SpanExport

_LOGGER = logging.getLogger("takt.assembly")


@dataclass(slots=True)
class App:
    """Everything that runs. `start` before the first decision, `close` after the last."""

    config: Config
    clock: Clock
    project: Project
    point: Point
    pipeline: Pipeline
    executor: ThreadExecutor
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
        self.is_ready = True

    def install(self, loaded: LoadedModels) -> None:
        """Let the point answer from models: the best rung first. Who decides now keeps to the plan it began with."""
        unknown = sorted(set(loaded.manifest.labels) - set(self.point.targets) - {OUT_OF_SCOPE})
        if unknown:
            effect = "the models know them, routes.toml does not: they answer `unsure`; train again"
            _LOGGER.warning("unknown_routes", extra={"routes": ", ".join(unknown), "effect": effect})
        settings = self.config.settings
        rungs = []
        for spec in reversed(loaded.manifest.rungs):
            rung = loaded.rungs[spec.name]
            predict = rung.classifier.predict
            rungs.append(
                ModelRung(
                    name=spec.name,
                    cost=CostEstimate(rung.p50_ns, rung.p99_ns),
                    breaker=Breaker(settings.breaker, self.rng),
                    needs_executor=spec.name != INLINE_RUNG,
                    predict=self.faults.around(spec.name, rung.classifier) if self.faults else predict,
                    threshold=spec.threshold,
                )
            )
        fed = declared(loaded.manifest.columns)
        others = tuple(column for column in self.project.routes.columns if column not in fed)
        version = plan_version(self.project, loaded.manifest.plan_version)
        plan = Plan(version, tuple(rungs), columns=fed + others, fed=len(fed))
        self.metrics.breaker_state.children.clear()  # they would keep the rungs of the plan before
        self.metrics.rung_cost.children.clear()
        for model_rung in rungs:
            self._watch_rung(model_rung)
        self.metrics.set_info(__version__, plan.version)
        self.point.plan = plan

    def _watch_rung(self, rung: ModelRung) -> None:
        # Its name, not the rung: a cycle would keep a model that has been replaced until garbage is collected.
        rung.breaker.on_move = partial(_tell_breaker, rung.name)
        self.metrics.breaker_state.child(rung.name).watch(lambda: rung.breaker.state.value)
        self.metrics.rung_cost.child(rung.name, "0.5").watch(lambda: rung.cost.p50_ns() / 1e9)
        self.metrics.rung_cost.child(rung.name, "0.99").watch(lambda: rung.cost.p99_ns(self.clock.now_ns()) / 1e9)

    async def close(self) -> None:
        """Finish what was begun and write what waits."""
        self.is_ready = False
        await self.models.close()
        self.lag.stop()
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
    executor = ThreadExecutor(loop, clock, settings.models.executor_queue)
    log: Log = MemoryLog() if log_to_memory else _open_log(config, clock)
    lag = LagMonitor(loop, clock, metrics.loop_lag.child())
    runner = Runner[Key, "Prediction"](executor, clock)
    pipeline = Pipeline(
        clock=clock,
        admission=admission,
        cache=cache,
        runner=runner,
        log=log,
        metrics=metrics,
        lag=lag.estimate,
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
    _watch(app)
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


def _watch(app: App) -> None:
    """Let the metrics read, at scrape time, what other parts keep anyway."""
    metrics, cache, log = app.metrics, app.cache, app.log
    metrics.inflight.child().watch(lambda: app.pipeline.admission.inflight)
    metrics.queue_length.child("executor").watch(lambda: len(app.executor))
    metrics.queue_length.child("log").watch(lambda: log.stats().queued)
    metrics.log_written.child().watch(lambda: log.stats().written_total)
    metrics.log_dropped.child().watch(lambda: log.stats().dropped_total)
    metrics.log_failing.child().watch(lambda: log.stats().state == "failing")
    metrics.log_last_commit.child().watch(lambda: log.stats().last_commit_ns / 1e9)
    metrics.log_commits_missed.child().watch(lambda: app.pipeline.commits_missed_total)
    metrics.cache_entries.child().watch(lambda: len(cache))
    metrics.cache_hits.child("fresh").watch(lambda: cache.fresh_total)
    metrics.cache_hits.child("stale").watch(lambda: cache.stale_total)
    metrics.cache_hits.child("miss").watch(lambda: cache.miss_total)
    metrics.ready.child().watch(lambda: app.is_ready)
    metrics.log_lines_dropped.child().watch(logs.lines_dropped_total)
    for kind, book in (("guards", app.point.guards), ("rules", app.point.rules)):
        for rule in book.rules:
            if isinstance(condition := rule.when, Expression):
                metrics.condition_errors.child(f"{kind}.{rule.name}").watch(partial(getattr, condition, "errors_total"))
    if (spans := app.spans) is not None:
        metrics.queue_length.child("spans").watch(lambda: spans.queued)
        metrics.traces_dropped.child("rate").watch(lambda: app.keeper.limited_total)
        metrics.traces_dropped.child("queue").watch(lambda: spans.dropped_total)
        metrics.traces_dropped.child("export").watch(lambda: spans.failed_total)
