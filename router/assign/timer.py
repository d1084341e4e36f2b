"""What happens by itself when its time has come, in the order of the deadlines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign import deadline, life, line, moving, pausing, presence, system
from router.assign.errors import Same
from router.assign.gather import ask
from router.assign.hold import holder_of
from router.assign.match import seek_all, seek_tasks
from router.assign.offering import expire, live
from router.assign.transition import TERMINAL, WAITING, Presence, TaskState

if TYPE_CHECKING:
    from router.assign.command import Tick
    from router.assign.entity import Queue, Resource, Task
    from router.assign.state import Kind, State

_MOST = 100
"""Timers of one tick, some 5 ms; the next tick is due at once. Bounds how long a step takes after a pause."""


def fire(state: State, _command: Tick) -> str | Same:
    """Fire the timers that are due: each once, the earliest first."""
    due: list[tuple[int, Kind, str]] = []
    for key in state.timers:
        if key[0] > state.now_ns or len(due) == _MOST:
            break
        due.append(key)
    if not due:
        return Same("engine")
    for due_ns, kind, name in due:
        if state.armed_ns(kind, name) != due_ns:
            continue
        # Touched or not: a handler that finds nothing to do any more has its timer set anew.
        state.touch(kind, name)
        if kind == "task" and name in state.tasks:
            _task(state, state.tasks[name])
        elif kind == "resource":
            _resource(state, state.resources[name])
        elif kind == "queue" and name in state.queues:
            _queue(state, state.queues[name])
    return "engine"


def _is_due(state: State, deadline_ns: int) -> bool:
    return 0 < deadline_ns <= state.now_ns


def _task(state: State, task: Task) -> None:
    if task.state in TERMINAL:
        return
    if task.state is TaskState.WRAPPING:
        if task.assignment is not None and _is_due(state, task.assignment.ends_ns):
            life.close(state, task)
    elif _is_due(state, task.ttl_ns):
        holder = holder_of(state, task)
        if holder is not None and holder.presence is Presence.OFFLINE:
            presence.give_back(state, task, "absent")
        else:
            life.drop(state, task, "ttl")
    elif _is_due(state, task.customer_until_ns):
        life.drop(state, task, "abandoned")
    elif task.state is TaskState.SCHEDULED:
        if _is_due(state, task.callback_ns):
            line.open_now(state, task)
    elif task.state in WAITING:
        _waiting(state, task)
    else:
        _held(state, task)


def _waiting(state: State, task: Task) -> None:
    is_near = not task.is_warned and _is_due(state, deadline.warns_ns(state, task))
    if is_near and not _is_due(state, task.target_ns):
        task.is_warned = True
        state.tell("task.sla_warning", task, queue=task.queue, target_s=task.target_s, target_ns=task.target_ns)
    if not task.is_late and _is_due(state, task.target_ns):
        task.is_late = True
        state.tell("task.sla_breached", task, queue=task.queue, target_s=task.target_s)
    for offer in live(task):
        if _is_due(state, deadline.expires_ns(state, task, offer.expires_ns)):
            expire(state, task, offer)
    if task.state is TaskState.OFFERED:  # looked at again when the offer is settled
        task.step_ns = task.trigger_ns = 0
        task.excluded = {name: until for name, until in task.excluded.items() if not _is_due(state, until)}
        return
    dues_ns = (task.trigger_ns, task.step_ns, *task.excluded.values())
    if task.state is TaskState.QUEUED and any(_is_due(state, due_ns) for due_ns in dues_ns):
        line.look(state, task)


def _held(state: State, task: Task) -> None:
    if _is_due(state, deadline.ends_ns(state, task)):
        holder = holder_of(state, task)
        if holder is not None and holder.kind == "agent":
            presence.give_back(state, task, "absent")
        else:
            moving.hand_off(state, task, "", "bot_time")
    elif _is_due(state, task.pause_ns):
        pausing.pause_now(state, task)


def _resource(state: State, resource: Resource) -> None:
    if _is_due(state, resource.lost_ns):
        presence.lose(state, resource)
        return
    if _is_due(state, resource.ramp_ns):
        resource.ramp_ns = 0
        state.index.refresh(resource)
        seek_tasks(state, resource)
    elif _is_due(state, resource.seek_ns):
        seek_tasks(state, resource)
    if resource.presence is Presence.MISSED and _is_due(state, resource.missed_until_ns):
        presence.return_from_missed(state, resource)


def _queue(state: State, queue: Queue) -> None:
    if _is_due(state, queue.changes_ns):
        system.watch_hours(state, queue.name)
        system.open_scheduled(state, queue.name)
    elif _is_due(state, queue.opens_ns):
        system.open_scheduled(state, queue.name)
    if _is_due(state, queue.gather_ns):
        queue.gather_ns = 0
        if not ask(state, queue.name):
            seek_all(state, queue.name)
    if _is_due(state, queue.matching_ns):
        queue.matching = queue.matching_ns = 0
        seek_all(state, queue.name)
