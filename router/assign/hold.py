"""In somebody's hands, or offered to be: an offer holds capacity, becomes an assignment, and is let go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign.entity import Assignment, Offer
from router.assign.rank import idle_since
from router.assign.score import score_one
from router.assign.transition import ASSIGNMENT, TASK, AssignmentMove, OfferState, TaskMove, TaskState, follow

if TYPE_CHECKING:
    from router.assign.entity import Resource, Task
    from router.assign.state import State

_OFFERS_KEPT = 16
"""Of a task: older ones that are settled are forgotten; their events stay."""


def propose(state: State, task: Task, resource: Resource, order: str, rank: str, score: float | None = None) -> None:
    """Offer a task to a resource, or, where that accepts by itself or is forced to, assign it."""
    channel = state.channel(task.channel)
    value = _value(state, task, resource, rank) if score is None else score
    candidates = _candidates(state, task)
    state.index.displace(task)
    number = task.offers_total = task.offers_total + 1
    resource.offered_ns = state.now_ns
    _ramp(state, resource)
    weight = state.hold(resource, task)
    offer = Offer(
        id=f"{task.id}-{number}", task_id=task.id, resource_id=resource.id, issued_ns=state.now_ns,
        expires_ns=state.now_ns + int(channel.offer_s * 1e9), weight=weight, fence=resource.epoch, order=order,
        rank=rank, value=value, candidates=candidates,
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


def _value(state: State, task: Task, resource: Resource, rank: str) -> float:
    """What a ranking goes by, of the resource that it chose."""
    queue = state.queue_policy(task.queue)
    match rank:
        case "longest_idle":
            return (state.now_ns - idle_since(queue, resource)) / 1e9
        case "round_robin":
            return (state.now_ns - (resource.offered_ns or resource.available_ns)) / 1e9
        case "least_load":
            return resource.used / max(1, resource.capacity)
        case "cost":
            return resource.cost / max(resource.success, 1e-6)
        case "score":
            return score_one(state.policy.scores[queue.score or ""], task, resource)
        case _:
            return 0.0


def _candidates(state: State, task: Task) -> int:
    """How many are free for it, or were when it was first offered to several."""
    group = state.index.group_of(task.id)
    if group is None:
        return task.offers[-1].candidates if task.state is TaskState.OFFERED else 0
    return state.index.count_free(group)


def keep(task: Task, offer: Offer) -> None:
    """Add an offer; forget the oldest that are settled."""
    offers = [*task.offers, offer]
    settled = [each for each in offers if each.state is not OfferState.PENDING]
    for each in settled[: max(0, len(offers) - _OFFERS_KEPT)]:
        offers.remove(each)
    task.offers = tuple(offers)


def assign(state: State, task: Task, offer: Offer, move: TaskMove) -> None:
    """The offer's resource has the task. Its capacity is held already."""
    resource = state.resources[offer.resource_id]
    now_ns = state.now_ns
    state.index.step_out(task)
    task.state = follow(TASK, task.state, move, f"task {task.id}")
    if resource.missed:
        resource.missed = 0
        state.touch("resource", resource.id)
    task.step_ns = task.trigger_ns = task.overflows = 0
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
    """The customer was heard now, or somebody has the task: the times without a word begin again."""
    pause_s = state.channel(task.channel).pause_after_s
    if task.customer_lease_ns:
        task.customer_until_ns = state.now_ns + task.customer_lease_ns
    if task.assignment is not None:
        task.ttl_ns = state.now_ns + int(task.ttl_s * 1e9)
    task.pause_ns = state.now_ns + int(pause_s * 1e9) if pause_s and task.state is TaskState.ASSIGNED else 0
    state.touch("task", task.id)


def holder_of(state: State, task: Task) -> Resource | None:
    """Whose it is, or whose it was when it ended."""
    return None if task.assignment is None else state.resources[task.assignment.resource_id]


def end_assignment(state: State, task: Task, move: AssignmentMove) -> tuple[Assignment, Resource]:
    """Its resource has room again, and is idle from now on. Returns what has ended, and whose it was."""
    assignment = task.assignment
    assert assignment is not None  # noqa: S101 - the caller looked
    assignment.state = follow(ASSIGNMENT, assignment.state, move, f"assignment {assignment.id}")
    resource = state.resources[assignment.resource_id]
    resource.released_ns = state.now_ns
    state.release(resource, task, assignment.weight)
    return assignment, resource


def let_go(state: State, task: Task, reason: str) -> Resource:
    """End an assignment that is not finished; the task waits again afterwards. Returns who had it."""
    assignment, resource = end_assignment(state, task, AssignmentMove.RELEASE)
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
