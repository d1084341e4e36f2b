"""What the engine can be told. Commands are the log: a replay of them is the state.

Ids and all else that is random or measured are in the command, never made by the engine. A durable format: new fields
need a default, names are never reused.
"""

from __future__ import annotations

from typing import Any

import msgspec

from router.assign.entity import ChannelLimit
from router.assign.policy import Policy


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Base. `key` and `digest` are the client's Idempotency-Key and a hash of what it asked under it."""

    key: str = ""
    digest: bytes = b""
    actor: str = ""
    """Who asks: a resource's id, `supervisor`, or empty for the system."""


class Configure(Command, frozen=True, kw_only=True, tag="configure"):
    """A policy takes effect."""

    policy: Policy


class Resume(Command, frozen=True, kw_only=True, tag="resume"):
    """A process takes the engine over: offers that ran out meanwhile are no one's fault."""

    epoch: int


class Tick(Command, frozen=True, kw_only=True, tag="tick"):
    """Time has passed: timers that are due fire."""


class CreateTask(Command, frozen=True, kw_only=True, tag="create"):
    """Into a queue, once for each `id` and each `dedupe_key` of an open task."""

    id: str
    queue: str
    channel: str = "chat"
    interaction_id: str = ""
    decision_id: str = ""
    customer_id: str = ""
    dedupe_key: str = ""
    priority: int | None = None
    service_class: str = ""
    skills: dict[str, int] = {}
    preferred: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    context: dict[str, Any] = {}
    weight: int | None = None
    target_s: float | None = None
    ttl_s: float | None = None
    open_ns: int = 0
    """A callback: not queued before."""
    is_callback: bool = False
    customer_lease_s: float = 0.0


class UpdateTask(Command, frozen=True, kw_only=True, tag="update"):
    """Another priority, class or set of skills, while it waits."""

    task_id: str
    if_version: int | None = None
    priority: int | None = None
    service_class: str | None = None
    skills: dict[str, int] | None = None
    preferred: tuple[str, ...] | None = None
    context: dict[str, Any] = {}


class CancelTask(Command, frozen=True, kw_only=True, tag="cancel"):
    """`reason`: abandoned, caller, deflected, duplicate."""

    task_id: str
    reason: str = "caller"


class RequeueTask(Command, frozen=True, kw_only=True, tag="requeue"):
    """Back to its queue at its age. `is_excluding`: not to whom it came from."""

    task_id: str
    is_excluding: bool = False


class TransferTask(Command, frozen=True, kw_only=True, tag="transfer"):
    """To another queue, or to one resource: asked first, or (`is_forced`) assigned whatever its capacity."""

    task_id: str
    queue: str = ""
    resource_id: str = ""
    is_forced: bool = False
    is_age_reset: bool = False
    context: dict[str, Any] = {}


class EscalateTask(Command, frozen=True, kw_only=True, tag="escalate"):
    """To people, with what is known, in one step: from a bot, or by an agent to others. No queue: the policy's."""

    task_id: str
    queue: str = ""
    reason: str = "explicit"
    fence: int | None = None
    context: dict[str, Any] = {}


class CompleteTask(Command, frozen=True, kw_only=True, tag="complete"):
    """Done with the customer: wrap-up begins, or ends where it had begun. No outcome: what was said, or `completed`."""

    task_id: str
    outcome: str = ""
    fence: int | None = None


class PauseTask(Command, frozen=True, kw_only=True, tag="pause"):
    task_id: str


class ResumeTask(Command, frozen=True, kw_only=True, tag="resume_task"):
    task_id: str


class PostponeTask(Command, frozen=True, kw_only=True, tag="postpone"):
    """The customer will be called back: keeps its age; not before `open_ns`, or (0) as soon as it is its turn."""

    task_id: str
    open_ns: int = 0


class Signal(Command, frozen=True, kw_only=True, tag="signal"):
    """Something happened in the conversation."""

    task_id: str
    source: str = "customer"
    """customer, or the holder's resource id."""
    sentiment: float | None = None
    is_turn: bool = False
    """A bot's turn is over; `is_failed`: it did not help."""
    is_failed: bool = False
    wants_human: bool = False
    fence: int | None = None
    queue: str = ""
    """Where a new decision on the message would send it."""
    context: dict[str, Any] = {}


class Accept(Command, frozen=True, kw_only=True, tag="accept"):
    offer_id: str
    resource_id: str = ""
    fence: int | None = None


class Decline(Command, frozen=True, kw_only=True, tag="decline"):
    offer_id: str
    resource_id: str = ""
    reason: str = ""


class PutResource(Command, frozen=True, kw_only=True, tag="put_resource"):
    """A resource as it shall be; what it holds stays with it."""

    id: str
    kind: str = "agent"
    name: str = ""
    queues: tuple[str, ...]
    channels: dict[str, ChannelLimit]
    capacity: int | None = None
    """None: what its channels allow, each by itself (router/assign/capacity.py)."""
    reserve: int = 0
    skills: dict[str, int] = {}
    attributes: dict[str, Any] = {}
    cost: float = 0.0
    success: float = 1.0


class SetPresence(Command, frozen=True, kw_only=True, tag="presence"):
    """`presence`: available, busy, away, draining, offline. Another `session` than before ends the one before."""

    resource_id: str
    presence: str
    reason: str = ""
    session: str = ""


class Suspect(Command, frozen=True, kw_only=True, tag="suspect"):
    """Its heartbeat is overdue (router/desk/lease.py tells)."""

    resource_id: str
    session: str = ""


class Restore(Command, frozen=True, kw_only=True, tag="restore"):
    """A suspect's heartbeat is back, with the same session."""

    resource_id: str
    session: str = ""


class SetQueue(Command, frozen=True, kw_only=True, tag="set_queue"):
    """Open or close by hand; None: by its hours."""

    queue: str
    is_open: bool | None


class Pair(msgspec.Struct, frozen=True, array_like=True):
    """A task and a resource that were matched outside, and the score."""

    task_id: str
    resource_id: str
    score: float = 0.0


class Propose(Command, frozen=True, kw_only=True, tag="propose"):
    """The answer to a `Matching`, or a part of it: pairs that are offered where they still can be.

    The most urgent of a class are to be in the first part.
    """

    number: int
    pairs: tuple[Pair, ...]
    has_more: bool = False
    """Another part follows. A part of which nothing holds ends the matching all the same."""


AnyCommand = (
    Configure | Resume | Tick | CreateTask | UpdateTask | CancelTask | RequeueTask | TransferTask | EscalateTask
    | CompleteTask | PauseTask | ResumeTask | PostponeTask | Signal | Accept | Decline | PutResource | SetPresence
    | Suspect | Restore | SetQueue | Propose
)  # fmt: skip
