"""Lets the metrics read, at scrape time, what other parts keep anyway."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from budgets.batch_cost import P50, P99, QUANTILES
from budgets.predictor import InlineCost
from budgets.shedding import Verdict
from router.domain.interaction import Criticality
from router.insight.figures import L, Q
from router.policy.expression import Expression
from router.telemetry import logs
from router.telemetry.assignment import MOST_QUEUES, OFFER_OUTCOMES, TASK_OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from budgets.clock import Clock
    from budgets.overload import Overload
    from router.assembly import App
    from router.desk.desk import Desk
    from router.insight.insight import Insight
    from router.policy.point import ModelRung
    from router.telemetry.assignment import AssignmentMetrics
    from router.telemetry.registry import Metrics

_OF_TASKS = Q.QUEUED, Q.ANSWERED, Q.ABANDONED, Q.SHORT_ABANDONED, Q.LEFT, Q.COMPLETED, Q.CANCELED
_OF_OFFERS = Q.OFFERS, Q.ACCEPTED, Q.DECLINED, Q.EXPIRED, Q.RESCINDED
# Of a text of this many characters the expected cost is shown.
_USUAL_CHARS = 60


def watch(app: App) -> None:
    """What there is as long as the server."""
    metrics, cache, log, runner = app.metrics, app.cache, app.log, app.runner
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
    metrics.ready.child().watch(lambda: not app.hindrance)
    metrics.log_lines_dropped.child().watch(logs.lines_dropped_total)
    metrics.executor_seconds.child("used").watch(lambda: runner.used_ns / 1e9)
    metrics.executor_seconds.child("wasted").watch(lambda: runner.wasted_ns / 1e9)
    _watch_control(metrics, app.control)
    for kind, book in (("guards", app.point.guards), ("rules", app.point.rules)):
        for rule in book.rules:
            if isinstance(condition := rule.when, Expression):
                metrics.condition_errors.child(f"{kind}.{rule.name}").watch(partial(getattr, condition, "errors_total"))
    if (spans := app.spans) is not None:
        metrics.queue_length.child("spans").watch(lambda: spans.queued)
        metrics.traces_dropped.child("rate").watch(lambda: app.keeper.limited_total)
        metrics.traces_dropped.child("queue").watch(lambda: spans.dropped_total)
        metrics.traces_dropped.child("export").watch(lambda: spans.failed_total)


def watch_desk(metrics: Metrics, desk: Desk) -> None:
    """Where there are queues."""
    stats, own = desk.stats, metrics.desk
    metrics.queue_length.child("commands").watch(lambda: stats().queued)
    own.written.child().watch(lambda: stats().written_total)
    own.ended.child().watch(lambda: bool(desk.end))
    own.matchings_missed.child("late").watch(lambda: stats().matchings_late_total)
    own.matchings_missed.child("failed").watch(lambda: stats().matchings_failed_total)
    own.violations.child().watch(lambda: stats().violations_total)


def watch_queues(metrics: AssignmentMetrics, insight: Insight, queues: Iterable[str]) -> None:
    """The queues of the present policy; those of one before are forgotten."""
    for family in metrics.families():
        family.children.clear()
    for name in islice(queues, MOST_QUEUES):
        metrics.waiting.child(name).watch(partial(insight.level, name, L.WAITING))
        metrics.longest_wait.child(name).watch(partial(insight.longest_wait_s, name))
        metrics.agents.child(name, "signed_in").watch(partial(insight.level, name, L.AGENTS))
        metrics.agents.child(name, "available").watch(partial(insight.level, name, L.AVAILABLE))
        for outcome, counter in zip(TASK_OUTCOMES, _OF_TASKS, strict=True):
            metrics.tasks.child(name, outcome).watch(partial(insight.total, name, counter))
        for outcome, counter in zip(OFFER_OUTCOMES, _OF_OFFERS, strict=True):
            metrics.offers.child(name, outcome).watch(partial(insight.total, name, counter))


def _watch_control(metrics: Metrics, control: Overload) -> None:
    metrics.shed_share.child().watch(lambda: control.shed_share)
    metrics.loop_pressure.child().watch(lambda: control.reject_pressure)
    metrics.work_limit.child().watch(lambda: control.limit)
    metrics.allowance_share.child().watch(lambda: control.allowance_share)
    metrics.brownout_step.child().watch(lambda: control.brownout_step)
    metrics.spared.child().watch(lambda: control.spared_total)
    for criticality in Criticality:
        for verdict in Verdict:
            labels = criticality.value, verdict.value
            metrics.verdicts.child(*labels).watch(partial(_verdicts, control, criticality.rank, verdict))


def _verdicts(control: Overload, rank: int, verdict: Verdict) -> float:
    return control.verdicts(rank)[verdict]


def watch_rungs(metrics: Metrics, clock: Clock, rungs: tuple[ModelRung, ...]) -> None:
    """What there is of the present plan; what was of the one before is forgotten."""
    for family in (metrics.breaker_state, metrics.rung_cost, metrics.predictor_coverage, metrics.batches,
                   metrics.batch_texts):  # fmt: skip
        family.children.clear()
    for rung in rungs:
        metrics.breaker_state.child(rung.name).watch(partial(_breaker, rung))
        shown = (P50, P99) if isinstance(rung.cost, InlineCost) else range(len(QUANTILES))
        for at in shown:
            labels = rung.name, f"{QUANTILES[at]:g}"
            metrics.rung_cost.child(*labels).watch(partial(_cost_s, rung, clock, at))
            metrics.predictor_coverage.child(*labels).watch(partial(rung.cost.coverage, at))
        if rung.work is not None:
            metrics.batches.child(rung.name).watch(partial(getattr, rung.work, "batches_total"))
            metrics.batch_texts.child(rung.name).watch(partial(getattr, rung.work, "texts_total"))


def _breaker(rung: ModelRung) -> float:
    return rung.breaker.state.value


def _cost_s(rung: ModelRung, clock: Clock, at: int) -> float:
    return rung.cost.quantile_ns(at, 1, _USUAL_CHARS, clock.now_ns()) / 1e9
