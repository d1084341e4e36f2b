"""What is told of a decision once its answer stands: counts, spans, and a line where it came late."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from budgets.brownout import Luxury
from budgets.deadline import NS_PER_MS
from router.telemetry.span import RequestSpan

if TYPE_CHECKING:
    from router.assembly import App
    from router.domain.decision import Decision
    from router.http.exchange import Asked, Decided

_LOGGER = logging.getLogger("takt.decision")


def finish(app: App, asked: Asked, decided: Decided) -> None:
    """Count, and tell of what is worth telling, now that the answer stands."""
    app.pipeline.finish(app.point, decided.decision, decided.budget)
    if app.spans is not None:
        keep_span(app, asked, decided.decision, 200)
    if not decided.budget.is_met() and app.control.keeps(Luxury.LATE_LINES):
        _LOGGER.warning("late", extra=_facts(decided))


def _facts(decided: Decided) -> dict[str, Any]:
    return {
        "decision_id": decided.decision.decision_id,
        "rung": decided.decision.rung,
        "degraded": decided.decision.degraded,
        "elapsed_ms": decided.budget.ledger.elapsed_ns / NS_PER_MS,
        "budget_ms": decided.budget.total_ns / NS_PER_MS,
    }


def keep_span(app: App, asked: Asked, decision: Decision | None, status: int) -> None:
    """Hand over a request that is worth spans: late, degraded or failed, or one in many."""
    if app.spans is None or asked.trace is None or not app.control.keeps(Luxury.SPAN_EXPORT):
        return
    budget, failed = asked.budget, decision is None
    is_degraded = decision is not None and decision.degraded != "none"
    if not app.keeper.keep(app.clock.now_ns(), late=not budget.is_met(), degraded=is_degraded, failed=failed):
        return
    span = RequestSpan(
        trace=asked.trace,
        at_ns=app.clock.wall_ns() - budget.ledger.elapsed_ns,
        stages_ns=list(budget.ledger.stages_ns),
        method="POST",
        http_route="/v1/interactions",
        status=status,
        failed=failed,
        point=app.point.name,
        budget_ms=budget.total_ns / NS_PER_MS,
    )
    if decision is not None:
        span = msgspec.structs.replace(
            span,
            decision_id=decision.decision_id,
            route=decision.route,
            rung=decision.rung,
            degraded=decision.degraded,
            reason=decision.reason.value,
        )
    app.spans.export(span)
