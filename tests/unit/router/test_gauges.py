"""What the metrics read of the parts, at the time they are read."""

from __future__ import annotations

import asyncio
import math
from random import Random
from typing import TYPE_CHECKING

from budgets.batch_cost import BatchCost, Sample
from budgets.clock import ManualClock
from budgets.job import Work
from budgets.predictor import InlineCost
from fallbacks.breaker import Breaker, BreakerSettings, Ending
from models.classifier import Prediction
from router.assembly import build_app
from router.gauges import watch_rungs
from router.policy.point import ModelRung
from router.telemetry.registry import Metrics
from tests.http_project import write_project
from tests.spine import SURE
from tests.virtual import MS

if TYPE_CHECKING:
    from pathlib import Path

    from router.telemetry.family import ReadingFamily


def predict(*_: object) -> Prediction:
    return SURE


def rung(name: str, *, needs_executor: bool = False) -> ModelRung:
    breaker = Breaker(BreakerSettings(min_calls=1), Random(0))
    if not needs_executor:
        return ModelRung(name, InlineCost(MS, MS), breaker, None, predict=predict, threshold=0.5)
    cost = BatchCost([Sample(1, 60, 8 * MS)])
    return ModelRung(name, cost, breaker, Work(name, cost, lambda _: []), predict=predict, threshold=0.5)


def read(family: ReadingFamily) -> dict[tuple[str, ...], float]:
    return {labels: float(child.read()) for labels, child in family.children.items() if child.read is not None}


def test_each_rung_tells_of_itself() -> None:
    metrics, large, small = Metrics(), rung("large", needs_executor=True), rung("small")
    watch_rungs(metrics, ManualClock(), (large, small))
    assert read(metrics.breaker_state) == {("large",): 0, ("small",): 0}
    costs = read(metrics.rung_cost)
    assert [labels for labels in costs if labels[0] == "small"] == [("small", "0.5"), ("small", "0.99")]
    assert [labels for labels in costs if labels[0] == "large"] == [
        ("large", q) for q in ("0.5", "0.9", "0.99", "0.995")
    ]
    assert costs["small", "0.5"] == 0.001
    assert costs["large", "0.5"] <= costs["large", "0.9"] <= costs["large", "0.99"] <= costs["large", "0.995"]
    assert 0.006 < costs["large", "0.5"] < 0.010
    assert all(math.isnan(share) for share in read(metrics.predictor_coverage).values()), "nothing was predicted yet"
    assert set(read(metrics.predictor_coverage)) == set(costs)
    assert read(metrics.batches) == read(metrics.batch_texts) == {("large",): 0}


def test_what_is_read_is_what_is_now() -> None:
    metrics, large, small = Metrics(), rung("large", needs_executor=True), rung("small")
    watch_rungs(metrics, ManualClock(), (large, small))
    assert large.work is not None
    large.work.batches_total, large.work.texts_total = 3, 7
    small.breaker.record(0, Ending.FAILED, 0)
    small.cost.observe(1, 20, 5 * MS, 0)
    large.cost.observe(1, 60, MS, 0)
    assert read(metrics.breaker_state)["small",] == 2
    assert (read(metrics.batches)["large",], read(metrics.batch_texts)["large",]) == (3, 7)
    coverage = read(metrics.predictor_coverage)
    assert (coverage["small", "0.5"], coverage["small", "0.99"]) == (0, 0)
    assert (coverage["large", "0.5"], coverage["large", "0.995"]) == (1, 1)


def test_what_was_of_the_plan_before_is_forgotten() -> None:
    metrics, clock = Metrics(), ManualClock()
    watch_rungs(metrics, clock, (rung("large", needs_executor=True), rung("small")))
    watch_rungs(metrics, clock, (rung("small"),))
    families = (
        metrics.breaker_state,
        metrics.rung_cost,
        metrics.predictor_coverage,
        metrics.batches,
        metrics.batch_texts,
    )
    assert {labels[0] for family in families for labels in family.children} == {"small"}
    watch_rungs(metrics, clock, ())
    assert not any(family.children for family in families)


def test_the_executors_time_is_told_by_its_use(tmp_path: Path) -> None:
    async def main() -> None:
        app = build_app(write_project(tmp_path, None), log_to_memory=True)
        app.runner.used_ns, app.runner.wasted_ns = 2_500 * MS, 500 * MS
        assert read(app.metrics.executor_seconds) == {("used",): 2.5, ("wasted",): 0.5}
        await app.close()

    asyncio.run(main())
