"""The spine: one decision, from a decoded request to the answer that is given.

```
admit -> guards -> floor answer -> cache -> ladder (large -> small) -> policy -> record
                        |             |            |
                        +-- held -----+-- replaced +--> an answer exists at any time from here on
```
Nothing here awaits but the executor, and that only until the commit time; a rung that is cheap enough runs inline.
What comes before (decoding, the deadline) and after (encoding) is `router/http/`.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from budgets.deadline import NS_PER_MS
from budgets.ledger import Stage
from budgets.predictor import CostEstimate
from fallbacks.ladder import Degraded, Skip, choose, degraded
from router.domain.decision import Decision, Reason
from router.errors import NotAdmitted
from router.log import LogUnavailable
from router.recording import record_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from budgets.admission import Admission
    from budgets.clock import Clock
    from budgets.deadline import Budget
    from fallbacks.cache import Cache
    from fallbacks.ladder import Choice
    from fallbacks.runner import Run, Runner
    from models.classifier import Prediction
    from models.columns import Value
    from router.domain.identity import IdSource
    from router.log import Log
    from router.policy.point import ModelRung, Plan, Point, Request
    from router.telemetry.registry import Metrics

# Everything of a decision that is not a model, before it has been measured (p99 on a slow machine).
OWN_COST_NS = 200_000
# Above this a text is not cached.
MAX_CACHED_CHARS = 512
_TELL_EVERY_NS = 1_000_000_000
# uvloop's timers are 1 ms grained, so a commit timer may ring a millisecond late; as much again to act on it.
TIMER_SLACK_NS = 2 * NS_PER_MS


_LOGGER = logging.getLogger("takt.pipeline")


class Key(NamedTuple):
    """What makes two questions the same."""

    point: str
    plan_version: str
    text: str
    values: tuple[Value, ...] = ()


class Lag(Protocol):
    """How late the event loop runs what is due."""

    def p99_ns(self, now_ns: int) -> int: ...


class Pipeline:
    """Decides. One event loop owns it and everything it holds."""

    def __init__(  # noqa: PLR0913 - the composition root passes the parts, once
        self,
        *,
        clock: Clock,
        admission: Admission,
        cache: Cache[Key, Prediction],
        runner: Runner[Key, Prediction],
        log: Log,
        metrics: Metrics,
        lag: Lag,
        ids: IdSource,
        keep_text: bool,
        await_commit: bool,
    ) -> None:
        self.admission = admission
        self.cache = cache
        self.metrics = metrics
        self._clock, self._runner, self._log, self._lag, self._ids = clock, runner, log, lag, ids
        self._keep_text, self._await_commit = keep_text, await_commit
        self._own_cost = CostEstimate(OWN_COST_NS / 2, OWN_COST_NS / 1.3)
        # A wait for the disk is cut to what the budget has left, so it is no cost that must be kept free.
        self._own_last = Stage.ASSIGN if await_commit else Stage.POLICY
        self.commits_missed_total = 0
        self._tell_again_ns = 0

    async def decide(self, point: Point, request: Request, budget: Budget) -> Decision:
        """The answer within the budget, from the best rung that fits.

        Raises: NotAdmitted: no answer can be had in time, or the server takes no more.
        """
        now_ns, ledger, plan = self._clock.now_ns, budget.ledger, point.plan
        start_ns = now_ns()
        refusal = self.admission.admit(budget, start_ns, self._own_cost.p99_ns(start_ns))
        ledger.mark(Stage.ADMIT, now_ns())
        if refusal is not None:
            self.metrics.refused.child(refusal.value).inc()
            raise NotAdmitted(refusal)
        try:
            request.read(plan.columns, self._clock.wall_ns())
            decision = self._guard(point, request)
            if decision is None:
                held = self._floor(point, request)
                ledger.mark(Stage.FLOOR, now_ns())
                decision = await self._improve(point, plan, request, budget, held)
            else:
                ledger.mark(Stage.FLOOR, now_ns())
            decision.decision_id = self._ids.next_id()
            ledger.mark(Stage.POLICY, now_ns())
            await self._record(point, plan, request, budget, decision)
        finally:
            self.admission.release()
        return decision

    def finish(self, point: Point, decision: Decision, budget: Budget) -> None:
        """Count a decision whose answer has been encoded, and learn what the pipeline itself costs."""
        ledger = budget.ledger
        stages_ns = ledger.stages_ns
        own_ns = sum(stages_ns[Stage.FLOOR : Stage.QUEUE]) + sum(stages_ns[self._own_last : Stage.LOOP])
        self._own_cost.observe(own_ns, ledger.start_ns + ledger.elapsed_ns)
        self.metrics.observe_decision(
            point.name, decision.rung, decision.degraded, decision.reason.value,
            ledger.elapsed_ns, budget.is_met(), stages_ns,
        )  # fmt: skip

    def _guard(self, point: Point, request: Request) -> Decision | None:
        """A guard binds: it is evaluated first and always wins."""
        match = point.guards.first(request.words, request.fact)
        if match is None:
            return None
        route, confidence = match.answer
        return Decision(route, "guard", Reason.GUARD, confidence, match=(match.name, match.why))

    def _floor(self, point: Point, request: Request) -> Decision:
        """The answer that is held from here on: a fallback rule's, or the default."""
        match = point.rules.first(request.words, request.fact)
        if match is None:
            return Decision(point.default, "default", Reason.DEFAULT, 0.0)
        route, confidence = match.answer
        return Decision(route, "rules", Reason.RULE, confidence, match=(match.name, match.why))

    async def _improve(self, point: Point, plan: Plan, request: Request, budget: Budget, held: Decision) -> Decision:
        """A fresh cache entry settles it; a stale one is a better floor; else down the ladder."""
        if not request.words:  # blanks and punctuation: there is nothing for a model to read
            return held
        key = Key(point.name, plan.version, request.text, request.values[: plan.fed])
        hit = self.cache.get(key, self._clock.now_ns())
        if hit is not None and plan.rungs:
            held = point.read(hit.value, plan.rungs[0].threshold, "cache", Reason.CACHE)
        budget.ledger.mark(Stage.CACHE, self._clock.now_ns())
        if hit is not None and hit.is_fresh:
            return held
        return await self._descend(point, plan.rungs, key, budget, held)

    async def _descend(
        self, point: Point, rungs: tuple[ModelRung, ...], key: Key, budget: Budget, held: Decision
    ) -> Decision:
        """Try the rungs from the best downwards; what none of them can answer in time, the held answer does."""
        commit_ns = budget.deadline_ns - self._own_cost.p99_ns(self._clock.now_ns())
        skips: list[Skip] = [] if rungs else [Skip("models", Degraded.COLD)]
        while rungs:
            now_ns = self._clock.now_ns()
            hop_ns = TIMER_SLACK_NS + self._lag.p99_ns(now_ns)
            choice = choose(rungs, skips, self._runner.executor, now_ns=now_ns, commit_ns=commit_ns, hop_ns=hop_ns)
            if choice is None:
                break
            rung = choice.rung
            # Only what the best rung says is kept: a fresh entry stands for it.
            keep = self._keep if rung is rungs[0] else None
            run = await self._run(choice, key, budget, keep)
            if run.value is not None:
                held = point.read(run.value, rung.threshold, rung.name, Reason.MODEL)
                break
            skips.append(Skip(rung.name, run.why))
            if run.error:
                self._tell(rung.name, run.error)
        held.skips, held.degraded = skips, degraded(skips).value
        return held

    def _keep(self, key: Key, prediction: Prediction) -> None:
        """Cache a prediction, late or not. Long texts hardly come twice, and would fill the memory."""
        if len(key.text) <= MAX_CACHED_CHARS:
            self.cache.put(key, prediction, self._clock.now_ns())

    def _tell(self, rung: str, error: str) -> None:
        """Count an error of a rung, and log one a second at most."""
        self.metrics.rung_errors.child(rung).inc()
        now_ns = self._clock.now_ns()
        if now_ns >= self._tell_again_ns:
            self._tell_again_ns = now_ns + _TELL_EVERY_NS
            _LOGGER.warning("rung_failed", extra={"rung": rung, "error": error[:500]})

    async def _run(
        self, choice: Choice[ModelRung], key: Key, budget: Budget, keep: Callable[[Key, Prediction], None] | None
    ) -> Run[Prediction]:
        """One rung, inline or on the executor, with its time booked and its breaker told."""
        rung, ledger = choice.rung, budget.ledger
        call = partial(rung.predict, key.text, key.values)
        if rung.needs_executor:
            run = await self._runner.run(key, choice, call, keep)
            # What lies between the thread's stamps and now is the event loop's; a run without an end was waited for.
            now_ns = self._clock.now_ns()
            ledger.mark(Stage.QUEUE, now_ns if run.start_ns is None else run.start_ns)
            ledger.mark(Stage.INFER, now_ns if run.end_ns is None else run.end_ns)
            ledger.mark(Stage.LOOP, now_ns)
            return run
        run = self._runner.run_inline(choice, call)
        ledger.mark(Stage.INFER, self._clock.now_ns())
        if run.value is not None and keep is not None:
            keep(key, run.value)
        return run

    async def _record(self, point: Point, plan: Plan, request: Request, budget: Budget, decision: Decision) -> None:
        """Hand the decision to the log, which never blocks; wait for the disk only where it is configured."""
        record = record_of(point, plan, request, budget, decision, self._clock.wall_ns(), keep_text=self._keep_text)
        is_kept = self._log.append(record)
        if self._await_commit:
            start_ns = self._clock.now_ns()
            hop_ns = TIMER_SLACK_NS + self._lag.p99_ns(start_ns)
            left_ns = budget.deadline_ns - self._own_cost.p99_ns(start_ns) - hop_ns - start_ns
            is_missed = not (is_kept and await self._committed(left_ns))
            self.commits_missed_total += is_missed  # read after the wait: others count meanwhile
        budget.ledger.mark(Stage.POLICY, self._clock.now_ns())

    async def _committed(self, within_ns: int) -> bool:
        """Whether everything that was logged so far reached the disk in time."""
        try:
            await asyncio.wait_for(self._log.commit(), max(0, within_ns) / 1e9)
        except (TimeoutError, LogUnavailable):
            return False
        return True
