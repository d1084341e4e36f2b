"""Out of one pair of hands, or one queue, into another: requeue, transfer, escalate, hand off, postpone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.assign import line
from router.assign.entity import Offer, Task
from router.assign.errors import BadCommand, Conflict, StaleFence
from router.assign.match import assign, is_excluded, keep, let_go, seek_tasks
from router.assign.offering import holders, withdraw
from router.assign.transition import TERMINAL, WAITING, OfferState, Presence, TaskMove, TaskState

if TYPE_CHECKING:
    from router.assign.command import EscalateTask, PostponeTask, RequeueTask, TransferTask
    from router.assign.entity import Resource
    from router.assign.state import State

PEOPLE = ("agent",)


def requeue(state: State, command: RequeueTask) -> str:
    """Out of its hands, back to its queue."""
    task = state.task(command.task_id)
    return move(state, task, task.queue, "requeued", is_excluding=command.is_excluding)


def transfer(state: State, command: TransferTask) -> str:
    task = state.task(command.task_id)
    queue = command.queue or task.queue
    state.queue_policy(queue)
    target = state.resource(command.resource_id) if command.resource_id else None
    if not command.queue and target is None:
        raise BadCommand("queue or resource_id: one of them is needed")
    if target is not None and not command.is_forced and queue not in target.queues:
        raise Conflict(f"resource {target.id} is not in queue {queue}; name one of {', '.join(target.queues)[:200]}")
    if target is not None and command.is_forced and target.presence is Presence.OFFLINE:
        raise Conflict(f"resource {target.id} is offline")
    _check_movable(task)
    task.context.update(command.context)
    if command.is_age_reset:
        task.queued_ns = task.target_ns = 0
        task.is_late = False
    if target is None:
        return move(state, task, queue, "transferred", is_excluding=True)
    task.excluded.pop(target.id, None)
    task.preferred = (target.id, *(name for name in task.preferred if name != target.id))
    if not command.is_forced:
        return move(state, task, queue, "transferred", is_excluding=True, resource_id=target.id)
    freed = _pick_up(state, task, "transferred")
    _force(state, task, queue, target)
    for resource in freed:
        seek_tasks(state, resource)
    return task.id


def _force(state: State, task: Task, queue: str, target: Resource) -> None:
    """A supervisor's word: whatever the target's presence, capacity and skills."""
    task.queue, task.open_ns = queue, 0
    task.entered_ns, task.queued_ns = state.now_ns, task.queued_ns or state.now_ns
    task.state = TaskState.QUEUED
    state.index.line_up(task)
    task.offers_total += 1
    weight = state.hold(target, task)
    offer = Offer(
        id=f"{task.id}-{task.offers_total}", task_id=task.id, resource_id=target.id, state=OfferState.ACCEPTED,
        issued_ns=state.now_ns, expires_ns=state.now_ns, settled_ns=state.now_ns, weight=weight, fence=target.epoch,
        order="preferred", rank="force",
    )  # fmt: skip
    keep(task, offer)
    state.tell("task.transferred", task, queue=queue, resource_id=target.id, leg=task.leg)
    assign(state, task, offer, TaskMove.TAKE)


def escalate(state: State, command: EscalateTask) -> str:
    """From a bot to people, with all it knows. A bot that speaks after its hand-off is refused by its fence."""
    task = state.task(command.task_id)
    check_fence(task, command.fence)
    if command.queue:
        state.queue_policy(command.queue)
    _check_movable(task)
    task.context.update(command.context)
    return hand_off(state, task, command.queue, command.reason)


def hand_off(state: State, task: Task, queue: str, reason: str) -> str:
    """One step: out of the bot's hands, into a queue where people answer."""
    _check_movable(task)
    queue = queue or state.queue_policy(task.queue).escalate_to or task.queue
    task.kinds = PEOPLE
    return move(state, task, queue, "escalated", is_excluding=False, reason=reason)


def postpone(state: State, command: PostponeTask) -> str:
    """A callback: it keeps its age, and its place until its time comes."""
    task = state.task(command.task_id)
    if task.state not in {*WAITING, TaskState.SCHEDULED}:
        raise Conflict(f"task {task.id} is {task.state.value}: only a waiting one can become a callback")
    task.is_callback = True
    task.customer_lease_ns = task.customer_until_ns = 0
    if command.open_ns <= state.now_ns:
        state.tell("task.updated", task, is_callback=True, queue=task.queue)
        return task.id
    freed = holders(state, task)
    withdraw(state, task, "postponed")
    line.leave(state, task)
    task.open_ns = command.open_ns
    task.ttl_ns = max(task.ttl_ns, command.open_ns + int(task.ttl_s * 1e9))
    line.enter(state, task, task.queue, "postponed")
    for resource in freed:
        seek_tasks(state, resource)
    return task.id


def check_fence(task: Task, fence: int | None) -> None:
    """Raises: StaleFence: the speaker does not hold the task any more, or holds it anew."""
    if fence is not None and (task.assignment is None or task.assignment.fence != fence):
        raise StaleFence(f"task {task.id} went on: the fence {fence} is not that of its assignment")


def _check_movable(task: Task) -> None:
    if task.state in TERMINAL or task.state is TaskState.WRAPPING:
        raise Conflict(f"task {task.id} is {task.state.value}: it can't be moved")


def move(state: State, task: Task, queue: str, cause: str, *, is_excluding: bool, **data: Any) -> str:  # noqa: ANN401
    """Into a queue, from wherever it is."""
    _check_movable(task)
    before = task.queue
    freed = _pick_up(state, task, cause, is_excluding=is_excluding)
    line.enter(state, task, queue, cause, from_queue=before, **data)
    for resource in freed:
        seek_tasks(state, resource)
    return task.id


def _pick_up(state: State, task: Task, reason: str, *, is_excluding: bool = False) -> list[Resource]:
    """Out of its queue or its hands; returns who is free now."""
    freed = holders(state, task)
    if task.assignment is None:
        withdraw(state, task, reason)
        line.leave(state, task)
        task.open_ns = 0
        return freed
    resource = let_go(state, task, reason)
    if is_excluding and not is_excluded(task, resource.id, state.now_ns):
        task.excluded[resource.id] = state.now_ns + int(state.queue_policy(task.queue).cooldown_s * 1e9)
    return freed
