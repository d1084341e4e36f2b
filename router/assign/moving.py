"""Out of one pair of hands, or one queue, into another: requeue, transfer, escalate, hand off, postpone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.assign import line
from router.assign.errors import BadCommand, Conflict, StaleFence
from router.assign.hold import holder_of, let_go, propose
from router.assign.match import is_excluded, seek_tasks
from router.assign.offering import holders, withdraw
from router.assign.transition import TERMINAL, WAITING, Presence, TaskState

if TYPE_CHECKING:
    from router.assign.command import EscalateTask, PostponeTask, RequeueTask, TransferTask
    from router.assign.entity import Resource, Task
    from router.assign.state import State

PEOPLE = ("agent",)
_MOST_FACTS = 1_000
"""Keys of a task's context."""


def requeue(state: State, command: RequeueTask) -> str:
    """Out of its hands or offers, back to its queue."""
    task = state.task(command.task_id)
    return move(state, task, task.queue, "requeued", is_excluding=command.is_excluding)


def transfer(state: State, command: TransferTask) -> str:
    """To another queue, or to somebody by name: asked first, or forced to have it."""
    task = state.task(command.task_id)
    queue = command.queue or task.queue
    target = _target(state, task, queue, command)
    _check_movable(task)
    add_context(task, command.context)
    if command.is_age_reset:
        task.queued_ns = task.target_ns = 0
        task.is_late = task.is_warned = False
    is_held = task.assignment is not None
    if target is None:
        return move(state, task, queue, "transferred", is_excluding=is_held)
    if target.kind not in task.kinds:
        task.kinds = ()  # who names a bot means it
    if task.excluded.get(target.id, 0) >= 0:  # else a supervisor's word is for once
        task.excluded.pop(target.id, None)
    task.preferred = (target.id, *(name for name in task.preferred if name != target.id))
    if not command.is_forced:
        return move(state, task, queue, "transferred", is_excluding=is_held, resource_id=target.id)
    entered_ns = task.entered_ns if task.state in WAITING else state.now_ns
    freed = _pick_up(state, task, "transferred")
    _force(state, task, queue, target, entered_ns)
    for resource in freed:
        seek_tasks(state, resource)
    return task.id


def _target(state: State, task: Task, queue: str, command: TransferTask) -> Resource | None:
    """Who is named. Raises: Unknown, BadCommand, Conflict: it can't go there."""
    state.queue_policy(queue)
    if not command.resource_id:
        if not command.queue:
            raise BadCommand("queue or resource_id: one of them is needed")
        return None
    target = state.resource(command.resource_id)
    if command.is_forced:
        if target.presence is Presence.OFFLINE:
            raise Conflict(f"resource {target.id} is offline")
    elif queue not in target.queues:
        raise Conflict(f"resource {target.id} is not in queue {queue}; name one of {', '.join(target.queues)[:200]}")
    elif task.excluded.get(target.id, 0) < 0:
        raise Conflict(f"resource {target.id} is excluded from task {task.id} for good")
    return target


def _force(state: State, task: Task, queue: str, target: Resource, entered_ns: int) -> None:
    """A supervisor's word: whatever the target's presence, capacity and skills."""
    task.queue, task.state, task.entered_ns = queue, TaskState.QUEUED, entered_ns
    task.open_ns = task.callback_ns = 0
    task.queued_ns = min(task.queued_ns or state.now_ns, state.now_ns)  # a callback's age begins later
    state.index.line_up(task)
    state.tell("task.transferred", task, queue=queue, resource_id=target.id, leg=task.leg)
    propose(state, task, target, "preferred", "force")


def escalate(state: State, command: EscalateTask) -> str:
    """To people, with all that is known. A bot that speaks after its hand-off is refused by its fence."""
    task = state.task(command.task_id)
    check_fence(task, command.fence)
    if command.queue:
        state.queue_policy(command.queue)
    _check_movable(task)
    add_context(task, command.context)
    return hand_off(state, task, command.queue, command.reason)


def hand_off(state: State, task: Task, queue: str, reason: str) -> str:
    """One step: out of its hands, into a queue where people answer. Who waits in it already keeps place and offer."""
    _check_movable(task)
    queue = queue or state.queue_policy(task.queue).escalate_to or task.queue
    task.kinds = PEOPLE
    holder = holder_of(state, task)
    if holder is not None or queue != task.queue:
        is_by_agent = holder is not None and holder.kind == "agent"
        return move(state, task, queue, "escalated", is_excluding=is_by_agent, reason=reason)
    state.tell("task.updated", task, queue=queue, priority=task.priority, kinds=list(task.kinds), reason=reason)
    if task.state in WAITING:
        line.look_again(state, task)
    return task.id


def postpone(state: State, command: PostponeTask) -> str:
    """A callback: it keeps its age, and its place until its time comes."""
    task = state.task(command.task_id)
    if task.state not in {*WAITING, TaskState.SCHEDULED}:
        raise Conflict(f"task {task.id} is {task.state.value}: only a waiting one can become a callback")
    line.call_back(task)
    if command.open_ns <= state.now_ns:
        task.callback_ns = 0
        state.tell("task.updated", task, is_callback=True, queue=task.queue)
        if task.state is TaskState.SCHEDULED:
            line.open_now(state, task) if state.is_open(task.queue) else line.expect_opening(state, task)
        return task.id
    freed = _pick_up(state, task, "postponed")
    task.callback_ns = command.open_ns
    line.enter(state, task, task.queue, "postponed")
    for resource in freed:
        seek_tasks(state, resource)
    return task.id


def add_context(task: Task, more: dict[str, Any]) -> None:
    """Raises: BadCommand: it would be too much; nothing has changed."""
    if len(task.context.keys() | more.keys()) > _MOST_FACTS:
        raise BadCommand(f"context: task {task.id} would have more than {_MOST_FACTS} keys")
    task.context.update(more)


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
    """Out of its queue or its hands; returns who is free now. `is_excluding`: whom it is not offered to for a while."""
    freed = holders(state, task)
    if task.assignment is None:
        withdraw(state, task, reason)
        line.leave(state, task)
    else:
        let_go(state, task, reason)
    until_ns = state.now_ns + int(state.queue_policy(task.queue).cooldown_s * 1e9)
    for resource in freed if is_excluding else ():
        if not is_excluded(task, resource.id, state.now_ns):
            task.excluded[resource.id] = until_ns
    return freed
