"""A decision as its record: everything that `takt explain` will need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.deadline import NS_PER_MS
from router.log import DecisionRecord, Match

if TYPE_CHECKING:
    from budgets.deadline import Budget
    from router.domain.decision import Decision
    from router.policy.point import Plan, Point, Request


def record_of(  # noqa: PLR0913 - what a record is of
    point: Point, plan: Plan, request: Request, budget: Budget, decision: Decision, at_ns: int, *, keep_text: bool
) -> DecisionRecord:
    """The record of a decision at `at_ns` (UTC), with the times that are booked by now."""
    interaction, target, ledger = request.interaction, point.targets[decision.route], budget.ledger
    return DecisionRecord(
        decision_id=decision.decision_id,
        interaction_id=interaction.id or decision.decision_id,
        at_ns=at_ns,
        point=point.name,
        plan_version=plan.version,
        text=interaction.text if keep_text else None,
        columns=_known(plan, request) if keep_text else (),
        channel=interaction.channel,
        customer_id=interaction.customer_id,
        session_id=interaction.session_id,
        criticality=interaction.criticality.value,
        route=decision.route,
        target_kind=target.kind,
        target_name=target.name,
        rung=decision.rung,
        degraded=decision.degraded,
        reason=decision.reason.value,
        confidence=decision.confidence,
        alternatives=decision.alternatives,
        match=None if decision.match is None else Match(name=decision.match[0], why=decision.match[1]),
        skipped=tuple((skip.rung, skip.why.value) for skip in decision.skips),
        total_ms=budget.total_ns / NS_PER_MS,
        elapsed_ms=ledger.elapsed_ns / NS_PER_MS,
        late=not budget.is_met(),
        stages_ms=ledger.stages_ms(),
        trace_id=request.trace_id,
        level=decision.level,
        verdict=decision.verdict,
        dark=decision.is_dark,
        run=decision.run,
        began_ns=ledger.start_ns,
        task_id=None if decision.task is None or decision.task.state == "refused" else decision.task.id,
    )


def _known(plan: Plan, request: Request) -> tuple[tuple[str, str | float], ...]:
    pairs = zip(plan.columns, request.values, strict=True)
    return tuple([(column.name, value) for column, value in pairs if value is not None])
