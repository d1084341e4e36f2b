"""What the engine keeps: tasks with their offers and assignment, and resources. Mutable, owned by one `State`.

They are structs, so that a checkpoint and the hash are their encoding. Times are ns since 1970 (UTC), 0: none.
What each task has are tuples, not lists: of 100,000 tasks the garbage collector had 200,000 empty lists to look at.
New fields need a default and names are never reused: they are a durable format.
"""

from __future__ import annotations

from typing import Any

import msgspec

from router.assign.transition import AssignmentState, OfferState, Presence, TaskState


class Offer(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A proposal to one resource, which holds capacity for it until it is settled."""

    id: str
    """`{task id}-{number}`."""
    task_id: str
    resource_id: str
    state: OfferState = OfferState.PENDING
    issued_ns: int
    expires_ns: int
    weight: int
    fence: int
    """The resource's epoch when it was issued: a new session does not accept an old offer."""
    order: str = "order"
    """Why this task: order, priority, deadline, score, preferred."""
    rank: str = ""
    """Why this resource: longest_idle, least_load, round_robin, score, cost, preferred, force."""
    value: float = 0.0
    """What the rank goes by: seconds of idleness or since the last offer, share of the capacity in use, cost, score."""
    candidates: int = 0
    """How many were free for it then."""
    settled_ns: int = 0
    reason: str = ""
    """Why it was declined or rescinded."""


class Assignment(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One task with one resource. `weight` is what it holds of the resource's capacity now."""

    id: str
    """That of the offer it came from."""
    resource_id: str
    state: AssignmentState = AssignmentState.ACTIVE
    started_ns: int
    weight: int
    fence: int
    """The task's version when it was assigned: what a holder says with an older one is refused."""
    ends_ns: int = 0
    """When a wrap-up or a bot's time is over by itself, or a task that an absent agent keeps is given to others."""
    finished_ns: int = 0
    """When the wrap-up began."""
    is_forced: bool = False
    """A supervisor's word: whatever the capacity."""


class Task(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One piece of work that is routed."""

    id: str
    number: int
    """Of its creation: settles ties."""
    interaction_id: str = ""
    decision_id: str = ""
    customer_id: str = ""
    dedupe_key: str = ""
    channel: str
    queue: str
    priority: int = 0
    service_class: str = "standard"
    skills: dict[str, int] = {}
    """Hard requirements: name and least proficiency; never relaxed."""
    kinds: tuple[str, ...] = ()
    """Kinds of resources that may have it; empty: any. Never relaxed."""
    preferred: tuple[str, ...] = ()
    """Resources that are asked first, in this order; the last agent is one of them."""
    excluded: dict[str, int] = {}
    """Resource and until when it is not asked; -1: for good."""
    context: dict[str, Any] = {}
    weight: int
    created_ns: int
    queued_ns: int = 0
    """Where its age began: offers, declines and lost agents never reset it."""
    entered_ns: int = 0
    """When it last came into a queue; its wait until it is accepted counts from here."""
    stepped_ns: int = 0
    """Where the clock of its queue's steps began: as it came into this queue for the first time."""
    target_ns: int = 0
    """It should be accepted by then."""
    target_s: float = 0.0
    is_late: bool = False
    """That time has passed while it waited."""
    is_warned: bool = False
    """And it was told that it is near."""
    ttl_s: float
    ttl_ns: int
    """When it is given up: waiting, or in one pair of hands without a word from the customer."""
    open_ns: int = 0
    """Of a scheduled task: when it is queued, as far as is known; 0: nobody knows."""
    callback_ns: int = 0
    """Not before, whatever the queue; 0: at once."""
    is_callback: bool = False
    customer_lease_ns: int = 0
    """How long a customer who gives no sign of life is waited for; 0: for ever."""
    customer_until_ns: int = 0
    state: TaskState
    step: int = 0
    step_ns: int = 0
    """When the next step of relaxation begins; 0: this is the last."""
    trigger_ns: int = 0
    """When the next overflow trigger is looked at; 0: none."""
    triggers_done: int = 0
    overflows: int = 0
    """How often it was moved on by a trigger before somebody had it: bounds a circle of queues."""
    offers: tuple[Offer, ...] = ()
    """The live ones and the last that were settled."""
    offers_total: int = 0
    assignment: Assignment | None = None
    leg: int = 0
    """How often it went on from one resource to another."""
    version: int = 0
    seq: int = 0
    """Of its last event."""
    pause_ns: int = 0
    """When it is paused for want of a word from the customer."""
    turns: int = 0
    failed_turns: int = 0
    moods: tuple[float, ...] = ()
    """The last sentiments, -1 to 1."""
    is_upset: bool = False
    outcome: str = ""
    """How it was completed, or why canceled."""
    ended_ns: int = 0
    ended_number: int = 0


UNBOUNDED = 1_000_000


class ChannelLimit(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What one resource takes of one channel."""

    most: int = UNBOUNDED
    """Tasks at once."""
    weight: int | None = None
    """Of its capacity, for each task; None: what the channel says."""


class Resource(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Whoever can take a task."""

    id: str
    kind: str = "agent"
    """agent, bot, recommender, workflow; all but agents accept by themselves."""
    name: str = ""
    queues: tuple[str, ...] = ()
    channels: dict[str, ChannelLimit] = {}
    capacity: int = 1
    reserve: int = 0
    """Of the capacity: kept for paused tasks that come back."""
    skills: dict[str, int] = {}
    attributes: dict[str, Any] = {}
    cost: float = 0.0
    """Of one task, in any one unit."""
    success: float = 1.0
    """Share of tasks that end with this resource."""
    presence: Presence = Presence.OFFLINE
    presence_reason: str = ""
    presence_ns: int = 0
    session: str = ""
    epoch: int = 0
    """Raised by each new session."""
    is_suspect: bool = False
    lost_ns: int = 0
    """When a suspect is given up."""
    missed: int = 0
    """Offers in a row that expired."""
    missed_until_ns: int = 0
    available_ns: int = 0
    offered_ns: int = 0
    released_ns: int = 0
    recent_ns: list[int] = []
    """When it was offered tasks lately, oldest first: for the ramp."""
    ramp_ns: int = 0
    """Until then the ramp keeps it from new tasks."""
    seek_ns: int = 0
    """There was more for it than one step does: it goes on then, which is at once."""
    tasks: list[str] = []
    """Whose offers or assignments hold its capacity, in the order they came."""
    used: int = 0
    seq: int = 0


class Queue(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What is remembered of a queue beside its policy."""

    name: str
    is_open_by_hand: bool | None = None
    """None: by its hours."""
    changes_ns: int = 0
    """When its hours open or close it next."""
    was_open: bool = True
    opens_ns: int = 0
    """More tasks wait for its opening than one step does: it goes on then, which is at once."""
    waiting: int = 0
    """Tasks in it that are queued or offered."""
    aht_ns: int = 0
    """Handling time, wrap-up included: a moving mean over some 16 tasks; 0: none was measured yet."""
    gather_ns: int = 0
    """When the window of batch matching ends; 0: nothing is gathered."""
    matching: int = 0
    """The number of the matching that is being solved; 0: none."""
    matching_ns: int = 0
    """Until when its answer is waited for."""
    seq: int = 0


class Kept(msgspec.Struct, kw_only=True, gc=False):
    """What was done under an idempotency key."""

    digest: bytes
    subject: str
    at_ns: int
    position: int
