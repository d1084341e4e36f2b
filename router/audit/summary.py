"""The tally as an Audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.ledger import STAGES
from router.audit.bottleneck import bottleneck_of, causes_of
from router.audit.finding import (
    Audit,
    Count,
    GroupAudit,
    LoadAudit,
    PredictionAudit,
    StageAudit,
    VerdictAudit,
)
from router.audit.tally import USED_UNIT
from router.audit.whatif import what_ifs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.audit.run import RungTally
    from router.audit.spread import Spread
    from router.audit.tally import Group, Tally

# From the best answer to the poorest, and from the most critical: as people look for them.
_RUNGS = ("guard", "large", "small", "cache", "rules", "default")
_CRITICALITIES = ("critical-plus", "critical", "sheddable-plus", "sheddable")


def audit_of(tally: Tally) -> Audit:
    """Sum up."""
    n = tally.n
    if not n:
        return Audit(decisions=0)
    causes = causes_of(tally)
    return Audit(
        decisions=n,
        first_at_ns=tally.first_at_ns,
        last_at_ns=tally.last_at_ns,
        in_budget_share=1 - tally.late / n,
        degraded=_counts(dict(tally.degraded.most_common()), n),
        total=_group("all", tally.groups(lambda _: "all")["all"], n),
        points=_groups(tally.groups(lambda key: key.point), n, ()),
        rungs=_groups(tally.groups(lambda key: key.rung), n, _RUNGS),
        criticalities=_groups(tally.groups(lambda key: key.criticality), n, _CRITICALITIES),
        stages=_stages(tally),
        verdicts=tuple(
            VerdictAudit(verdict=verdict, dark=dark, total=total, share=total / n)
            for (verdict, dark), total in tally.verdicts.most_common()
        ),
        predictions=tuple(_prediction(rung, model) for rung, model in tally.models.items() if model.wait_predicted.n),
        load=_load(tally),
        causes=_counts({cause.value: total for cause, total in causes.items()}, n),
        bottleneck=bottleneck_of(tally, causes),
        what_ifs=what_ifs(tally, causes),
    )


def _counts(counts: Mapping[str, int], n: int) -> tuple[Count, ...]:
    return tuple(Count(name=name, total=total, share=total / n) for name, total in counts.items())


def _groups(groups: Mapping[str, Group], n: int, order: tuple[str, ...]) -> tuple[GroupAudit, ...]:
    names = sorted(groups, key=lambda name: (order.index(name) if name in order else len(order), name))
    return tuple(_group(name, groups[name], n) for name in names)


def _group(name: str, group: Group, n: int) -> GroupAudit:
    return GroupAudit(
        name=name,
        total=group.n,
        share=group.n / n,
        in_budget_share=1 - group.late / group.n,
        degraded_share=group.degraded / group.n,
        p50_ms=_ms(group.elapsed, 0.5),
        p99_ms=_ms(group.elapsed, 0.99),
        budget_p50_ms=_ms(group.budget, 0.5),
        used_p50=group.used.quantile(0.5) / USED_UNIT,
        used_p99=group.used.quantile(0.99) / USED_UNIT,
    )


def _stages(tally: Tally) -> tuple[StageAudit, ...]:
    stages = tally.stages
    all_us = sum(stage.all.sum for stage in stages.values())
    late_us = sum(stage.late_us for stage in stages.values())
    degraded_us = sum(stage.degraded_us for stage in stages.values())
    order = [name for name in STAGES if name in stages] + sorted(set(stages) - set(STAGES))
    return tuple(
        StageAudit(
            name=name,
            total=stages[name].all.n,
            share=stages[name].all.sum / max(1, all_us),
            share_in_late=stages[name].late_us / max(1, late_us),
            share_in_degraded=stages[name].degraded_us / max(1, degraded_us),
            p50_ms=_ms(stages[name].all, 0.5),
            p99_ms=_ms(stages[name].all, 0.99),
            late_without_total=stages[name].late_without,
        )
        for name in order
    )


def _prediction(rung: str, model: RungTally) -> PredictionAudit:
    return PredictionAudit(
        rung=rung,
        queued=model.wait_predicted.n,
        started=model.wait.n,
        judged=model.judged,
        covered_share=model.covered / model.judged if model.judged else None,
        predicted_p50_ms=_ms(model.predicted, 0.5) if model.predicted.n else None,
        run_p50_ms=_ms(model.run, 0.5),
        run_p99_ms=_ms(model.run, 0.99),
        kept_back_p50_ms=_ms(model.kept_back, 0.5),
        texts_mean=model.texts / model.ended if model.ended else None,
        wait_predicted_p50_ms=_ms(model.wait_predicted, 0.5),
        wait_p50_ms=_ms(model.wait, 0.5),
    )


def _load(tally: Tally) -> LoadAudit:
    windows = tally.windows
    at_ns, worst = windows.worst()
    return LoadAudit(
        window_s=windows.width_ns / 1e9,
        executor_share=windows.executor_share(),
        executor_share_in_trouble=windows.executor_share_in_trouble(),
        loop_share=windows.loop_share(),
        loop_share_in_trouble=windows.loop_share_in_trouble(),
        worst_at_ns=at_ns,
        worst_total=worst.n,
        worst_troubled=worst.troubled,
    )


def _ms(spread: Spread, q: float) -> float:
    return spread.quantile(q) / 1_000
