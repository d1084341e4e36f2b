"""A decision as the body of a 200."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.deadline import NS_PER_MS
from budgets.ledger import Stage
from router.domain.decision import AdmissionReport, Alternative, Answer, BudgetReport

if TYPE_CHECKING:
    from budgets.deadline import Budget
    from router.assembly import App
    from router.domain.decision import Decision
    from router.domain.interaction import Interaction


def build_answer(app: App, interaction: Interaction, decision: Decision, budget: Budget) -> Answer:
    """The body; its times end where its encoding begins, those of the headers after it."""
    ledger, run = budget.ledger, decision.run
    ledger.mark(Stage.ENCODE, app.clock.now_ns())
    return Answer(
        decision_id=decision.decision_id,
        interaction_id=interaction.id or decision.decision_id,
        route=decision.route,
        target=app.point.targets[decision.route],
        rung=decision.rung,
        degraded=decision.degraded,
        confidence=round(decision.confidence, 4),
        alternatives=tuple(Alternative(route, round(share, 4)) for route, share in decision.alternatives),
        reason=decision.reason.value,
        task=decision.task,
        admission=AdmissionReport(interaction.criticality.value, decision.level, decision.verdict, decision.is_dark),
        budget=BudgetReport(
            total_ms=budget.total_ns / NS_PER_MS,
            elapsed_ms=round(ledger.elapsed_ns / NS_PER_MS, 3),
            stages_ms=ledger.stages_ms(),
            late=not budget.is_met(),
            predicted_ms=0.0 if run is None else round(run.predicted_ms, 3),
            wait_ms=0.0 if run is None else round(run.wait_ms, 3),
            batch=0 if run is None else run.texts,
        ),
    )
