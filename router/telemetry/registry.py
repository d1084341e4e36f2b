"""All of Takt's metrics, declared in one place.

Whoever counts keeps the child: `refused = metrics.refused.child("queue_full")`, then `refused.inc()`. What
another part keeps is read at scrape time: `metrics.inflight.child().watch(lambda: admission.inflight)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from budgets.ledger import STAGES
from budgets.shedding import Verdict
from router.domain.decision import Reason
from router.domain.interaction import Criticality
from router.telemetry.assignment import AssignmentMetrics, DeskMetrics
from router.telemetry.family import (
    MAX_CHILDREN,
    Counter,
    CounterFamily,
    HistogramFamily,
    Label,
    ReadingFamily,
)

if TYPE_CHECKING:
    from budgets.histogram import Histogram

_MS, _US = 1_000_000, 1_000

# The budgets that the documentation advertises, so that "how many within 50 ms" is read off exactly.
REQUEST_EDGES_NS = tuple(ms * _MS for ms in (1, 2, 5, 10, 20, 25, 50, 75, 100, 150, 200, 250, 500, 1000))
# A stage takes from a microsecond (admit) to a whole budget (queue).
STAGE_EDGES_NS = tuple(us * _US for us in (5, 10, 25, 50, 100, 250, 500)) + tuple(
    ms * _MS for ms in (1, 2, 5, 10, 25, 50, 100, 250, 1000)
)
# Below a millisecond a loop is as good as idle; above a second it has stopped.
LOOP_LAG_EDGES_NS = tuple(us * _US for us in (100, 250, 500)) + tuple(
    ms * _MS for ms in (1, 2, 5, 10, 20, 50, 100, 250, 500, 1000)
)

RUNGS = ("guard", "large", "small", "cache", "rules", "default")
DEGRADED = ("none", "budget", "overload", "breaker", "error", "cold")
REASONS = tuple(reason.value for reason in Reason)
QUEUES = ("executor", "log", "spans", "commands")
CACHE_KINDS = ("fresh", "stale", "miss")
QUANTILES = ("0.5", "0.9", "0.99", "0.995")
CRITICALITIES = tuple(each.value for each in Criticality)
VERDICTS = tuple(each.value for each in Verdict)
EXECUTOR_USES = ("used", "wasted")
SWAP_OUTCOMES = ("activated", "refused")
TRACE_LOSSES = ("rate", "queue", "export")
WEBHOOK_OUTCOMES = ("delivered", "failed")
# Every code is a constant of a class of errors: there are about 30.
_MOST_CODES = 60


class _Decision(NamedTuple):
    """The children that one combination of point, rung, degraded and reason counts in."""

    requests: Counter
    met: Counter
    missed: Counter
    elapsed: Histogram


class Metrics:
    """Every metric of one server. Safety: one event loop counts and scrapes."""

    def __init__(self) -> None:
        point, rung, reason = Label("point"), Label("rung", RUNGS), Label("reason", REASONS)
        self.requests = CounterFamily(
            "takt_requests_total", "Decisions answered.", point, rung, Label("degraded", DEGRADED), reason
        )
        self.budget_met = CounterFamily("takt_budget_met_total", "Answered within the budget.", point)
        self.budget_missed = CounterFamily("takt_budget_missed_total", "Answered after the budget had run out.", point)
        self.class_answers = CounterFamily(
            "takt_class_answers_total",
            "Decisions answered, by class and whether they came within the budget.",
            Label("criticality", CRITICALITIES),
            Label("in_budget", ("true", "false")),
        )
        self.refused = CounterFamily(
            "takt_refused_total",
            "Requests answered without a decision, by the `code` of the problem document.",
            Label("reason"),
            max_children=_MOST_CODES,
        )
        self.rung_errors = CounterFamily(
            "takt_rung_errors_total", "Answers of a rung that were an error or made no sense.", rung
        )
        self.floor_agreement = CounterFamily(
            "takt_floor_agreement_total",
            "Answers of models, by the floor that was held meanwhile and whether it said the same.",
            Label("floor", RUNGS),
            Label("agrees", ("true", "false")),
        )
        self.model_swaps = CounterFamily(
            "takt_model_swaps_total", "Versions of models that were to be activated.", Label("outcome", SWAP_OUTCOMES)
        )
        self.webhook_attempts = CounterFamily(
            "takt_webhook_attempts_total",
            "Events sent to a webhook or by an adapter, by how the attempt ended.",
            Label("webhook"),
            Label("outcome", WEBHOOK_OUTCOMES),
        )
        self.request_seconds = HistogramFamily(
            "takt_request_seconds",
            "Time to answer, waiting for the event loop included.",
            point,
            edges_ns=REQUEST_EDGES_NS,
        )
        self.stage_seconds = HistogramFamily(
            "takt_stage_seconds",
            "Time in a stage, of the requests that entered it.",
            Label("stage", STAGES),
            edges_ns=STAGE_EDGES_NS,
        )
        self.loop_lag = HistogramFamily(
            "takt_loop_lag_seconds", "How late the event loop runs what is due.", edges_ns=LOOP_LAG_EDGES_NS
        )
        self._declare_readings(rung)
        self.assignment = AssignmentMetrics()
        self.desk = DeskMetrics()
        self._stages = [self.stage_seconds.child(stage) for stage in STAGES]
        self._classes = [
            (self.class_answers.child(each, "false"), self.class_answers.child(each, "true")) for each in CRITICALITIES
        ]
        self._decisions: dict[tuple[str, str, str, str], _Decision] = {}

    def _declare_readings(self, rung: Label) -> None:
        self.inflight = ReadingFamily("gauge", "takt_inflight", "Requests being answered now.")
        self.queue_length = ReadingFamily(
            "gauge", "takt_queue_length", "Entries waiting in a queue.", Label("queue", QUEUES)
        )
        self.breaker_state = ReadingFamily(
            "gauge", "takt_breaker_state", "Breaker of a rung: 0 closed, 1 half-open, 2 open.", rung
        )
        self.rung_cost = ReadingFamily(
            "gauge",
            "takt_rung_cost_seconds",
            "What a rung is expected to cost.",
            rung,
            Label("quantile", QUANTILES),
        )
        self.predictor_coverage = ReadingFamily(
            "gauge",
            "takt_predictor_coverage",
            "Share of a rung's latest calls that cost no more than was expected of this quantile; equal to it at best.",
            rung,
            Label("q", QUANTILES),
        )
        self.batches = ReadingFamily("counter", "takt_batches_total", "Calls of a rung on the executor.", rung)
        self.batch_texts = ReadingFamily("counter", "takt_batch_texts_total", "Texts in those calls.", rung)
        self.executor_seconds = ReadingFamily(
            "counter",
            "takt_executor_seconds_total",
            "Time of the executor, by whether anybody still waited for the answer.",
            Label("use", EXECUTOR_USES),
        )
        self.verdicts = ReadingFamily(
            "counter",
            "takt_verdicts_total",
            "What the overload control said of arrivals: admit, inline (no rung on the executor), floor, reject.",
            Label("criticality", CRITICALITIES),
            Label("verdict", VERDICTS),
        )
        self.shed_share = ReadingFamily(
            "gauge", "takt_shed_share", "Share of the arrivals that lose the executor, because its line is long."
        )
        self.loop_pressure = ReadingFamily(
            "gauge", "takt_loop_pressure", "How far down the shedding order a busy event loop has come, 0 to 1."
        )
        self.work_limit = ReadingFamily("gauge", "takt_work_limit", "Jobs that may be in the executor's line now.")
        self.allowance_share = ReadingFamily(
            "gauge", "takt_executor_allowance_share", "Executor time that may still be granted, of a full allowance."
        )
        self.brownout_step = ReadingFamily(
            "gauge",
            "takt_brownout_step",
            "Luxuries that are off: 1 cache writes, 2 span export, 3 lines on late answers.",
        )
        self.spared = ReadingFamily(
            "counter",
            "takt_rejections_spared_total",
            "Critical requests that got the floor because overload.max_reject_share forbade to turn them away.",
        )
        self.log_written = ReadingFamily("counter", "takt_log_written_total", "Decision records that are durable.")
        self.log_dropped = ReadingFamily("counter", "takt_log_dropped_total", "Decision records that were lost.")
        self.log_failing = ReadingFamily("gauge", "takt_log_failing", "1 while the decision log cannot be written.")
        self.log_last_commit = ReadingFamily(
            "gauge", "takt_log_last_commit_seconds", "How long the last group of decision records took to be durable."
        )
        self.log_commits_missed = ReadingFamily(
            "counter",
            "takt_log_commits_missed_total",
            "Answers given before the log had them, although log.durability is commit.",
        )
        self.traces_dropped = ReadingFamily(
            "counter",
            "takt_traces_dropped_total",
            "Requests worth a trace that have none.",
            Label("why", TRACE_LOSSES),
        )
        self.log_lines_dropped = ReadingFamily(
            "counter",
            "takt_log_lines_dropped_total",
            "Lines for stderr that were lost because nobody read them.",
        )
        self.condition_errors = ReadingFamily(
            "counter",
            "takt_condition_errors_total",
            "Evaluations of a guard's or rule's `when` that failed; it counted as false.",
            Label("rule"),
        )
        self.cache_entries = ReadingFamily("gauge", "takt_cache_entries", "Decisions held in the cache.")
        self.cache_hits = ReadingFamily(
            "counter",
            "takt_cache_hits_total",
            "Cache look-ups, by what they found.",
            Label("kind", CACHE_KINDS),
        )
        self.webhook_pending = ReadingFamily(
            "gauge", "takt_webhook_pending", "Events under way to a webhook, or waiting for a retry.", Label("webhook")
        )
        self.webhook_dead = ReadingFamily(
            "gauge", "takt_webhook_dead", "Events that were given up and can be replayed.", Label("webhook")
        )
        self.webhook_gaps = ReadingFamily(
            "counter",
            "takt_webhook_gaps_total",
            "How often events had left the log before a webhook took them in.",
            Label("webhook"),
        )
        self.ready = ReadingFamily("gauge", "takt_ready", "1 while the server accepts requests.")
        self.info = ReadingFamily(
            "gauge",
            "takt_info",
            "Always 1; the labels say what runs.",
            Label("version"),
            Label("plan_version"),
        )

    def families(self) -> list[CounterFamily | HistogramFamily | ReadingFamily]:
        """Every metric in the order of its declaration."""
        kinds = (CounterFamily, HistogramFamily, ReadingFamily)
        own = [family for family in vars(self).values() if isinstance(family, kinds)]
        return [*own, *self.desk.families(), *self.assignment.families()]

    def set_info(self, version: str, plan_version: str) -> None:
        """Say what runs; a new plan replaces the old line."""
        self.info.children.clear()
        self.info.child(version, plan_version).watch(lambda: 1.0)

    def observe_class(self, rank: int, *, met: bool) -> None:
        """Count one answer for its class."""
        self._classes[rank][met].value += 1

    def observe_decision(  # noqa: PLR0913, PLR0917 - keywords would cost as much as the counting
        self,
        point: str,
        rung: str,
        degraded: str,
        reason: str,
        elapsed_ns: int,
        met: bool,  # noqa: FBT001
        stages_ns: list[int],
    ) -> None:
        """Count one answer.

        Args: stages_ns: in the order of `STAGES`; a stage with 0 was not entered and is not counted.
        """
        key = (point, rung, degraded, reason)
        decision = self._decisions.get(key) or self._resolve(key)
        decision.requests.value += 1
        (decision.met if met else decision.missed).value += 1
        decision.elapsed.observe(elapsed_ns)
        for histogram, stage_ns in zip(self._stages, stages_ns, strict=True):
            if stage_ns:
                histogram.observe(stage_ns)

    def _resolve(self, key: tuple[str, str, str, str]) -> _Decision:
        point = key[0]
        decision = _Decision(
            requests=self.requests.child(*key),
            met=self.budget_met.child(point),
            missed=self.budget_missed.child(point),
            elapsed=self.request_seconds.child(point),
        )
        if len(self._decisions) < MAX_CHILDREN:
            self._decisions[key] = decision
        return decision
