"""Rocket.Chat's Omnichannel webhooks as commands. Pure.

A room is one task. Its capacity was taken when Takt named the agent (selection.py); the events say which room that was
for, that a person took another room by hand or passed one on, and when it is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from router.assign.command import CancelTask, Command, CompleteTask, CreateTask, Signal, TransferTask, UpdateTask
from router.assign.transition import TERMINAL, WAITING, TaskState

if TYPE_CHECKING:
    from router.adapters.settings import RocketChatSettings
    from router.assign.entity import Task

CONTEXT = "rocketchat"
ROUTING_TOKEN, EVENTS_TOKEN = "X-RocketChat-Secret-Token", "X-RocketChat-Livechat-Token"
TAKEN = frozenset(("LivechatSessionTaken", "LivechatSessionForwarded"))
QUEUED, CLOSED, MESSAGE = "LivechatSessionQueued", "LivechatSession", "Message"
_Text = Annotated[str, Meta(min_length=1, max_length=200)]
_HELD = frozenset((TaskState.ASSIGNED, TaskState.PAUSED))


class User(msgspec.Struct, frozen=True, kw_only=True):
    username: Annotated[str, Meta(max_length=120)] = ""


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    agent_id: str | None = None
    """Missing in what the visitor says."""


class OmnichannelEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What all events have that is used here; the rest of a payload is not read."""

    type: _Text
    room: _Text = msgspec.field(name="_id")
    department_id: Annotated[str, Meta(max_length=200)] | None = None
    agent: User | None = None
    served_by: User | None = None
    messages: tuple[Message, ...] = ()

    @property
    def username(self) -> str:
        """Of who serves the room; empty: nobody."""
        who = self.served_by or self.agent
        return "" if who is None else who.username


class Situation(NamedTuple):
    """What Takt knows of an event's room and agent."""

    task: Task | None
    """The room's open task."""
    agent: str
    """The resource that serves it now; empty: none."""
    reserved: str
    """A task that holds the agent for a room which has not been heard of."""
    new_id: str


def queue_of(settings: RocketChatSettings, department: str | None) -> str:
    return settings.departments.get(department or "", settings.queue)


def dedupe_key(room: str) -> str:
    return f"{CONTEXT}:{room}"


def context_of(room: str, department: str | None) -> dict[str, Any]:
    return {CONTEXT: {"room": room, "department": department or ""}}


def translate(event: OmnichannelEvent, now: Situation, settings: RocketChatSettings) -> tuple[Command, ...]:
    """The commands that make Takt's books agree with the event; none: they do."""
    task = now.task
    if event.type in TAKEN and now.agent:
        return _take(event, now, settings)
    if task is None or task.state in TERMINAL:
        return ()
    if event.type == CLOSED:
        return _close(task)
    if event.type == QUEUED or event.type in TAKEN:  # passed on, and nobody has it yet: Rocket.Chat will ask
        return () if task.state is TaskState.WRAPPING else (CancelTask(task_id=task.id),)
    if event.type == MESSAGE and task.state in _HELD and any(each.agent_id is None for each in event.messages):
        return (Signal(task_id=task.id, source="customer"),)
    return ()


def _take(event: OmnichannelEvent, now: Situation, settings: RocketChatSettings) -> tuple[Command, ...]:
    task = now.task
    if task is not None and task.assignment is not None and task.assignment.resource_id == now.agent:
        return ()
    context = context_of(event.room, event.department_id)
    if now.reserved:  # the room that the agent was named for
        return (*(_close(task) if task else ()), UpdateTask(task_id=now.reserved, context=context))
    if task is not None and task.state is not TaskState.WRAPPING:
        return (TransferTask(task_id=task.id, resource_id=now.agent, is_forced=True),)
    if task is not None:
        return ()
    # Without a question before: taken by hand. It counts, even above the agent's capacity.
    create = CreateTask(
        id=now.new_id,
        queue=queue_of(settings, event.department_id),
        channel=settings.channel,
        dedupe_key=dedupe_key(event.room),
        preferred=(now.agent,),
        context=context,
    )
    return create, TransferTask(task_id=now.new_id, resource_id=now.agent, is_forced=True)


def _close(task: Task) -> tuple[Command, ...]:
    if task.state in _HELD:
        return (CompleteTask(task_id=task.id),)
    if task.state in WAITING or task.state is TaskState.SCHEDULED:
        return (CancelTask(task_id=task.id, reason="abandoned"),)
    return ()
