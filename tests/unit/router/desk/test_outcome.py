"""Models of an outcome: what a file must be, and that a good one says of pairs what a linear score says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.errors import BadFile, BadOutput
from router.assign.entity import Resource, Task
from router.assign.policy import ScorePolicy
from router.assign.transition import TaskState
from router.desk.outcome import BadModel, OutcomeModel
from router.desk.pairing import read_sides, score_all
from tests.outcomes import write_outcome

WEIGHTS = {"task.priority": 0.5, "agent.skill.french": 0.25, "task.context.language=fr * agent.skill.french": 2.0}
TASKS = [
    Task(
        id=f"t{number}", number=number, channel="chat", queue="cards", priority=number, weight=1, created_ns=0,
        ttl_s=1.0, ttl_ns=0, state=TaskState.QUEUED, context={"language": "fr" if number % 2 else "de"},
    )
    for number in range(3)
]  # fmt: skip
AGENTS = [Resource(id=f"a{level}", skills={"french": level}) for level in range(4)]


@pytest.mark.parametrize("columns", [1, 2])
def test_it_scores_pairs_as_the_linear_model_it_holds(tmp_path: Path, columns: int) -> None:
    model = OutcomeModel(write_outcome(tmp_path / "m.onnx", WEIGHTS, columns=columns))
    scores = model.predict(read_sides(model.terms, TASKS, AGENTS))
    assert scores.shape == (3, 4)
    np.testing.assert_allclose(scores, score_all(ScorePolicy(weights=WEIGHTS), TASKS, AGENTS), rtol=1e-6)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("", "a JSON list"),
        ('{"task.priority": 1}', "a JSON list"),
        ('["task.priority", "agent.french", "agent.cost"]', "'agent.french' is no feature"),
        ('["task.priority"]', "float32[pairs, 1]"),
    ],
)
def test_a_file_that_does_not_say_what_it_wants_is_refused(tmp_path: Path, metadata: str, said: str) -> None:
    path = write_outcome(tmp_path / "m.onnx", WEIGHTS, metadata=metadata)
    with pytest.raises(BadModel) as refused:
        OutcomeModel(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_no_file_and_no_graph(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="No such file"):
        OutcomeModel(tmp_path / "m.onnx")
    (tmp_path / "m.onnx").write_bytes(b"nonsense")
    with pytest.raises(BadFile):
        OutcomeModel(tmp_path / "m.onnx")


def test_nonsense_is_not_matched_with(tmp_path: Path) -> None:
    model = OutcomeModel(write_outcome(tmp_path / "m.onnx", {"task.priority": float("nan")}))
    with pytest.raises(BadOutput):
        model.predict(read_sides(model.terms, TASKS, AGENTS))
