"""What a matching is about: read from a running engine, and the same as pair by pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from router.assign.command import CreateTask, PutResource, Tick
from router.assign.engine import Engine
from router.assign.gather import Matching
from router.assign.policy import Policy, QueuePolicy, ScorePolicy
from router.assign.score import score_one
from router.desk.pairing import Meeting, meet, prefer, rank_all, score_all
from tests.virtual_desk import agent, create, never, present

S = 1_000_000_000
START_NS = 1_700_000_000 * S


def engine_of(*agents: PutResource, **queue: Any) -> Engine:
    """A queue that gathers for 100 ms, and its agents, who became available one second after the other."""
    policy = Policy(queues={"cards": QueuePolicy(window_ms=100.0, **queue)})
    engine = Engine(never, policy)
    for number, each in enumerate(agents):
        engine.step(each, START_NS + number * S)
        engine.step(present(each.id), START_NS + number * S)
    return engine


def matching_of(engine: Engine, *tasks: CreateTask, now_ns: int = START_NS + 10 * S) -> Matching:
    for task in tasks:
        engine.step(task, now_ns)
    (matching,) = engine.step(Tick(), now_ns + S // 10).matchings
    return matching


def meeting_of(engine: Engine, *tasks: CreateTask) -> Meeting:
    return meet(engine.state, matching_of(engine, *tasks))


def test_who_may_have_what() -> None:
    engine = engine_of(agent("ana", skills={"french": 3}), agent("ben"), agent("cy"))
    tasks = [create("t1", skills={"french": 2}), create("t2"), create("t3", excluded=("ben",))]
    meeting = meeting_of(engine, *tasks)
    assert [task.id for task in meeting.tasks] == ["t1", "t2", "t3"]
    columns = [resource.id for resource in meeting.resources]
    allowed = {
        (task.id, name)
        for row, task in enumerate(meeting.tasks)
        for column, name in enumerate(columns)
        if meeting.problem.allowed[row, column]
    }
    assert allowed == {("t1", "ana"), ("t2", "ana"), ("t2", "ben"), ("t2", "cy"), ("t3", "ana"), ("t3", "cy")}


def test_how_urgent_and_how_idle() -> None:
    engine = engine_of(agent("ana"), agent("ben"), urgency_share=0.3, fairness_share=0.2, max_overtake_s=45.0)
    _, resources, problem = meeting_of(engine, create("t1", priority=2), create("t2"))
    assert problem.age_s == pytest.approx([120.1, 0.1]), "a priority is worth 60 s"
    assert problem.urgency_s[0] - problem.urgency_s[1] == pytest.approx(120.0)
    idle = {resource.id: idle_s for resource, idle_s in zip(resources, problem.idle_s, strict=True)}
    assert idle == pytest.approx({"ana": 10.1, "ben": 9.1})
    assert (problem.urgency_share, problem.fairness_share, problem.max_overtake_s) == (0.3, 0.2, 45.0)


def test_what_has_changed_meanwhile_is_left_out() -> None:
    engine = engine_of(agent("ana"), agent("ben"))
    matching = matching_of(engine, create("t1"), create("t2"))
    gone = matching._replace(task_ids=("t1", "never"), resource_ids=("ana", "nobody"))
    engine.step(present("ana", "away"), START_NS + 11 * S)
    meeting = meet(engine.state, gone)
    assert [task.id for task in meeting.tasks] == ["t1"]
    assert [resource.id for resource in meeting.resources] == ["ana"]
    assert not meeting.problem.allowed.any(), "away"


def test_who_declined_is_left_out_for_as_long_as_that_holds() -> None:
    engine = engine_of(agent("ana"), agent("ben"), agent("cy"))
    matching = matching_of(engine, create("t1"), create("t2"))
    now_ns = engine.state.now_ns
    engine.state.tasks["t1"].excluded = {"ana": now_ns + 1, "ben": now_ns, "gone": -1}
    _, resources, problem = meet(engine.state, matching)
    allowed = dict(zip([each.id for each in resources], problem.allowed[0].tolist(), strict=True))
    assert allowed == {"ana": False, "ben": True, "cy": True}


def test_all_scores_are_the_scores_of_each() -> None:
    engine = engine_of(
        agent("ana", skills={"french": 3}, attributes={"team": "red"}), agent("ben", skills={"french": 1}, cost=2.0)
    )
    tasks, resources, _ = meeting_of(engine, create("t1", context={"language": "fr"}), create("t2", priority=4))
    score = ScorePolicy(
        bias=0.5,
        weights={
            "task.context.language=fr * agent.skill.french": 1.5, "agent.cost": -0.1, "task.priority": 0.2,
            "agent.attributes.team=red * agent.skill.french": 0.7, "no.feature": 9.0,
        },
    )  # fmt: skip
    expected = [[score_one(score, task, resource) for resource in resources] for task in tasks]
    np.testing.assert_allclose(score_all(score, tasks, resources), expected)
    np.testing.assert_allclose(score_all(ScorePolicy(bias=0.5), tasks, resources), np.full((2, 2), 0.5))


@pytest.mark.parametrize(
    ("rank", "order"),
    [("longest_idle", ["ana", "ben", "cy"]), ("cost", ["cy", "ben", "ana"]), ("least_load", ["ben", "cy", "ana"])],
)
def test_without_a_model_the_ranking_scores(rank: str, order: list[str]) -> None:
    engine = engine_of(agent("ana", cost=3.0), agent("ben", cost=2.0), agent("cy", cost=1.0), rank=rank)
    tasks, resources, _ = meeting_of(engine, create("t1"), create("t2"))
    next(each for each in resources if each.id == "ana").used = 1
    scores = rank_all(engine.state.queue_policy("cards"), tasks, resources)
    assert sorted(scores[0].tolist(), reverse=True) == [1.0, 0.5, 0.0]
    by_score = sorted(zip(-scores[0], [each.id for each in resources], strict=True))
    assert [name for _, name in by_score] == order
    assert (scores[0] == scores[1]).all()
    assert rank_all(engine.state.queue_policy("cards"), tasks, resources[:1]).tolist() == [[1.0], [1.0]]


def test_the_preferred_are_above_all_others() -> None:
    engine = engine_of(agent("ana"), agent("ben"), agent("cy"), fairness_share=3.0)
    meeting = meeting_of(engine, create("t1", preferred=("cy", "gone", "ben")), create("t2"))
    columns = {resource.id: column for column, resource in enumerate(meeting.resources)}
    scores = np.array([[5.0, -5.0, 0.0], [5.0, -5.0, 0.0]])[:, [columns["ana"], columns["ben"], columns["cy"]]]
    preferred = prefer(meeting._replace(problem=meeting.problem._replace(scores=scores))).problem.scores
    assert preferred[0, columns["cy"]] > preferred[0, columns["ben"]] + 3.0
    assert preferred[0, columns["ben"]] > preferred[0, columns["ana"]] + 3.0
    assert (preferred[1] == scores[1]).all()
