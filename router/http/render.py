"""From the engine's entities to what clients see of them. Reads the state, changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from router.assign.transition import WAITING, OfferState, TaskState
from router.assign.wait import expected_wait_s, newcomer_group, queue_wait_s
from router.http.view import (
    AssignmentView,
    EventView,
    Exclusion,
    LimitView,
    Offered,
    OfferView,
    QueueView,
    ResourceView,
    TaskBrief,
    TaskView,
    Work,
)
from router.insight.figures import L

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.assign.entity import Offer, Resource, Task
    from router.assign.event import Event
    from router.assign.state import State
    from router.insight.statistics import Statistics

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS = 1e9
_HELD = frozenset((TaskState.ASSIGNED, TaskState.PAUSED, TaskState.WRAPPING))


def time(ns: int) -> str | None:
    """RFC 3339 in UTC, to the microsecond; None for what has no time."""
    return said(ns) if ns > 0 else None


def said(ns: int) -> str:
    return (_EPOCH + timedelta(microseconds=ns // 1_000)).isoformat(timespec="microseconds")[:-6] + "Z"


def holder_of(task: Task) -> str | None:
    """Whose task it is now."""
    return task.assignment.resource_id if task.assignment is not None and task.state in _HELD else None


def pending(task: Task) -> list[Offer]:
    return [offer for offer in task.offers if offer.state is OfferState.PENDING]


def offer_view(offer: Offer, now_ns: int) -> OfferView:
    is_pending = offer.state is OfferState.PENDING
    return OfferView(
        id=offer.id,
        task_id=offer.task_id,
        resource_id=offer.resource_id,
        state=offer.state.value,
        issued_at=time(offer.issued_ns),
        expires_at=time(offer.expires_ns),
        expires_in_s=max(0, offer.expires_ns - now_ns) / _NS if is_pending else None,
        weight=offer.weight,
        fence=offer.fence,
        order=offer.order,
        rank=offer.rank,
        settled_at=time(offer.settled_ns),
        reason=offer.reason,
    )


def task_brief(state: State, task: Task, now_ns: int) -> TaskBrief:
    is_waiting = task.state in WAITING
    return TaskBrief(
        id=task.id,
        state=task.state.value,
        queue=task.queue,
        position=state.position_of(task) if is_waiting else None,
        ewt_s=expected_wait_s(state, task) if is_waiting else None,
        resource_id=holder_of(task),
        channel=task.channel,
        priority=task.priority,
        service_class=task.service_class,
        skills=dict(task.skills),
        customer_id=task.customer_id,
        created_at=time(task.created_ns),
        queued_at=time(task.queued_ns),
        entered_at=time(task.entered_ns),
        target_at=time(task.target_ns),
        open_at=time(task.open_ns),
        age_s=_age_s(task, now_ns),
        waited_s=_waited_s(task, now_ns),
        step=task.step,
        leg=task.leg,
        version=task.version,
        seq=task.seq,
        is_upset=task.is_upset,
        is_callback=task.is_callback,
        outcome=task.outcome,
        offered_to=[offer.resource_id for offer in pending(task)],
    )


def task_view(state: State, task: Task, now_ns: int) -> TaskView:
    brief = task_brief(state, task, now_ns)
    return TaskView(
        **{name: getattr(brief, name) for name in TaskBrief.__struct_fields__},
        preferred=task.preferred,
        excluded=[Exclusion(resource_id=name, until=time(until_ns)) for name, until_ns in task.excluded.items()],
        context=dict(task.context),
        weight=task.weight,
        interaction_id=task.interaction_id,
        decision_id=task.decision_id,
        dedupe_key=task.dedupe_key,
        ttl_at=time(task.ttl_ns),
        ended_at=time(task.ended_ns),
        next_step_at=time(task.step_ns),
        offers=[offer_view(offer, now_ns) for offer in task.offers],
        assignment=_assignment_view(task),
        turns=task.turns,
        failed_turns=task.failed_turns,
    )


def _age_s(task: Task, now_ns: int) -> float:
    began_ns = task.queued_ns or task.created_ns
    return max(0, (task.ended_ns or now_ns) - began_ns) / _NS


def _waited_s(task: Task, now_ns: int) -> float:
    """Since it last came into a queue, or until it was taken from there."""
    if not task.entered_ns:
        return 0.0
    until_ns = now_ns
    if task.assignment is not None and task.state not in WAITING:
        until_ns = task.assignment.started_ns
    elif task.ended_ns:
        until_ns = task.ended_ns
    return max(0, until_ns - task.entered_ns) / _NS


def _assignment_view(task: Task) -> AssignmentView | None:
    held = task.assignment
    if held is None:
        return None
    return AssignmentView(
        id=held.id,
        resource_id=held.resource_id,
        state=held.state.value,
        started_at=time(held.started_ns),
        weight=held.weight,
        fence=held.fence,
        ends_at=time(held.ends_ns),
    )


def resource_view(resource: Resource) -> ResourceView:
    return ResourceView(
        id=resource.id,
        kind=resource.kind,
        name=resource.name,
        queues=resource.queues,
        channels={name: LimitView(most=its.most, weight=its.weight) for name, its in resource.channels.items()},
        capacity=resource.capacity,
        reserve=resource.reserve,
        used=resource.used,
        skills=resource.skills,
        attributes=resource.attributes,
        cost=resource.cost,
        success=resource.success,
        presence=resource.presence.value,
        presence_reason=resource.presence_reason,
        presence_at=time(resource.presence_ns),
        is_suspect=resource.is_suspect,
        lost_at=time(resource.lost_ns),
        missed=resource.missed,
        missed_until=time(resource.missed_until_ns),
        idle_at=time(resource.released_ns),
        ramp_until=time(resource.ramp_ns),
        epoch=resource.epoch,
        seq=resource.seq,
        tasks=list(resource.tasks),
    )


def work_of(state: State, resource: Resource, now_ns: int) -> Work:
    """What a resource holds, and what it is asked."""
    tasks = [state.tasks[task_id] for task_id in dict.fromkeys(resource.tasks)]
    return Work(
        now=said(now_ns),
        resource=resource_view(resource),
        offers=[
            Offered(offer=offer_view(offer, now_ns), task=task_view(state, task, now_ns))
            for task in tasks
            for offer in pending(task)
            if offer.resource_id == resource.id
        ],
        tasks=[task_view(state, task, now_ns) for task in tasks if holder_of(task) == resource.id],
    )


def queue_views(state: State, figures: Statistics, names: Iterable[str], now_ns: int) -> list[QueueView]:
    """Queues with who serves them."""
    return [_queue_view(state, figures, name, now_ns) for name in names]


def _queue_view(state: State, figures: Statistics, name: str, now_ns: int) -> QueueView:
    policy, queue, group = state.queue_policy(name), state.queues[name], newcomer_group(state, name)
    return QueueView(
        name=name,
        description=policy.description,
        is_open=state.is_open(name),
        is_open_by_hand=queue.is_open_by_hand,
        waiting=queue.waiting,
        scheduled=len(state.scheduled.get(name, ())),
        oldest_s=figures.longest_wait_s(name, now_ns) if queue.waiting else None,
        ewt_s=queue_wait_s(state, name),
        agents=figures.level(name, L.AGENTS),
        free=len(group.free),
        target_s=policy.target_s,
        aht_s=queue.aht_ns / _NS or policy.aht_s,
        most=policy.most,
        seq=queue.seq,
    )


def event_view(event: Event) -> EventView:
    return EventView(
        id=event.id,
        type=event.type,
        subject=event.subject,
        seq=event.seq,
        position=event.position,
        at=time(event.at_ns),
        epoch=event.epoch,
        cause=event.cause,
        data=event.data,
    )
