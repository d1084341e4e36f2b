"""Who takes what: a task that waits seeks a resource, a resource with room seeks a task.

Both are looked for whenever anything changes, so a waiting task and a free resource that fit never stand side by side.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from router.assign import gather
from router.assign.hold import propose
from router.assign.rank import rank_of
from router.assign.score import score_one
from router.assign.transition import TaskState
from router.assign.urgency import ceiling, class_of, priority_of, urgency

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.assign.entity import Resource, Task
    from router.assign.group import Group, Line
    from router.assign.state import State

_SCORED = 64
"""Candidates that are scored at most: the first by the order that holds without scores."""
_AT_ONCE = 100
"""Tasks that one resource is given in one step, some 5 ms: a bot may have room for thousands."""


def seek_resource(state: State, task: Task) -> None:
    """Offer a waiting task to the best of those who are free for it, or let it wait."""
    group = state.index.group_of(task.id)
    if group is None:
        return
    state.index.settle()
    if not group.free or gather.is_gathering(state, task.queue):
        return
    while (resource := _wanted_by_others(state, group, task)) is not None:
        seek_tasks(state, resource)
        if task.state is not TaskState.QUEUED or resource.seek_ns:
            return
    _offer_to_best(state, task)


def _offer_to_best(state: State, task: Task) -> bool:
    """By the queue's ranking, to as many as it asks at the same time. False: nobody is free for it."""
    group = state.index.group_of(task.id)
    if group is None:
        return False
    for resource, rank in list(islice(_ranked(state, group, task), state.queue_policy(task.queue).parallel)):
        if task.state is TaskState.QUEUED or resource.kind == "agent":
            propose(state, task, resource, "order", rank)
        if task.state is TaskState.ASSIGNED:
            break
    return task.state is not TaskState.QUEUED


def _wanted_by_others(state: State, group: Group, task: Task) -> Resource | None:
    """One that this task has just left, and that is somebody else's turn: nobody is passed over by who comes back."""
    for resource, _ in islice(_ranked(state, group, task), state.queue_policy(task.queue).parallel):
        best = _best(state, resource)
        if best is not None and best[0] is not task:
            return resource
    return None


def _ranked(state: State, group: Group, task: Task) -> Iterator[tuple[Resource, str]]:
    """Those who are free for a task, the first to be asked first: preferred ones, then by the queue's ranking."""
    state.index.settle()
    free = (state.resources[key[2]] for key in group.free if not is_excluded(task, key[2], state.now_ns))
    preferred = [state.resources[name] for name in dict.fromkeys(task.preferred) if name in group.members]
    preferred = [each for each in preferred if state.index.is_free(group, each)]
    preferred = [each for each in preferred if not is_excluded(task, each.id, state.now_ns)]
    for resource in preferred:
        yield resource, "preferred"
    queue = state.queue_policy(task.queue)
    rank = rank_of(queue, task.channel)
    if rank == "score":
        scores = state.policy.scores[queue.score or ""]
        some = [each for each in islice(free, _SCORED) if each not in preferred]
        yield from ((each, rank) for each in sorted(some, key=lambda r: -score_one(scores, task, r)))
    else:
        yield from ((each, rank) for each in free if each not in preferred)


def is_excluded(task: Task, resource_id: str, now_ns: int) -> bool:
    until_ns = task.excluded.get(resource_id, 0)
    return until_ns < 0 or until_ns > now_ns


def seek_all(state: State, queue: str) -> None:
    """Match a queue that was gathered without a solver, or what a solver left."""
    now_ns = state.now_ns
    while tasks := list(islice(state.index.candidates(queue), gather.MOST)):
        # The line is sorted without what a target adds as it comes near.
        in_turn = sorted(
            (state.tasks[task_id] for task_id in tasks), key=lambda task: -urgency(state.policy, task, now_ns)
        )
        offered = [_offer_to_best(state, task) for task in in_turn]
        if not any(offered):
            break  # the most urgent ones are excluded from whoever is free
    for task_id in list(islice(state.index.candidates(queue), gather.MOST, 10 * gather.MOST)):
        _offer_to_best(state, state.tasks[task_id])


def seek_tasks(state: State, resource: Resource) -> None:
    """Offer a resource what it has room for, the most urgent first; of very much the rest in the next ticks."""
    if resource.seek_ns:
        resource.seek_ns = 0
        state.touch("resource", resource.id)
    for _ in range(_AT_ONCE):
        if (best := _best(state, resource)) is None:
            return
        task, order = best
        rank = "preferred" if resource.id in task.preferred else rank_of(state.queue_policy(task.queue), task.channel)
        propose(state, task, resource, order, rank)
    resource.seek_ns = state.now_ns
    state.touch("resource", resource.id)


def _best(state: State, resource: Resource) -> tuple[Task, str] | None:
    """Whose turn it is with a resource, and why."""
    policy, now_ns = state.policy, state.now_ns
    best: tuple[int, int, Task, str] | None = None
    ceilings: dict[str, int] = {}  # by class
    gathers: dict[str, bool] = {}  # by queue
    for group in state.index.groups_of(resource):
        if not group.size:
            continue
        queue = group.ask[0]
        if queue not in gathers:
            gathers[queue] = gather.is_gathering(state, queue)
        if gathers[queue]:
            continue
        for service_class, line in group.lines.items():
            if service_class not in ceilings:
                ceilings[service_class] = ceiling(policy, service_class, now_ns)
            head = line.by_order.first
            if head is None or (best is not None and (ceilings[service_class] - head[0], -head[1]) < best[:2]):
                continue
            for task, order in _heads(state, group, line, resource):
                mine = (urgency(policy, task, now_ns), -task.number, task, order)
                if best is None or mine[:2] > best[:2]:
                    best = mine
    return None if best is None else best[2:]


def _heads(state: State, group: Group, line: Line, resource: Resource) -> Iterator[tuple[Task, str]]:
    """The candidates of a line: the most urgent by order and by target, or with scores the best one."""
    first = next(_open_to(state, line, resource), None)
    if first is None:
        return
    queue = state.queue_policy(group.signature.queue)
    if rank_of(queue, group.signature.channel) == "score":
        yield _best_scored(state, first, islice(_open_to(state, line, resource), 1, _SCORED), resource)
        return
    yield first, "priority" if priority_of(state.policy, first) else "order"
    key = line.by_target.first if class_of(state.policy, first.service_class).boost_s else None
    if key is not None and key[2] != first.id:
        nearest = state.tasks[key[2]]
        if not is_excluded(nearest, resource.id, state.now_ns):
            yield nearest, "deadline"


def _open_to(state: State, line: Line, resource: Resource) -> Iterator[Task]:
    """The tasks of a line that are not kept from a resource."""
    for key in line.by_order:
        task = state.tasks[key[2]]
        if not is_excluded(task, resource.id, state.now_ns):
            yield task


def _best_scored(state: State, first: Task, others: Iterator[Task], resource: Resource) -> tuple[Task, str]:
    """The task that goes best with a resource, among those that are not overtaken by too much."""
    queue = state.queue_policy(first.queue)
    scores, guard_ns = state.policy.scores[queue.score or ""], int(queue.max_overtake_s * 1e9)
    best, best_score = first, score_one(scores, first, resource)
    for task in others:
        if task.queued_ns - first.queued_ns <= guard_ns:
            score = score_one(scores, task, resource)
            if score > best_score:
                best, best_score = task, score
    return best, "order" if best is first else "score"
