"""Who takes what: a task that waits seeks a resource, a resource with room seeks a task.

Both are looked for whenever anything changes, so a waiting task and a free resource that fit never stand side by side.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from router.assign import gather
from router.assign.entity import Assignment, Offer
from router.assign.index import rank_of
from router.assign.score import score_one
from router.assign.transition import (
    ASSIGNMENT,
    TASK,
    AssignmentMove,
    OfferState,
    TaskMove,
    TaskState,
    follow,
)
from router.assign.urgency import priority_of, urgency

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.assign.entity import Resource, Task
    from router.assign.index import Group
    from router.assign.state import State

_SCORED = 64
"""Candidates that are scored at most: the first by the order that holds without scores."""
_OFFERS_KEPT = 16
"""Of a task: older ones that are settled are forgotten; their events stay."""


def seek_resource(state: State, task: Task) -> None:
    """Offer a waiting task to the best of those who are free for it, or let it wait."""
    group = state.index.group_of(task.id)
    if group is None or not group.free or gather.is_gathering(state, task.queue):
        return
    while (resource := _wanted_by_others(state, group, task)) is not None:
        seek_tasks(state, resource)
        if task.state is not TaskState.QUEUED:
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
    while tasks := list(islice(state.index.candidates(queue), gather.MOST)):
        offered = [_offer_to_best(state, state.tasks[task_id]) for task_id in tasks]
        if not any(offered):
            break  # the most urgent ones are excluded from whoever is free
    for task_id in list(state.index.candidates(queue)):
        _offer_to_best(state, state.tasks[task_id])


def seek_tasks(state: State, resource: Resource) -> None:
    """Offer a resource what it has room for, the most urgent first."""
    while (best := _best(state, resource)) is not None:
        task, order = best
        rank = "preferred" if resource.id in task.preferred else rank_of(state.queue_policy(task.queue), task.channel)
        propose(state, task, resource, order, rank)


def _best(state: State, resource: Resource) -> tuple[Task, str] | None:
    """Whose turn it is with a resource, and why."""
    best: tuple[int, int, Task, str] | None = None
    for group in list(state.index.groups_of(resource)):
        if not group.size or gather.is_gathering(state, group.signature.queue):
            continue
        for task, order in _heads(state, group, resource):
            mine = (urgency(state.policy, task, state.now_ns), -task.number, task, order)
            if best is None or mine[:2] > best[:2]:
                best = mine
    return None if best is None else best[2:]


def _heads(state: State, group: Group, resource: Resource) -> Iterator[tuple[Task, str]]:
    """The candidates of a group: of each class the most urgent by order and by target, and with scores the best one."""
    queue = state.queue_policy(group.signature.queue)
    is_scored = rank_of(queue, group.signature.channel) == "score"
    for line in group.lines.values():
        wanted = (state.tasks[key[2]] for key in line.by_order)
        open_to_it = (task for task in wanted if not is_excluded(task, resource.id, state.now_ns))
        first = next(open_to_it, None)
        if first is None:
            continue
        if is_scored:
            yield _best_scored(state, first, islice(open_to_it, _SCORED - 1), resource)
            continue
        yield first, "priority" if priority_of(state.policy, first) else "order"
        key = line.by_target.first
        if key is not None and key[2] != first.id:
            nearest = state.tasks[key[2]]
            if not is_excluded(nearest, resource.id, state.now_ns):
                yield nearest, "deadline"


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


def propose(state: State, task: Task, resource: Resource, order: str, rank: str) -> None:
    """Offer a task to a resource, or, where that accepts by itself, assign it."""
    channel = state.channel(task.channel)
    state.index.displace(task)
    number = task.offers_total = task.offers_total + 1
    resource.offered_ns = state.now_ns
    _ramp(state, resource)
    weight = state.hold(resource, task)
    offer = Offer(
        id=f"{task.id}-{number}", task_id=task.id, resource_id=resource.id, issued_ns=state.now_ns,
        expires_ns=state.now_ns + int(channel.offer_s * 1e9), weight=weight, fence=resource.epoch, order=order,
        rank=rank,
    )  # fmt: skip
    if resource.kind != "agent" or rank == "force":
        offer.state, offer.settled_ns = OfferState.ACCEPTED, state.now_ns
        keep(task, offer)
        assign(state, task, offer, TaskMove.TAKE)
        return
    keep(task, offer)
    if task.state is TaskState.QUEUED:
        task.state = follow(TASK, task.state, TaskMove.OFFER, f"task {task.id}")
    state.tell(
        "offer.issued", task, offer_id=offer.id, resource_id=resource.id, queue=task.queue, order=order, rank=rank,
        expires_ns=offer.expires_ns, weight=weight,
    )  # fmt: skip


def keep(task: Task, offer: Offer) -> None:
    """Add an offer; forget the oldest that are settled."""
    task.offers.append(offer)
    settled = [each for each in task.offers if each.state is not OfferState.PENDING]
    for each in settled[: max(0, len(task.offers) - _OFFERS_KEPT)]:
        task.offers.remove(each)


def assign(state: State, task: Task, offer: Offer, move: TaskMove) -> None:
    """The offer's resource has the task. Its capacity is held already."""
    resource = state.resources[offer.resource_id]
    now_ns = state.now_ns
    state.index.step_out(task)
    task.state = follow(TASK, task.state, move, f"task {task.id}")
    resource.missed = 0
    task.ttl_ns = now_ns + int(task.ttl_s * 1e9)
    task.step_ns = task.trigger_ns = 0
    task.excluded = {name: until for name, until in task.excluded.items() if until < 0}
    is_automatic = resource.kind == "bot"
    task.turns = task.failed_turns = 0
    task.assignment = Assignment(
        id=offer.id, resource_id=resource.id, started_ns=now_ns, weight=offer.weight, fence=task.version + 1,
        ends_ns=now_ns + int(state.policy.bot.max_s * 1e9) if is_automatic else 0, is_forced=offer.rank == "force",
    )  # fmt: skip
    expect_customer(state, task)
    state.tell(
        "task.assigned", task, offer_id=offer.id, resource_id=resource.id, kind=resource.kind, queue=task.queue,
        waited_s=(now_ns - task.entered_ns) / 1e9, age_s=(now_ns - task.queued_ns) / 1e9, order=offer.order,
        rank=offer.rank, weight=offer.weight, target_s=task.target_s, leg=task.leg, is_callback=task.is_callback,
    )  # fmt: skip


def expect_customer(state: State, task: Task) -> None:
    """The customer was heard now: the times without a word begin again."""
    pause_s = state.channel(task.channel).pause_after_s
    if task.customer_lease_ns:
        task.customer_until_ns = state.now_ns + task.customer_lease_ns
    is_held = task.assignment is not None and task.state is TaskState.ASSIGNED
    task.pause_ns = state.now_ns + int(pause_s * 1e9) if pause_s and is_held else 0
    state.touch("task", task.id)


def let_go(state: State, task: Task, reason: str) -> Resource:
    """End an assignment that is not finished; the task waits again afterwards. Returns who had it."""
    assignment = task.assignment
    assert assignment is not None  # noqa: S101 - the caller looked
    assignment.state = follow(ASSIGNMENT, assignment.state, AssignmentMove.RELEASE, f"assignment {assignment.id}")
    resource = state.resources[assignment.resource_id]
    resource.released_ns = state.now_ns
    state.release(resource, task, assignment.weight)
    task.assignment, task.pause_ns = None, 0
    task.state = follow(TASK, task.state, TaskMove.RELEASE, f"task {task.id}")
    task.leg += 1
    state.tell(
        "task.released", task, resource_id=resource.id, kind=resource.kind, queue=task.queue, reason=reason,
        handled_s=(state.now_ns - assignment.started_ns) / 1e9, weight=assignment.weight,
    )  # fmt: skip
    return resource


def _ramp(state: State, resource: Resource) -> None:
    """Count a new task against the morning flood; past the bound the resource is left alone for a while."""
    ramp = state.policy.ramp
    if not ramp.most or resource.kind != "agent":
        return
    now_ns, window_ns = state.now_ns, int(ramp.window_s * 1e9)
    if now_ns >= resource.available_ns + int(ramp.during_s * 1e9):
        resource.recent_ns.clear()
        return
    resource.recent_ns.append(now_ns)
    del resource.recent_ns[: -ramp.most]
    if len(resource.recent_ns) == ramp.most and resource.recent_ns[0] > now_ns - window_ns:
        resource.ramp_ns = resource.recent_ns[0] + window_ns
