"""Tasks, offers, resources, queues and events as clients see them: times in RFC 3339, durations in seconds."""

from __future__ import annotations

from typing import Any

import msgspec


class _View(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Every field is told, also where it has its default."""


class OfferView(_View, frozen=True, kw_only=True, gc=False):
    """A proposal to one resource."""

    id: str
    task_id: str
    resource_id: str
    state: str
    issued_at: str | None
    expires_at: str | None
    expires_in_s: float | None
    weight: int
    fence: int
    order: str
    rank: str
    settled_at: str | None
    reason: str


class AssignmentView(_View, frozen=True, kw_only=True, gc=False):
    """One task with one resource."""

    id: str
    resource_id: str
    state: str
    started_at: str | None
    weight: int
    fence: int
    ends_at: str | None


class Exclusion(_View, frozen=True, kw_only=True, gc=False):
    """Who is not asked, and until when; None: for good."""

    resource_id: str
    until: str | None


class TaskBrief(_View, frozen=True, kw_only=True, gc=False):
    """A task in a list."""

    id: str
    state: str
    queue: str
    position: int | None
    ewt_s: float | None
    resource_id: str | None
    channel: str
    priority: int
    service_class: str
    skills: dict[str, int]
    customer_id: str
    created_at: str | None
    queued_at: str | None
    entered_at: str | None
    target_at: str | None
    open_at: str | None
    age_s: float
    waited_s: float
    step: int
    leg: int
    version: int
    seq: int
    is_upset: bool
    is_callback: bool
    outcome: str
    offered_to: list[str]


class TaskView(TaskBrief, frozen=True, kw_only=True, gc=False):
    """A task whole."""

    preferred: tuple[str, ...]
    excluded: list[Exclusion]
    context: dict[str, Any]
    weight: int
    interaction_id: str
    decision_id: str
    dedupe_key: str
    ttl_at: str | None
    ended_at: str | None
    next_step_at: str | None
    offers: list[OfferView]
    assignment: AssignmentView | None
    turns: int
    failed_turns: int


class LimitView(_View, frozen=True, kw_only=True, gc=False):
    """What a resource takes of a channel: tasks at once, and of its capacity for each; None: what the channel says."""

    most: int
    weight: int | None


class ResourceView(_View, frozen=True, kw_only=True, gc=False):
    """Whoever can take a task."""

    id: str
    kind: str
    name: str
    queues: tuple[str, ...]
    channels: dict[str, LimitView]
    capacity: int
    reserve: int
    used: int
    skills: dict[str, int]
    attributes: dict[str, Any]
    cost: float
    success: float
    presence: str
    presence_reason: str
    presence_at: str | None
    is_suspect: bool
    lost_at: str | None
    missed: int
    missed_until: str | None
    idle_at: str | None
    ramp_until: str | None
    epoch: int
    seq: int
    tasks: list[str]


class QueueView(_View, frozen=True, kw_only=True, gc=False):
    """A waiting line. `ewt_s`: for a task that came now. `agents`: its resources that are signed in; `free`: those
    that could be offered a task of its first step.
    """

    name: str
    description: str
    is_open: bool
    is_open_by_hand: bool | None
    waiting: int
    scheduled: int
    oldest_s: float | None
    ewt_s: float | None
    agents: int
    free: int
    target_s: float
    aht_s: float
    most: int
    seq: int


class EventView(_View, frozen=True, kw_only=True, gc=False):
    """What happened. `id` is the cursor of a stream; `data` is the engine's, with times in ns where it has any."""

    id: str
    type: str
    subject: str
    seq: int
    position: int
    at: str | None
    epoch: int
    cause: str
    data: dict[str, Any]


class Settled(_View, frozen=True, kw_only=True, gc=False):
    """What became of an offer. `task`: None for an agent who does not have it."""

    offer: OfferView
    task: TaskView | None


class Offered(_View, frozen=True, kw_only=True, gc=False):
    """A proposal and what it is about."""

    offer: OfferView
    task: TaskView


class Work(_View, frozen=True, kw_only=True, gc=False):
    """All that a resource has to do with now."""

    now: str
    resource: ResourceView
    offers: list[Offered]
    tasks: list[TaskView]


class SignedIn(_View, frozen=True, kw_only=True, gc=False):
    """A resource and the session in force."""

    resource: ResourceView
    session: str


class Lease(_View, frozen=True, kw_only=True, gc=False):
    """A heartbeat's answer. `next_s`: send the next one within."""

    presence: str
    is_suspect: bool
    lease_s: float
    next_s: float


class Token(_View, frozen=True, kw_only=True, gc=False):
    token: str
    resource_id: str
    expires_at: str


class TaskPage(_View, frozen=True, kw_only=True, gc=False):
    tasks: list[TaskBrief]
    next: str | None


class ResourcePage(_View, frozen=True, kw_only=True, gc=False):
    resources: list[ResourceView]
    next: str | None


class EventPage(_View, frozen=True, kw_only=True, gc=False):
    events: list[EventView]
    next: int | None


class QueuePage(_View, frozen=True, kw_only=True, gc=False):
    queues: list[QueueView]


class SkillView(_View, frozen=True, kw_only=True, gc=False):
    """`levels`: how many resources have it at that proficiency."""

    name: str
    resources: int
    levels: dict[str, int]


class SkillPage(_View, frozen=True, kw_only=True, gc=False):
    skills: list[SkillView]
