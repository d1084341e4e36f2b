from __future__ import annotations

import pytest

from budgets.ledger import STAGES, Stage
from router.telemetry.family import MAX_CHILDREN, HistogramFamily
from router.telemetry.registry import Metrics

MS = 1_000_000


def stages(**ns: int) -> list[int]:
    return [ns.get(stage, 0) for stage in STAGES]


def test_a_decision_counts_once_in_each_place() -> None:
    metrics = Metrics()
    for met in (True, True, False):
        metrics.observe_decision("interactions", "small", "none", "model", 4 * MS, met, stages(infer=3 * MS, parse=MS))
    assert metrics.requests.child("interactions", "small", "none", "model").value == 3
    assert metrics.budget_met.child("interactions").value == 2
    assert metrics.budget_missed.child("interactions").value == 1
    elapsed = metrics.request_seconds.child("interactions")
    assert (elapsed.count, elapsed.sum) == (3, 12 * MS)
    assert metrics.stage_seconds.child("infer").sum == 9 * MS


def test_a_stage_that_was_not_entered_is_not_counted() -> None:
    metrics = Metrics()
    metrics.observe_decision("interactions", "small", "none", "model", MS, True, stages(infer=MS))
    assert metrics.stage_seconds.child(STAGES[Stage.INFER]).count == 1
    assert metrics.stage_seconds.child(STAGES[Stage.QUEUE]).count == 0


def test_stages_must_be_complete() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Metrics().observe_decision("interactions", "small", "none", "model", MS, True, [MS])


def test_an_unbounded_point_cannot_grow_the_metrics() -> None:
    metrics = Metrics()
    for number in range(2 * MAX_CHILDREN):
        metrics.observe_decision(str(number), "small", "none", "model", MS, True, stages(infer=MS))
    assert len(metrics.requests.children) == MAX_CHILDREN + 1
    assert len(metrics.request_seconds.children) == MAX_CHILDREN + 1
    assert len(metrics._decisions) == MAX_CHILDREN
    assert sum(child.value for child in metrics.requests.children.values()) == 2 * MAX_CHILDREN


def test_an_undeclared_rung_is_counted_as_other() -> None:
    metrics = Metrics()
    metrics.observe_decision("interactions", "huge", "none", "model", MS, True, stages(infer=MS))
    assert metrics.requests.child("interactions", "other", "none", "model").value == 1


def test_codes_of_refusals_are_bounded() -> None:
    refused = Metrics().refused
    for number in range(100):
        refused.child(f"code-{number}").inc()
    assert len(refused.children) == 61
    assert refused.child("other").value == 40


def test_a_new_plan_replaces_the_info_line() -> None:
    metrics = Metrics()
    metrics.set_info("1.0", "plan-a")
    metrics.set_info("1.0", "plan-b")
    assert list(metrics.info.children) == [("1.0", "plan-b")]


def test_names_are_unique_and_say_their_unit() -> None:
    families = Metrics().families()
    names = [family.name for family in families]
    assert len(set(names)) == len(names) > 15
    for family in families:
        assert family.name.startswith("takt_")
        assert not isinstance(family, HistogramFamily) or family.name.endswith("_seconds")


def test_each_advertised_budget_is_an_edge() -> None:
    edges_ms = [edge / MS for edge in Metrics().request_seconds.child("p").edges]
    assert edges_ms == [1, 2, 5, 10, 20, 25, 50, 75, 100, 150, 200, 250, 500, 1000]
