"""What is said on streams: JSON text frames, told apart by `type` (docs/http-api.md)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from router.http.view import EventView, Offered, OfferView, QueueView, ResourceView, TaskBrief, TaskView

encode = msgspec.json.Encoder().encode


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base."""


class Welcome(Message, frozen=True, kw_only=True, tag="hello"):
    """The first to an agent: all its work. `cursor`: of the last event that was told before."""

    session: str
    now: str
    cursor: str
    heartbeat_s: float
    lease_s: float
    grace_s: float
    resource: ResourceView
    offers: list[Offered]
    tasks: list[TaskView]


class OfferMade(Message, frozen=True, kw_only=True, tag="offer"):
    cursor: str
    offer: OfferView
    task: TaskView


class OfferGone(Message, frozen=True, kw_only=True, tag="offer_gone"):
    cursor: str
    offer_id: str
    task_id: str
    state: str
    reason: str


class TaskHeld(Message, frozen=True, kw_only=True, tag="task"):
    """A task of the agent's: new, or changed."""

    cursor: str
    event: str
    task: TaskView


class TaskGone(Message, frozen=True, kw_only=True, tag="task_gone"):
    """It is the agent's no more."""

    cursor: str
    event: str
    task_id: str
    state: str
    queue: str


class ResourceChanged(Message, frozen=True, kw_only=True, tag="resource"):
    cursor: str
    event: str
    resource: ResourceView


class Reply(Message, frozen=True, kw_only=True, tag="reply"):
    """To a client's message. `body`: what HTTP would answer, also where it is a problem."""

    ref: str | None
    status: int
    body: msgspec.Raw


class Overview(Message, frozen=True, kw_only=True, tag="hello"):
    """The first to a supervisor. `resumed`: all since the cursor follows, so there is nothing more to say."""

    now: str
    cursor: str
    resumed: bool
    queues: list[QueueView] | UnsetType = UNSET
    resources: list[ResourceView] | UnsetType = UNSET
    tasks: list[TaskBrief] | UnsetType = UNSET
    is_cut: bool | UnsetType = UNSET


class Happened(Message, frozen=True, kw_only=True, tag="event"):
    """An event, and what it was about as that is now."""

    cursor: str
    event: EventView
    task: TaskBrief | UnsetType = UNSET
    resource: ResourceView | UnsetType = UNSET
    queue: QueueView | UnsetType = UNSET


class QueuesNow(Message, frozen=True, kw_only=True, tag="stats"):
    now: str
    queues: list[QueueView]


class Pong(Message, frozen=True, kw_only=True, tag="pong"):
    ref: Any = None
