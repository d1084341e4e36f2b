"""Offers: accepted, declined, expired, taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign import line
from router.assign.errors import Conflict, Expired, LostRace, Same, StaleFence
from router.assign.hold import assign
from router.assign.match import seek_tasks
from router.assign.transition import OFFER, TASK, OfferMove, OfferState, Presence, TaskMove, TaskState, follow

if TYPE_CHECKING:
    from router.assign.command import Accept, Decline
    from router.assign.entity import Offer, Resource, Task
    from router.assign.state import State

_ALONE_S = 1.0
"""The cool-down where nobody else is signed in who could take it: long enough to break a circle."""


def accept(state: State, command: Accept) -> str | Same:
    """The first to accept has it."""
    task, offer = state.offer(command.offer_id)
    _check_owner(offer, command.resource_id, command.fence)
    if offer.state is OfferState.ACCEPTED:
        if task.assignment is None or task.assignment.id != offer.id:
            raise LostRace(f"offer {offer.id} was accepted; task {task.id} went on since")
        return Same(task.id)
    _check_pending(offer, task)
    resource = state.resources[offer.resource_id]
    if resource.epoch != offer.fence:
        raise StaleFence(f"offer {offer.id} was made to a session that has ended")
    _settle(state, task, offer, OfferMove.ACCEPT)
    siblings = live(task)
    for sibling in siblings:
        rescind(state, task, sibling, "taken")
    assign(state, task, offer, TaskMove.ACCEPT)
    for sibling in siblings:
        seek_tasks(state, state.resources[sibling.resource_id])
    return task.id


def decline(state: State, command: Decline) -> str | Same:
    task, offer = state.offer(command.offer_id)
    _check_owner(offer, command.resource_id, None)
    if offer.state is OfferState.DECLINED:
        return Same(task.id)
    _check_pending(offer, task)
    offer.reason = command.reason
    state.resources[offer.resource_id].missed = 0
    _settle(state, task, offer, OfferMove.DECLINE)
    _cool_down(state, task, offer.resource_id)
    back(state, task)
    seek_tasks(state, state.resources[offer.resource_id])
    return task.id


def expire(state: State, task: Task, offer: Offer) -> None:
    """Nobody answered. Too often in a row, and the resource counts as not there."""
    _settle(state, task, offer, OfferMove.EXPIRE)
    resource, queue = state.resources[offer.resource_id], state.queue_policy(task.queue)
    resource.missed += 1
    _cool_down(state, task, offer.resource_id)
    if resource.missed >= queue.max_missed and resource.presence is Presence.AVAILABLE:
        resource.missed_until_ns = state.now_ns + int(queue.missed_s * 1e9)
        state.index.sign(resource, Presence.MISSED)
        resource.presence_ns = state.now_ns
        state.tell("resource.missed", resource, missed=resource.missed, **line.load_of(resource))
        rescind_all(state, resource.id, "missed")
    back(state, task)
    seek_tasks(state, resource)


def rescind(state: State, task: Task, offer: Offer, reason: str) -> None:
    """Take an offer back; the resource is free again for others."""
    offer.reason = reason
    _settle(state, task, offer, OfferMove.RESCIND)


def rescind_all(state: State, resource_id: str, reason: str) -> None:
    """Take back all that was offered to a resource; its tasks wait for others."""
    for task_id in list(state.resources[resource_id].tasks):
        task = state.tasks[task_id]
        for offer in live(task):
            if offer.resource_id == resource_id:
                rescind(state, task, offer, reason)
                back(state, task)


def live(task: Task) -> list[Offer]:
    return [offer for offer in task.offers if offer.state is OfferState.PENDING]


def back(state: State, task: Task) -> None:
    """A task whose last live offer has ended waits again, at its age."""
    if task.state is TaskState.OFFERED and not live(task):
        task.state = follow(TASK, task.state, TaskMove.RETURN, f"task {task.id}")
        line.look(state, task)


def withdraw(state: State, task: Task, reason: str) -> None:
    """Take all its offers back; it stays where it is in its queue."""
    for offer in live(task):
        rescind(state, task, offer, reason)
    if task.state is TaskState.OFFERED:
        task.state = follow(TASK, task.state, TaskMove.RETURN, f"task {task.id}")


def holders(state: State, task: Task) -> list[Resource]:
    """Whose capacity is held for it now."""
    names = [offer.resource_id for offer in live(task)]
    if task.assignment is not None:
        names.append(task.assignment.resource_id)
    return [state.resources[name] for name in names]


def _settle(state: State, task: Task, offer: Offer, move: OfferMove) -> None:
    offer.state = follow(OFFER, offer.state, move, f"offer {offer.id}")
    offer.settled_ns = state.now_ns
    resource = state.resources[offer.resource_id]
    if move is not OfferMove.ACCEPT:
        state.release(resource, task, offer.weight)
    state.tell(
        f"offer.{offer.state.value}", task, offer_id=offer.id, resource_id=offer.resource_id, queue=task.queue,
        reason=offer.reason, stood_s=(state.now_ns - offer.issued_ns) / 1e9,
    )  # fmt: skip


def _cool_down(state: State, task: Task, resource_id: str) -> None:
    """Not to the same again for a while, unless there is nobody else."""
    group = state.index.group(line.signature(state, task))
    wait_s = state.queue_policy(task.queue).cooldown_s
    if group.present <= 1:
        wait_s = min(wait_s, _ALONE_S)
    if task.excluded.get(resource_id, 0) >= 0 and wait_s:
        task.excluded[resource_id] = state.now_ns + int(wait_s * 1e9)


def _check_owner(offer: Offer, resource_id: str, fence: int | None) -> None:
    if resource_id and resource_id != offer.resource_id:
        raise Conflict(f"offer {offer.id} was made to another resource")
    if fence is not None and fence != offer.fence:
        raise StaleFence(f"offer {offer.id}: its fence is {offer.fence}, not {fence}")


def _check_pending(offer: Offer, task: Task) -> None:
    if offer.state is OfferState.EXPIRED:
        raise Expired(f"offer {offer.id} stood until its time was over")
    if offer.state is not OfferState.PENDING:
        raise LostRace(f"offer {offer.id} is {offer.state.value}; the task is {task.state.value} now")
