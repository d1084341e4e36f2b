"""When something happens to a task, a resource or a queue by itself: the first of its deadlines is its timer.

No state that is not final is without one, so nothing can be stuck for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign.transition import TERMINAL, WAITING, OfferState, Presence, TaskState

if TYPE_CHECKING:
    from router.assign.entity import Queue, Resource, Task
    from router.assign.state import Kind, State


def of(state: State, kind: Kind, name: str) -> int:
    """0: none."""
    if kind == "task":
        task = state.tasks.get(name)
        return 0 if task is None else of_task(state, task)
    if kind == "resource":
        return of_resource(state.resources[name])
    queue = state.queues.get(name)
    return 0 if queue is None else of_queue(queue)


def _first(*deadlines_ns: int) -> int:
    return min((each for each in deadlines_ns if each > 0), default=0)


def of_task(state: State, task: Task) -> int:
    if task.state in TERMINAL:
        return 0
    own = ends_ns(state, task)
    if task.state is TaskState.WRAPPING:
        return own
    if task.state is TaskState.SCHEDULED:
        return _first(task.ttl_ns, task.callback_ns, task.customer_until_ns)
    if task.state in WAITING:
        late = 0 if task.is_late else task.target_ns
        warned = 0 if task.is_late or task.is_warned else warns_ns(state, task)
        first = _first(
            task.ttl_ns, late, warned, task.step_ns, task.trigger_ns, task.customer_until_ns,
            *task.excluded.values(),
        )  # fmt: skip
        if task.state is TaskState.OFFERED:
            return _first(first, *(expires_ns(state, task, offer.expires_ns) for offer in task.offers
                                   if offer.state is OfferState.PENDING))  # fmt: skip
        return first
    return _first(own, task.ttl_ns, task.pause_ns, task.customer_until_ns)


def warns_ns(state: State, task: Task) -> int:
    """When it is told that a waiting task's target is near; 0: never."""
    share = state.queue_policy(task.queue).warn_share
    return task.target_ns - int((1 - share) * task.target_s * 1e9) if share else 0


def ends_ns(state: State, task: Task) -> int:
    """When its holder's time is over; 0: never. A bot's does not end while the customer is silent: no one is kept."""
    assignment = task.assignment
    if assignment is None or (task.state is TaskState.PAUSED and state.resources[assignment.resource_id].kind == "bot"):
        return 0
    return assignment.ends_ns


def expires_ns(state: State, task: Task, stated_ns: int) -> int:
    """When an offer really ends: a late accept counts for a moment."""
    return stated_ns + int(state.channel(task.channel).accept_grace_ms * 1e6)


def of_resource(resource: Resource) -> int:
    missed_ns = resource.missed_until_ns if resource.presence is Presence.MISSED else 0
    return _first(resource.lost_ns, missed_ns, resource.ramp_ns, resource.seek_ns)


def of_queue(queue: Queue) -> int:
    return _first(queue.changes_ns, queue.opens_ns, queue.gather_ns, queue.matching_ns)
