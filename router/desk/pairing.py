"""What a matching is about, as arrays: who may take what, what each pair is worth. Read on the event loop, in bulk.

Values are read once for each task and once for each resource; pairs are products of the two, computed by numpy. So
200 x 200 pairs cost what 400 single scores do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from router.assign.match import is_excluded
from router.assign.rank import free_key, idle_since
from router.assign.score import parse, value_of
from router.assign.urgency import priority_of, urgency
from router.desk.solve import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from router.assign.entity import Resource, Task
    from router.assign.gather import Matching
    from router.assign.group import Group
    from router.assign.policy import QueuePolicy, ScorePolicy
    from router.assign.score import Term
    from router.assign.state import State

_NS_PER_S = 1e9
_UNITS_PER_S = 1e12
"""Of an urgency (router/assign/urgency.py)."""


class Sides(NamedTuple):
    """What tasks and resources have of some terms: a pair's value of a term is the product of its two entries."""

    tasks: NDArray[np.float64]
    """[tasks, terms]"""
    resources: NDArray[np.float64]
    """[resources, terms]"""


class Meeting(NamedTuple):
    """Those of a matching who still are there to be matched, and the problem, its scores all 0 as yet."""

    tasks: list[Task]
    resources: list[Resource]
    problem: Problem


def meet(state: State, matching: Matching) -> Meeting:
    """Read a matching's tasks and resources. What has changed since it was asked for is left out."""
    index = state.index
    groups = {task_id: group for task_id in matching.task_ids if (group := index.group_of(task_id)) is not None}
    tasks = [state.tasks[task_id] for task_id in groups]
    resources = [state.resources[each] for each in matching.resource_ids if each in state.resources]
    queue = state.queue_policy(matching.queue)
    problem = Problem(
        scores=np.zeros((len(tasks), len(resources))),
        allowed=_allowed(state, tasks, resources, list(groups.values())),
        urgency_s=np.array([urgency(state.policy, task, state.now_ns) / _UNITS_PER_S for task in tasks]),
        age_s=np.array([_seniority_s(state, task) for task in tasks]),
        idle_s=np.array([_idle_s(state, queue, resource) for resource in resources]),
        urgency_share=queue.urgency_share,
        fairness_share=queue.fairness_share,
        max_overtake_s=queue.max_overtake_s,
    )
    return Meeting(tasks, resources, problem)


def read_sides(terms: Sequence[Term], tasks: Sequence[Task], resources: Sequence[Resource]) -> Sides:
    """The values of some terms. Cost: about 1 us for each feature of each task and resource."""
    of_tasks, of_resources = np.ones((len(tasks), len(terms))), np.ones((len(resources), len(terms)))
    for column, term in enumerate(terms):
        if term.task:
            of_tasks[:, column] = [value_of(term.task, task) for task in tasks]
        if term.agent:
            of_resources[:, column] = [value_of(term.agent, resource) for resource in resources]
    return Sides(of_tasks, of_resources)


def score_all(score: ScorePolicy, tasks: Sequence[Task], resources: Sequence[Resource]) -> NDArray[np.float64]:
    """`score_one` of every pair: float64[tasks, resources]."""
    weighted = [(term, weight) for text, weight in score.weights.items() if (term := parse(text)) is not None]
    if not weighted:
        return np.full((len(tasks), len(resources)), score.bias)
    sides = read_sides([term for term, _ in weighted], tasks, resources)
    scores: NDArray[np.float64] = (sides.tasks * [weight for _, weight in weighted]) @ sides.resources.T + score.bias
    return scores


def rank_all(queue: QueuePolicy, tasks: Sequence[Task], resources: Sequence[Resource]) -> NDArray[np.float64]:
    """Scores where there is no model: 1 for whom the queue's ranking asks first, in even steps down to 0."""
    by_channel = {channel: _places(queue, channel, resources) for channel in {task.channel for task in tasks}}
    return np.array([by_channel[task.channel] for task in tasks]).reshape(len(tasks), len(resources))


def prefer(meeting: Meeting) -> Meeting:
    """Raise the scores of preferred resources above all others of their task, the first one named the most."""
    tasks, resources, problem = meeting
    columns = {resource.id: column for column, resource in enumerate(resources)}
    scores = problem.scores.copy()
    step = np.ptp(scores) + problem.fairness_share + 1.0 if scores.size else 0.0
    for row, task in enumerate(tasks):
        for place, resource_id in enumerate(reversed(task.preferred), 1):
            if resource_id in columns:
                scores[row, columns[resource_id]] += place * step
    return meeting._replace(problem=problem._replace(scores=scores))


def _places(queue: QueuePolicy, channel: str, resources: Sequence[Resource]) -> NDArray[np.float64]:
    order = sorted(range(len(resources)), key=lambda at: free_key(queue, channel, resources[at]))
    places = np.empty(len(resources))
    places[order] = np.linspace(1.0, 0.0, len(resources)) if len(resources) > 1 else 1.0
    return places


def _allowed(
    state: State, tasks: Sequence[Task], resources: Sequence[Resource], groups: Sequence[Group]
) -> NDArray[np.bool_]:
    """Who is free for what: once for each group, less those whom a task excludes."""
    is_free = state.index.is_free
    free = {id(group): [is_free(group, resource) for resource in resources] for group in set(groups)}
    allowed = np.array([free[id(group)] for group in groups], bool).reshape(len(tasks), len(resources))
    columns = {resource.id: column for column, resource in enumerate(resources)}
    for row, task in enumerate(tasks):
        for resource_id in task.excluded:
            if resource_id in columns and is_excluded(task, resource_id, state.now_ns):
                allowed[row, columns[resource_id]] = False
    return allowed


def _seniority_s(state: State, task: Task) -> float:
    """Its age and what its priority is worth in seconds of waiting: the guard is against scores, not priorities."""
    age_s = (state.now_ns - task.queued_ns) / _NS_PER_S
    return age_s + priority_of(state.policy, task) * state.policy.priority_s


def _idle_s(state: State, queue: QueuePolicy, resource: Resource) -> float:
    since_ns = idle_since(queue, resource) or state.now_ns
    return (state.now_ns - since_ns) / _NS_PER_S
