"""The spine: one decision, from a decoded request to the answer that is given.

```
admit -> guards -> floor answer -> cache -> ladder (large -> small) -> policy -> assign -> record
                        |             |            |
                        +-- held -----+-- replaced +--> an answer exists at any time from here on
```
Nothing here awaits but the executor and, where a task was created or it is configured, the disk, and that only until
the commit time; a rung that is cheap enough runs inline.
What comes before (decoding, the deadline) and after (encoding) is `router/http/`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from budgets.admission import Refusal
from budgets.brownout import Luxury
from budgets.criticality import COHORTS, cohort, level
from budgets.ledger import Stage
from budgets.predictor import CostEstimate
from budgets.shedding import Verdict
from router.descent import Descent, Key, Quest
from router.domain.decision import Decision, Reason
from router.errors import NotAdmitted
from router.log import LogUnavailable
from router.recording import record_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from budgets.admission import Admission
    from budgets.clock import Clock
    from budgets.deadline import Budget
    from budgets.overload import Overload
    from fallbacks.cache import Cache
    from models.classifier import Prediction
    from router.domain.identity import IdSource
    from router.handover import Begun, Handover
    from router.log import Log
    from router.policy.point import Plan, Point, Request
    from router.telemetry.registry import Metrics

# Everything of a decision that is not a model, before it has been measured (p99 on a slow machine).
OWN_COST_NS = 200_000
# Above this a text is not cached.
MAX_CACHED_CHARS = 512
_NS_PER_HOUR = 3_600_000_000_000


class Pipeline:
    """Decides. One event loop owns it and everything it holds."""

    def __init__(  # noqa: PLR0913 - the composition root passes the parts, once
        self,
        *,
        clock: Clock,
        admission: Admission,
        control: Overload,
        cache: Cache[Key, Prediction],
        descent: Descent,
        log: Log,
        metrics: Metrics,
        ids: IdSource,
        keep_text: bool,
        await_commit: bool,
        handover: Handover | None = None,
    ) -> None:
        """Without `handover` there are no queues: decisions create no tasks."""
        self.admission = admission
        self.control = control
        self.cache = cache
        self.metrics = metrics
        self._clock, self._descent, self._log, self._ids = clock, descent, log, ids
        self._keep_text, self._await_commit = keep_text, await_commit
        self._handover = handover
        self._own_cost = CostEstimate(OWN_COST_NS / 2, OWN_COST_NS / 1.3)
        self._next_cohort = 0  # of those who say nothing of themselves
        self.commits_missed_total = 0

    async def decide(self, point: Point, request: Request, budget: Budget) -> Decision:
        """The answer within the budget, from the best rung that fits.

        Raises: NotAdmitted: no answer can be had in time, or the server takes no more.
        """
        now_ns, ledger, plan = self._clock.now_ns, budget.ledger, point.plan
        verdict, its_level = self._admit(request, budget)
        is_dark = not self.control.enforces
        try:
            request.read(plan.columns, self._clock.wall_ns())
            if point.queues and self._handover is not None:
                request.queues = partial(self._handover.loads, point.queues)
            decision = self._guard(point, request)
            if decision is None:
                held = self._floor(point, request)
                ledger.mark(Stage.FLOOR, now_ns())
                obeyed = Verdict.ADMIT if is_dark else verdict
                decision = await self._improve(point, plan, request, budget, held, obeyed)
            else:
                ledger.mark(Stage.FLOOR, now_ns())
            decision.decision_id = self._ids.next_id()
            decision.level, decision.verdict = its_level, verdict.value
            decision.is_dark = is_dark and verdict is not Verdict.ADMIT
            ledger.mark(Stage.POLICY, now_ns())
            begun = self._begin_task(point, request, budget, decision)
            is_kept = self._record(point, plan, request, budget, decision)
            if begun is not None:
                await self._finish_task(begun, budget, decision)
            if self._await_commit:
                is_missed = not (is_kept and await self._is_durable(self._log.commit(), budget, decision))
                self.commits_missed_total += is_missed  # read after the wait: others count meanwhile
                ledger.mark(Stage.POLICY, now_ns())
        finally:
            self.admission.release()
        return decision

    def screen(self, rank: int | None, left_ns: int | None) -> None:
        """What can be told before a request is decoded. None: not known yet. Raises: NotAdmitted."""
        now_ns, refusal = self._clock.now_ns(), None
        if left_ns is not None and left_ns <= 0:
            refusal = Refusal.EXPIRED
        elif rank is not None and self.control.enforces and self.control.shuts_out(rank, now_ns):
            self.control.judge(level(rank, self._any_cohort()), now_ns)  # it counts as an arrival
            refusal = Refusal.SHED
        if refusal is not None:
            self.metrics.refused.child(refusal.value).inc()
            raise NotAdmitted(refusal)

    def _admit(self, request: Request, budget: Budget) -> tuple[Verdict, int]:
        """The hard bounds, then what the pressure allows a request of its level. Raises: NotAdmitted."""
        now_ns = self._clock.now_ns()
        refusal, verdict = self.admission.admit(budget, now_ns, self._own_cost.tail_ns(now_ns)), Verdict.ADMIT
        its_level = self._level(request)
        if refusal is None:
            verdict = self.control.judge(its_level, now_ns)
            if verdict is Verdict.REJECT and self.control.enforces:
                self.admission.release()
                refusal = Refusal.SHED
        budget.ledger.mark(Stage.ADMIT, self._clock.now_ns())
        if refusal is not None:
            self.metrics.refused.child(refusal.value).inc()
            raise NotAdmitted(refusal)
        return verdict, its_level

    def _level(self, request: Request) -> int:
        """Sessions, customers and callers share a fate for an hour; who says nothing of himself is spread evenly."""
        interaction = request.interaction
        unit = interaction.session_id or interaction.customer_id or request.caller
        known = None if unit is None else cohort(unit, self._clock.wall_ns() // _NS_PER_HOUR)
        return level(interaction.criticality.rank, self._any_cohort() if known is None else known)

    def _any_cohort(self) -> int:
        self._next_cohort = (self._next_cohort + 1) % COHORTS
        return self._next_cohort

    def finish(self, point: Point, decision: Decision, budget: Budget) -> None:
        """Count a decision whose answer has been encoded, and learn what the pipeline itself costs."""
        ledger = budget.ledger
        stages_ns = ledger.stages_ns
        # A wait for the disk is cut to what the budget has left, so it is no cost that must be kept free.
        own_ns = sum(stages_ns[Stage.FLOOR : Stage.QUEUE]) + sum(stages_ns[Stage.POLICY : Stage.LOOP])
        own_ns -= decision.waited_ns
        self._own_cost.observe(own_ns, ledger.start_ns + ledger.elapsed_ns)
        self.metrics.observe_class(decision.level // COHORTS, met=budget.is_met())
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

    async def _improve(
        self, point: Point, plan: Plan, request: Request, budget: Budget, held: Decision, verdict: Verdict
    ) -> Decision:
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
        commit_ns = budget.deadline_ns - self._own_cost.tail_ns(self._clock.now_ns())
        quest = Quest(point, plan, key, request.interaction.criticality.rank, budget, commit_ns)
        return await self._descent.descend(quest, verdict, held, self._keep)

    def _keep(self, key: Key, prediction: Prediction) -> None:
        """Cache a prediction, late or not. Long texts hardly come twice, and would fill the memory."""
        if len(key.text) <= MAX_CACHED_CHARS and self.control.keeps(Luxury.CACHE_WRITES):
            self.cache.put(key, prediction, self._clock.now_ns())

    def _begin_task(self, point: Point, request: Request, budget: Budget, decision: Decision) -> Begun | None:
        if self._handover is None or request.is_question:
            return None
        begun = self._handover.begin(request, decision, point.targets[decision.route])
        budget.ledger.mark(Stage.ASSIGN, self._clock.now_ns())
        return begun

    async def _finish_task(self, begun: Begun, budget: Budget, decision: Decision) -> None:
        """Tell the task once it is in the log; an answer that can't wait for that says `pending`."""
        # The log gets it all the same, also when nobody waits any longer.
        if await self._is_durable(asyncio.shield(begun.durable), budget, decision):
            decision.task = begun.answer
        budget.ledger.mark(Stage.ASSIGN, self._clock.now_ns())

    def _record(self, point: Point, plan: Plan, request: Request, budget: Budget, decision: Decision) -> bool:
        """Hand the decision to the log, which never blocks. False: it is full."""
        record = record_of(point, plan, request, budget, decision, self._clock.wall_ns(), keep_text=self._keep_text)
        is_kept = self._log.append(record)
        budget.ledger.mark(Stage.POLICY, self._clock.now_ns())
        return is_kept

    async def _is_durable(self, durable: Awaitable[None], budget: Budget, decision: Decision) -> bool:
        """Whether it reached the disk before the answer is due."""
        start_ns = self._clock.now_ns()
        until_ns = budget.deadline_ns - self._own_cost.tail_ns(start_ns) - self._descent.hop_ns(start_ns)
        try:
            await asyncio.wait_for(durable, max(0, until_ns - start_ns) / 1e9)
        except (TimeoutError, LogUnavailable):
            return False
        finally:
            decision.waited_ns += self._clock.now_ns() - start_ns
        return True
