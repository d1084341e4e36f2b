"""The beginning and the end of a task: created, changed while it waits, canceled, completed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign import deadline, line
from router.assign.entity import Task
from router.assign.errors import BadCommand, Conflict, Full, Same, StaleFence
from router.assign.hold import end_assignment
from router.assign.match import seek_tasks
from router.assign.moving import add_context, check_fence
from router.assign.offering import holders, withdraw
from router.assign.transition import (
    ASSIGNMENT,
    TASK,
    TERMINAL,
    WAITING,
    AssignmentMove,
    TaskMove,
    TaskState,
    follow,
)
from router.assign.urgency import class_of

if TYPE_CHECKING:
    from router.assign.command import CancelTask, CompleteTask, CreateTask, UpdateTask
    from router.assign.state import State

_HELD = frozenset((TaskState.ASSIGNED, TaskState.PAUSED))
_LONGEST_S = 7_776_000.0
"""90 days."""


def create(state: State, command: CreateTask) -> str | Same:
    """A task, once for each id and each dedupe key of an open one."""
    if command.id in state.tasks:
        return Same(command.id)
    known = state.open_by_key.get(command.dedupe_key) if command.dedupe_key else None
    if known is not None:
        return Same(known)
    policy = state.queue_policy(command.queue)
    check_skills(state, command.skills)
    _check_numbers(command)
    if state.index.is_full:
        raise Full(f"{state.policy.max_requirements} different requirements wait; max_requirements allows no more")
    if len(state.tasks) - len(state.ended) >= state.policy.max_tasks:
        raise Full(f"{state.policy.max_tasks} tasks are open; max_tasks allows no more")
    if state.queues[command.queue].waiting >= policy.most and not policy.overflow:
        raise Full(f"queue {command.queue}: {policy.most} tasks wait; `most` allows no more")
    now_ns = state.now_ns
    ttl_s = policy.ttl_s if command.ttl_s is None else command.ttl_s
    lease_ns = int(command.customer_lease_s * 1e9)
    state.tasks_total += 1
    task = Task(
        id=command.id,
        number=state.tasks_total,
        interaction_id=command.interaction_id,
        decision_id=command.decision_id,
        customer_id=command.customer_id,
        dedupe_key=command.dedupe_key,
        channel=command.channel,
        queue=command.queue,
        priority=policy.priority if command.priority is None else command.priority,
        service_class=command.service_class or "standard",
        skills=command.skills,
        preferred=command.preferred,
        excluded=dict.fromkeys(command.excluded, -1),
        context=command.context,
        weight=state.channel(command.channel).weight if command.weight is None else command.weight,
        created_ns=now_ns,
        target_s=command.target_s or 0.0,
        ttl_s=ttl_s,
        ttl_ns=now_ns + int(ttl_s * 1e9),
        callback_ns=command.open_ns,
        is_callback=command.is_callback or command.open_ns > now_ns,
        customer_lease_ns=lease_ns,
        customer_until_ns=now_ns + lease_ns if lease_ns else 0,
        state=TaskState.QUEUED,
    )
    state.tasks[task.id] = task
    if task.dedupe_key:
        state.open_by_key[task.dedupe_key] = task.id
    line.enter(state, task, command.queue, "queued", channel=task.channel)
    _bound(state, task)
    return task.id


def _check_numbers(command: CreateTask) -> None:
    """Raises: BadCommand: one that the engine's clock or capacity can't hold."""
    numbers = (
        ("weight", command.weight, 1, 1_000),
        ("target_s", command.target_s, 1e-9, _LONGEST_S),
        ("ttl_s", command.ttl_s, 1e-9, _LONGEST_S),
        ("customer_lease_s", command.customer_lease_s, 0, _LONGEST_S),
        ("open_ns", command.open_ns, 0, (1 << 62) - 1),
    )
    for name, value, least, most in numbers:
        if value is not None and not least <= value <= most:
            raise BadCommand(f"{name}: {value}: allowed are {least:g} to {most:g}")


def _bound(state: State, task: Task) -> None:
    """A queue whose triggers found no better place for what is above its bound turns it away, and says so."""
    if task.state is TaskState.QUEUED and state.queues[task.queue].waiting > state.queue_policy(task.queue).most:
        line.cancel(state, task, "full")


def update(state: State, command: UpdateTask) -> str:
    task = state.task(command.task_id)
    if command.if_version is not None and command.if_version != task.version:
        raise StaleFence(f"task {task.id} has version {task.version}, not {command.if_version}")
    if task.state in TERMINAL:
        raise Conflict(f"task {task.id} is {task.state.value}")
    check_skills(state, command.skills or {})
    add_context(task, command.context)
    is_waiting, freed = task.state in WAITING, holders(state, task)
    if is_waiting and command.skills is not None and command.skills != task.skills:
        withdraw(state, task, "updated")  # who has the offer may not do any more
    task.priority = task.priority if command.priority is None else command.priority
    _reclassify(state, task, command.service_class or task.service_class)
    task.skills = task.skills if command.skills is None else command.skills
    task.preferred = task.preferred if command.preferred is None else command.preferred
    state.tell("task.updated", task, queue=task.queue, priority=task.priority, service_class=task.service_class)
    if is_waiting:
        line.look_again(state, task)
        for resource in freed:
            seek_tasks(state, resource)
    return task.id


def _reclassify(state: State, task: Task, service_class: str) -> None:
    """A class brings its target with it, from when the task was first to be accepted."""
    target_s = class_of(state.policy, service_class).target_s
    if service_class != task.service_class and target_s is not None:
        if task.target_ns:
            task.target_ns += int(target_s * 1e9) - int(task.target_s * 1e9)
        task.target_s, task.is_late = target_s, task.is_late and task.target_ns <= state.now_ns
        task.is_warned = task.is_warned and deadline.warns_ns(state, task) <= state.now_ns
    task.service_class = service_class


def cancel(state: State, command: CancelTask) -> str | Same:
    """Whatever it was doing: offers are taken back in the same step."""
    task = state.task(command.task_id)
    if task.state is TaskState.CANCELED:
        return Same(task.id)
    if task.state in {TaskState.COMPLETED, TaskState.WRAPPING}:
        raise Conflict(f"task {task.id} is {task.state.value}: it can't be canceled any more")
    drop(state, task, command.reason)
    return task.id


def drop(state: State, task: Task, reason: str) -> None:
    """End a task that is not done, and give whoever had it something else."""
    was, freed = task.state, holders(state, task)
    if was in _HELD:
        assignment, resource = end_assignment(state, task, AssignmentMove.RELEASE)
        line.end(state, task, follow(TASK, was, TaskMove.CANCEL, f"task {task.id}"), reason)
        handled_s = (state.now_ns - assignment.started_ns) / 1e9
        line.tell_canceled(state, task, reason, was, resource_id=resource.id, handled_s=handled_s)
    else:
        withdraw(state, task, reason)
        line.cancel(state, task, reason)
    for each in freed:
        seek_tasks(state, each)


def complete(state: State, command: CompleteTask) -> str | Same:
    """The talk is over: wrap-up begins; or the wrap-up is."""
    task = state.task(command.task_id)
    if task.state is TaskState.COMPLETED:
        return Same(task.id)
    check_fence(task, command.fence)
    if task.state is TaskState.WRAPPING:
        task.outcome = command.outcome or task.outcome
        close(state, task)
        return task.id
    assignment, channel = task.assignment, state.channel(task.channel)
    task.state = follow(TASK, task.state, TaskMove.FINISH, f"task {task.id}")
    assert assignment is not None  # noqa: S101 - only assigned and paused tasks can finish
    assignment.state = follow(ASSIGNMENT, assignment.state, AssignmentMove.FINISH, f"task {task.id}")
    assignment.finished_ns, task.outcome = state.now_ns, command.outcome or "completed"
    state.free_dedupe_key(task)  # what the customer writes now is something new
    task.pause_ns = task.customer_until_ns = 0
    resource = state.resources[assignment.resource_id]
    wrap_s = channel.wrap_s if resource.kind == "agent" else 0.0
    if not wrap_s:
        close(state, task)
        return task.id
    assignment.ends_ns = state.now_ns + int(wrap_s * 1e9)
    if channel.wrap_weight is not None and channel.wrap_weight < assignment.weight:
        before, assignment.weight = assignment.weight, channel.wrap_weight
        state.reweigh(resource, task.channel, before, assignment.weight)
    state.tell(
        "task.wrapping", task, resource_id=resource.id, kind=resource.kind, queue=task.queue, outcome=task.outcome,
        handled_s=(state.now_ns - assignment.started_ns) / 1e9, weight=assignment.weight,
    )  # fmt: skip
    seek_tasks(state, resource)
    return task.id


def close(state: State, task: Task) -> None:
    """The end of a wrap-up: the capacity is free."""
    assignment, resource = end_assignment(state, task, AssignmentMove.WRAPPED)
    line.end(state, task, follow(TASK, task.state, TaskMove.WRAPPED, f"task {task.id}"), task.outcome)
    _learn_aht(state, task, state.now_ns - assignment.started_ns)
    state.tell(
        "task.completed", task, resource_id=resource.id, kind=resource.kind, queue=task.queue, outcome=task.outcome,
        handled_s=(assignment.finished_ns - assignment.started_ns) / 1e9,
        wrap_s=(state.now_ns - assignment.finished_ns) / 1e9, weight=assignment.weight, leg=task.leg,
    )  # fmt: skip
    seek_tasks(state, resource)


def _learn_aht(state: State, task: Task, took_ns: int) -> None:
    """Handling time as a moving mean over some 16 tasks, in whole ns so that a replay is exact."""
    book = state.queues[task.queue]
    book.aht_ns = took_ns if not book.aht_ns else book.aht_ns + (took_ns - book.aht_ns) // 16
    state.touch("queue", task.queue)


def check_skills(state: State, skills: dict[str, int]) -> None:
    for name, least in skills.items():
        if not 1 <= least <= 5:  # noqa: PLR2004 - proficiency
            raise BadCommand(f"skills.{name}: {least}: a proficiency is 1 to 5")
        if state.policy.skills and name not in state.policy.skills:
            raise BadCommand(f"skills.{name}: there is no such skill; there are {', '.join(state.policy.skills)[:500]}")
