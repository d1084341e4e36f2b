"""Linear scores: what each feature counts."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from router.assign.entity import Resource, Task
from router.assign.policy import ScorePolicy
from router.assign.score import find_unknown, parse, score_one
from router.assign.transition import TaskState


def task_of(**given: Any) -> Task:
    facts: dict[str, Any] = {
        "channel": "chat",
        "queue": "cards",
        "number": 1,
        "weight": 1,
        "created_ns": 0,
        "ttl_ns": 0,
    }
    return Task(id="t1", state=TaskState.QUEUED, ttl_s=1.0, **(facts | given))


ANA = Resource(
    id="ana", skills={"french": 4, "billing": 2}, cost=2.5, success=0.8,
    attributes={"senior": True, "team": "red", "age.years": 30, "broken": nan, "huge": 10**400, "list": [1]},
)  # fmt: skip
TASK = task_of(
    priority=3,
    skills={"french": 2},
    service_class="gold",
    context={"value": 80, "vip": True, "language": "fr", "no": False},
)


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("agent.skill.french", 4.0),
        ("agent.skill.german", 0.0),
        ("agent.attributes.senior", 1.0),
        ("agent.attributes.age.years", 30.0),
        ("agent.attributes.team", 0.0),
        ("agent.attributes.team=red", 1.0),
        ("agent.attributes.team=blue", 0.0),
        ("agent.attributes.gone=blue", 0.0),
        ("agent.attributes.broken", 0.0),
        ("agent.attributes.huge", 0.0),
        ("agent.attributes.list", 0.0),
        ("agent.kind=agent", 1.0),
        ("agent.cost", 2.5),
        ("agent.success", 0.8),
        ("task.priority", 3.0),
        ("task.skill.french", 2.0),
        ("task.channel=chat", 1.0),
        ("task.service_class=gold", 1.0),
        ("task.context.value", 80.0),
        ("task.context.vip", 1.0),
        ("task.context.no", 0.0),
        ("task.context.language=fr", 1.0),
        ("task.priority * agent.skill.french", 12.0),
        ("agent.skill.billing * agent.skill.french", 8.0),
        ("task.context.language=fr * agent.skill.french * task.priority", 12.0),
    ],
)
def test_what_a_feature_counts(feature: str, value: float) -> None:
    assert score_one(ScorePolicy(weights={feature: 1.0}), TASK, ANA) == value
    assert find_unknown([feature]) == []


def test_bias_and_weights_add_up() -> None:
    score = ScorePolicy(bias=0.5, weights={"agent.skill.french": 0.1, "task.priority": -0.2})
    assert score_one(score, TASK, ANA) == pytest.approx(0.5 + 0.4 - 0.6)


def test_infinite_counts_as_missing() -> None:
    assert score_one(ScorePolicy(weights={"task.context.value": 2.0}), task_of(context={"value": inf}), ANA) == 0.0


@pytest.mark.parametrize(
    "text",
    ["", "french", "agent", "agent.", "agent.skill", "agent.skill.", "agent.skills.french", "task.attributes.x",
     "agent.priority", "task.priority*agent.cost", "task.priority * ", "task.priority.x", "customer.context.x"],
)  # fmt: skip
def test_what_is_no_feature_is_told_and_counts_nothing(text: str) -> None:
    assert parse(text) is None
    (told,) = find_unknown([text])
    assert repr(text) in told
    assert "agent.skill.NAME" in told
    assert score_one(ScorePolicy(bias=1.0, weights={text: 5.0}), TASK, ANA) == 1.0


def test_a_model_that_the_engine_does_not_run_prefers_nobody() -> None:
    assert score_one(ScorePolicy(kind="onnx", file="m.onnx"), TASK, ANA) == 0.0
