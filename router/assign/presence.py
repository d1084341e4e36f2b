"""Resources: who they are, whether they are there, and what becomes of their work when they are not."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from router.assign import life, line
from router.assign.capacity import usual_capacity
from router.assign.entity import Resource
from router.assign.errors import BadCommand, Conflict, Full, Same, StaleFence
from router.assign.hold import let_go
from router.assign.match import seek_tasks
from router.assign.offering import rescind_all
from router.assign.requirement import signature_of, steps_of
from router.assign.transition import PRESENCE, Presence, PresenceMove, TaskState, follow

if TYPE_CHECKING:
    from router.assign.command import PutResource, Restore, SetPresence, Suspect
    from router.assign.entity import Task
    from router.assign.group import Group
    from router.assign.state import State

CHOSEN = {
    "available": PresenceMove.READY,
    "busy": PresenceMove.OCCUPY,
    "away": PresenceMove.LEAVE,
    "draining": PresenceMove.DRAIN,
    "offline": PresenceMove.SIGN_OUT,
}
"""What a resource can say of itself."""
_SKIPPED = 1_000
"""Of each requirement, some 5 ms: the others wait until their step ends."""
KINDS = ("agent", "bot", "recommender", "workflow")


def put(state: State, command: PutResource) -> str:
    """A resource as it shall be from now on. What it holds stays with it, even above a smaller capacity."""
    weights = {channel: state.channel(channel).weight for channel in command.channels}
    _check(state, command)
    capacity = usual_capacity(command.channels, weights) if command.capacity is None else command.capacity
    if capacity < 1 or not 0 <= command.reserve < capacity:
        raise BadCommand("capacity: at least 1, and more than `reserve`, which is at least 0")
    before = state.resources.get(command.id)
    if before is None:
        if len(state.resources) >= state.policy.max_resources:
            raise Full(f"{state.policy.max_resources} resources are known; max_resources allows no more")
        resource = Resource(id=command.id)
    else:
        if before.kind != command.kind and before.tasks:
            raise Conflict(f"kind: {before.id} holds tasks as {before.kind}")
        left_out = before.channels.keys() - command.channels.keys()
        if any(state.tasks[task_id].channel in left_out for task_id in before.tasks):
            raise Conflict(f"channels: {before.id} holds tasks of one that is left out")
        resource = before
        state.index.remove(resource)
    for name in (
        "kind",
        "name",
        "queues",
        "channels",
        "reserve",
        "skills",
        "attributes",
        "cost",
        "success",
    ):
        setattr(resource, name, getattr(command, name))
    resource.capacity = capacity
    state.insert_resource(resource)
    state.tell("resource.updated", resource, **line.load_of(resource))
    seek_tasks(state, resource)
    return resource.id


def _check(state: State, command: PutResource) -> None:
    if command.kind not in KINDS:
        raise BadCommand(f"kind: {command.kind!r}: allowed: {', '.join(KINDS)}")
    if not command.channels:
        raise BadCommand('channels: at least one, as in {"chat": {"most": 3}}')
    for queue in command.queues:
        state.queue_policy(queue)
    if not 0 <= command.success <= 1 or command.cost < 0:
        raise BadCommand("success: 0 to 1; cost: at least 0")
    for channel, limit in command.channels.items():
        if limit.most < 1 or (limit.weight is not None and limit.weight < 1):
            raise BadCommand(f"channels.{channel}: most and weight are at least 1")
    life.check_skills(state, command.skills)


def set_presence(state: State, command: SetPresence) -> str | Same:
    """What a resource says of itself."""
    resource = state.resource(command.resource_id)
    move = CHOSEN.get(command.presence)
    if move is None:
        raise BadCommand(f"presence: {command.presence!r}: allowed: {', '.join(CHOSEN)}")
    is_new_session = bool(command.session) and command.session != resource.session
    target = follow(PRESENCE, resource.presence, move, f"resource {resource.id}")
    was_suspect = resource.is_suspect
    if target is resource.presence and not is_new_session and not was_suspect:
        if resource.presence_reason == command.reason:
            return Same(resource.id)
        resource.presence_reason = command.reason
        state.tell(
            "resource.presence", resource, was=target.value, reason=command.reason, session=resource.session,
            **line.load_of(resource),
        )  # fmt: skip
        return resource.id
    if is_new_session:
        resource.session = command.session
        resource.epoch += 1
    resource.is_suspect, resource.lost_ns = False, 0
    resource.presence_reason = command.reason
    _become(state, resource, target, is_new_session=is_new_session)
    return resource.id


def _become(state: State, resource: Resource, target: Presence, *, is_new_session: bool = False) -> None:
    """Take on a presence: whoever is not available has no offers, a new session none of the old one's, and whoever
    signs out no work.
    """
    was = resource.presence
    if target is Presence.AVAILABLE and was is not Presence.AVAILABLE:
        resource.available_ns = state.now_ns
    resource.missed, resource.missed_until_ns = 0, 0
    resource.presence_ns = state.now_ns
    state.index.sign(resource, target)
    state.tell(
        "resource.presence", resource, was=was.value, reason=resource.presence_reason,
        session=resource.session, **line.load_of(resource),
    )  # fmt: skip
    if is_new_session or target is not Presence.AVAILABLE:
        rescind_all(state, resource.id, "new_session" if is_new_session else target.value)
    if target is Presence.OFFLINE:
        _leave_work(state, resource, "signed_out")
        _skip_steps(state, resource)
    elif was is Presence.OFFLINE:
        _keep_work(state, resource)
        _skip_to(state, resource)
    seek_tasks(state, resource)


def suspect(state: State, command: Suspect) -> str | Same:
    """No sign of life: nothing new, and what was only offered goes to others at once."""
    resource = state.resource(command.resource_id)
    if resource.is_suspect or resource.presence is Presence.OFFLINE or resource.session != command.session:
        return Same(resource.id)
    resource.is_suspect = True
    resource.lost_ns = state.now_ns + int(state.policy.lease.grace_s * 1e9)
    state.index.refresh(resource)
    state.tell("resource.lease_suspect", resource, lost_ns=resource.lost_ns, **line.load_of(resource))
    rescind_all(state, resource.id, "suspect")
    return resource.id


def restore(state: State, command: Restore) -> str | Same:
    """Back within the grace, and everything is as it was."""
    resource = state.resource(command.resource_id)
    if resource.session != command.session:
        raise StaleFence(f"resource {resource.id} has another session by now")
    if not resource.is_suspect:
        return Same(resource.id)
    resource.is_suspect, resource.lost_ns = False, 0
    state.index.refresh(resource)
    state.tell("resource.restored", resource, **line.load_of(resource))
    seek_tasks(state, resource)
    return resource.id


def lose(state: State, resource: Resource) -> None:
    """The grace is over: its work goes on without it, as each channel says."""
    resource.is_suspect, resource.lost_ns = False, 0
    resource.missed_until_ns = 0
    resource.presence_ns = state.now_ns
    was = resource.presence
    state.index.sign(resource, follow(PRESENCE, resource.presence, PresenceMove.LOSE, f"resource {resource.id}"))
    state.tell("resource.lost", resource, was=was.value, **line.load_of(resource))
    _leave_work(state, resource, "lost")
    _skip_steps(state, resource)


def _skip_steps(state: State, resource: Resource) -> None:
    """It was the last who could meet what a step asks for: those who wait look for the next step at once."""
    for group in state.index.deserted(resource):
        _skip_step(state, group)


def _skip_to(state: State, resource: Resource) -> None:
    """Where nobody who is signed in meets the present step, and this one a later one, that need not be waited for."""
    for group in state.index.forsaken():
        task = state.tasks[next(group.waiting())]
        queue = state.queue_policy(task.queue)
        later = (signature_of(queue, task, step) for step in steps_of(queue)[task.step + 1 :])
        if any(resource.id in state.index.group(each).members for each in later):
            _skip_step(state, group)


def _skip_step(state: State, group: Group) -> None:
    for task_id in islice(group.waiting(), _SKIPPED):
        task = state.tasks[task_id]
        if task.step_ns:
            task.step_ns = state.now_ns
            state.touch("task", task.id)


def _leave_work(state: State, resource: Resource, reason: str) -> None:
    """Conversations that can't wait go back to their queue, at their age, others later; wrap-ups are over."""
    for task_id in list(resource.tasks):
        task = state.tasks[task_id]
        if task.state is TaskState.WRAPPING:
            life.close(state, task)
            continue
        channel, assignment = state.channel(task.channel), task.assignment
        if channel.lost == "requeue":
            give_back(state, task, reason)
        elif channel.keep_s and assignment is not None:
            assignment.ends_ns = state.now_ns + int(channel.keep_s * 1e9)
            state.touch("task", task.id)


def _keep_work(state: State, resource: Resource) -> None:
    """An agent is back: what was kept is not given to others any more."""
    for task_id in resource.tasks if resource.kind == "agent" else ():
        task = state.tasks[task_id]
        if task.assignment is not None and task.state is not TaskState.WRAPPING:
            task.assignment.ends_ns = 0
            state.touch("task", task_id)


def give_back(state: State, task: Task, reason: str) -> None:
    """Out of the hands of who is not there, into its queue at its age."""
    let_go(state, task, reason)
    task.ttl_ns = state.now_ns + int(task.ttl_s * 1e9)
    line.enter(state, task, task.queue, "requeued", from_queue=task.queue, reason=reason)


def return_from_missed(state: State, resource: Resource) -> None:
    """The pause after missed offers is over."""
    _become(state, resource, follow(PRESENCE, resource.presence, PresenceMove.READY, f"resource {resource.id}"))
