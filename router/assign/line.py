"""The waiting line: how a task comes into a queue, looks for somebody, overflows, and leaves it again."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from router.assign import steps
from router.assign.match import seek_resource
from router.assign.requirement import signature_of, steps_of
from router.assign.transition import TASK, TaskMove, TaskState, follow
from router.assign.urgency import class_of, priority_of
from router.assign.wait import expected_wait_s, queue_wait_s

if TYPE_CHECKING:
    from router.assign.entity import Resource, Task
    from router.assign.policy import Trigger
    from router.assign.requirement import Signature
    from router.assign.state import State

_MOST_OVERFLOWS = 8
"""From queue to queue: ends a circle."""


def enter(state: State, task: Task, queue: str, cause: str, **data: Any) -> None:  # noqa: ANN401 - of the event
    """Put a task that is in no queue into one: queued, or scheduled while the queue is closed. Its age stays."""
    is_other = task.queue != queue
    task.queue, now_ns = queue, state.now_ns
    if is_other or not task.stepped_ns:
        task.stepped_ns, task.step = now_ns, 0
    task.triggers_done = 0
    task.entered_ns = now_ns
    task.queued_ns = task.queued_ns or max(now_ns, task.callback_ns)
    is_later = task.callback_ns > now_ns  # what its queue is like now says nothing about then
    if is_later or not state.is_open(queue):
        if is_later or not _overflow(state, task):
            _schedule(state, task, cause)
        return
    task.open_ns = task.callback_ns = 0
    task.state = TaskState.QUEUED
    if not task.target_ns:
        policy = state.queue_policy(queue)
        task.target_s = task.target_s or class_of(state.policy, task.service_class).target_s or policy.target_s
        task.target_ns = now_ns + int(task.target_s * 1e9)
    state.index.line_up(task)
    place_in_queue = state.position_of(task)
    state.tell(
        f"task.{cause}", task, queue=queue, position=place_in_queue, leg=task.leg, is_callback=task.is_callback, **data
    )
    look(state, task)


def look(state: State, task: Task) -> None:
    """A queued task meets the triggers that are due; if it stays, it takes its place and looks for somebody."""
    if _overflow(state, task):
        return
    task.excluded = {name: until for name, until in task.excluded.items() if until < 0 or until > state.now_ns}
    steps.place(state, task)
    seek_resource(state, task)


def look_again(state: State, task: Task) -> None:
    """What it asks for, or how urgent it is, has changed while it waits."""
    state.index.displace(task)
    state.index.step_out(task)
    state.index.line_up(task)
    if task.state is TaskState.QUEUED:
        look(state, task)


def leave(state: State, task: Task) -> None:
    """Take a waiting or scheduled task out of its queue, whatever becomes of it. Its offers have been settled."""
    if task.state is TaskState.SCHEDULED:
        state.scheduled.get(task.queue, set()).discard(task.id)  # not there yet while a trigger moves it on
    elif state.index.is_lined(task.id):
        state.index.displace(task)
        state.index.step_out(task)
    task.step_ns = task.trigger_ns = 0


def end(state: State, task: Task, to: TaskState, outcome: str) -> None:
    """It is over. A number of ended tasks is kept in memory for those who ask."""
    state.ended_total += 1
    task.state, task.outcome, task.ended_ns, task.ended_number = to, outcome, state.now_ns, state.ended_total
    task.pause_ns = task.customer_until_ns = task.open_ns = 0
    state.free_dedupe_key(task)
    state.ended.append(task.id)


def cancel(state: State, task: Task, reason: str) -> None:
    """A task in no hands (its offers settled, its assignment released) ends before it was done."""
    was = task.state
    leave(state, task)
    end(state, task, follow(TASK, was, TaskMove.CANCEL, f"task {task.id}"), reason)
    tell_canceled(state, task, reason, was)


def tell_canceled(state: State, task: Task, reason: str, was: TaskState, **data: Any) -> None:  # noqa: ANN401
    state.tell(
        "task.canceled", task, queue=task.queue, reason=reason, was=was.value, is_callback=task.is_callback,
        waited_s=(state.now_ns - task.entered_ns) / 1e9, target_s=task.target_s, **data,
    )  # fmt: skip


def open_now(state: State, task: Task) -> None:
    """A scheduled task whose time has come."""
    state.scheduled[task.queue].discard(task.id)
    task.open_ns = task.callback_ns = 0
    task.state = follow(TASK, task.state, TaskMove.OPEN, f"task {task.id}")
    enter(state, task, task.queue, "queued")


def _schedule(state: State, task: Task, cause: str) -> None:
    """Closed, or a callback for later: it keeps its place by age until the queue opens."""
    task.state = TaskState.SCHEDULED
    expect_opening(state, task)
    state.scheduled.setdefault(task.queue, set()).add(task.id)
    state.tell(
        "task.scheduled", task, queue=task.queue, open_ns=task.open_ns, cause=cause, is_callback=task.is_callback
    )


def expect_opening(state: State, task: Task) -> None:
    """When a scheduled task will be queued, as far as is known. Its time to live begins then: a weekend costs none."""
    task.open_ns = task.callback_ns
    if task.callback_ns <= state.now_ns:
        book, hours = state.queues[task.queue], state.queue_policy(task.queue).hours
        is_by_hand = book.is_open_by_hand is not None
        opens_ns = None if is_by_hand or hours is None else state.calendars[hours].next_change_ns(state.now_ns)
        task.open_ns = opens_ns or 0
    if task.open_ns:
        task.ttl_ns = max(task.ttl_ns, task.open_ns + int(task.ttl_s * 1e9))
    state.touch("task", task.id)


def call_back(task: Task) -> None:
    """The customer hangs up and will be called: need not stay on the line."""
    task.is_callback = True
    task.customer_lease_ns = task.customer_until_ns = 0


# Triggers.


def _triggers(state: State, queue: str) -> list[Trigger]:
    return sorted(state.queue_policy(queue).overflow, key=lambda trigger: trigger.after_s)


def _overflow(state: State, task: Task) -> bool:
    """Look at the triggers whose time has come, each once; the first that holds and moves the task ends it.

    Returns: whether the task has left its queue. If not, the next trigger's time is set.
    """
    triggers = _triggers(state, task.queue)
    while task.triggers_done < len(triggers):
        trigger = triggers[task.triggers_done]
        task.trigger_ns = task.entered_ns + int(trigger.after_s * 1e9)
        if task.trigger_ns > state.now_ns:
            return False
        task.triggers_done += 1
        if state.trigger_conditions[trigger.when](_facts(state, task)) and _pull(state, task, trigger):
            return True
    task.trigger_ns = 0
    return False


def _pull(state: State, task: Task, trigger: Trigger) -> bool:
    """Do what a trigger says. True: the task is not in this queue any more."""
    if trigger.priority:
        task.priority += trigger.priority
        state.tell("task.updated", task, priority=task.priority, queue=task.queue)
        if state.index.is_lined(task.id):
            state.index.displace(task)
            state.index.step_out(task)
            state.index.line_up(task)
    if trigger.queue is not None and trigger.queue != task.queue and task.overflows < _MOST_OVERFLOWS:
        task.overflows += 1
        before = task.queue
        leave(state, task)
        enter(state, task, trigger.queue, "overflowed", from_queue=before, when=trigger.when)
        return True
    if trigger.then == "callback" and not task.is_callback:
        call_back(task)
        state.tell("task.updated", task, is_callback=True, queue=task.queue)
    elif trigger.then == "cancel":
        was = task.state
        leave(state, task)
        end(state, task, TaskState.CANCELED, "deflected")
        tell_canceled(state, task, "deflected", was, when=trigger.when)
        return True
    return False


def _facts(state: State, task: Task) -> dict[str, Any]:
    """What a trigger's condition can name."""
    group = state.index.group(signature(state, task))
    is_lined = state.index.is_lined(task.id)  # not while its queue is closed
    wait_s = expected_wait_s(state, task) if is_lined else queue_wait_s(state, task.queue, task.channel)
    return {
        "waiting": state.queues[task.queue].waiting, "ewt_s": inf if wait_s is None else wait_s,
        "agents": group.present, "free": state.index.count_free(group), "is_open": state.is_open(task.queue),
        "waited_s": (state.now_ns - task.queued_ns) / 1e9, "priority": priority_of(state.policy, task),
        "channel": task.channel, "service_class": task.service_class, "customer_id": task.customer_id,
        "context": task.context, "is_callback": task.is_callback, "is_upset": task.is_upset,
    }  # fmt: skip


def signature(state: State, task: Task) -> Signature:
    """What a task asks for in its step."""
    policy = state.queue_policy(task.queue)
    of = steps_of(policy)
    return signature_of(policy, task, of[min(task.step, len(of) - 1)])


def load_of(resource: Resource) -> dict[str, Any]:
    """What every event about a resource says of it."""
    return {
        "kind": resource.kind, "queues": list(resource.queues), "presence": resource.presence.value,
        "used": resource.used, "capacity": resource.capacity,
    }  # fmt: skip
