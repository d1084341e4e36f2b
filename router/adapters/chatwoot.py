"""Chatwoot's webhooks as commands, and assignments as calls of its API. Pure.

A conversation is one task while it is open; its number is in the task's id, so that events tell which conversation they
are about without a look anywhere.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from router.adapters.desk import is_same
from router.assign.command import (
    CancelTask,
    Command,
    CompleteTask,
    CreateTask,
    PauseTask,
    RequeueTask,
    ResumeTask,
    Signal,
    TransferTask,
)
from router.assign.transition import TERMINAL, WAITING, TaskState
from router.webhooks.message import Call

if TYPE_CHECKING:
    from router.adapters.settings import ChatwootSettings
    from router.assign.entity import Task
    from router.assign.event import Event

NAME = "chatwoot"
SIGNATURE, TIMESTAMP, DELIVERY = "X-Chatwoot-Signature", "X-Chatwoot-Timestamp", "X-Chatwoot-Delivery"
# Chatwoot's advice to receivers: about five minutes.
_MOST_SKEW_S = 300
CREATED, STATUS, UPDATED, MESSAGE = (
    "conversation_created",
    "conversation_status_changed",
    "conversation_updated",
    "message_created",
)
_PRIORITIES = {"low": -1, "medium": 0, "high": 1, "urgent": 2}
_INCOMING = frozenset(("incoming", 0))
_HELD = frozenset((TaskState.ASSIGNED, TaskState.PAUSED))
_S = 1_000_000_000
_ECHO_NS = 60 * _S
_MOST_ECHOES = 10_000
NOBODY = 0
# What is Chatwoot's to choose, kept far within the bounds of a context from `POST /v1/tasks`: a conversation that
# was refused for its labels would be a customer whom nobody helps.
_MOST_LABELS, _MOST_LABEL_CHARS = 100, 128
_Number = Annotated[int, Meta(le=2**63 - 1)]
"""What a log can hold."""


class Named(msgspec.Struct, frozen=True, kw_only=True):
    id: _Number | None = None


class People(msgspec.Struct, frozen=True, kw_only=True):
    assignee: Named | None = None
    sender: Named | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a conversation that is used; the rest of a payload is not read."""

    id: Annotated[_Number, Meta(ge=1)]
    """Its number in the account, as API and URLs have it."""
    inbox_id: _Number | None = None
    channel: Annotated[str, Meta(max_length=200)] | None = None
    status: Annotated[str, Meta(max_length=50)] = ""
    priority: Annotated[str, Meta(max_length=50)] | None = None
    labels: tuple[str, ...] = ()
    meta: People = People()

    @property
    def kept_labels(self) -> list[str]:
        """Those that a task's context has."""
        return [label for label in self.labels if len(label) <= _MOST_LABEL_CHARS][:_MOST_LABELS]

    @property
    def left_out(self) -> str:
        """What a task's context does not have; empty: it has all."""
        missing = len(self.labels) - len(self.kept_labels)
        if not missing:
            return ""
        bounds = f"{_MOST_LABELS} of up to {_MOST_LABEL_CHARS} characters are kept"
        return f"{missing} of {len(self.labels)} labels left out: {bounds}"


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What tells events apart; those of conversations have a conversation's fields beside it, a message's inside."""

    event: Annotated[str, Meta(min_length=1, max_length=100)]
    account: Named | None = None
    changed_attributes: tuple[dict[str, Any], ...] | None = None
    message_type: str | int | None = None


class MessageEvent(msgspec.Struct, frozen=True, kw_only=True):
    conversation: Conversation


class Situation(NamedTuple):
    """What Takt knows of an event's conversation and of its assignee."""

    task: Task | None
    """The conversation's open task."""
    agent: str
    """The assignee's resource; empty: nobody is assigned."""
    new_id: str


def is_authentic(settings: ChatwootSettings, headers: Any, token: str, body: bytes, now_s: int) -> bool:  # noqa: ANN401
    """Signed with the secret lately, or, without one, with the token in its URL. Args: headers: a mapping."""
    if not settings.secret:
        return is_same(token, settings.token)
    timestamp = headers.get(TIMESTAMP, "")
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(now_s - int(timestamp[:12])) > _MOST_SKEW_S:
        return False
    expected = hmac.new(settings.secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return is_same(headers.get(SIGNATURE), f"sha256={expected}")


def task_prefix(account: int, conversation: int | str) -> str:
    return f"{NAME}-{account}-{conversation}-"


def dedupe_key(account: int, conversation: int) -> str:
    return f"{NAME}:{account}:{conversation}"


def is_assignment(event: WebhookEvent) -> bool:
    """Whether it tells that somebody else, or nobody, has the conversation now."""
    return event.event == UPDATED and any("assignee_id" in each for each in event.changed_attributes or ())


def translate(
    event: WebhookEvent, talk: Conversation, now: Situation, settings: ChatwootSettings, delivery: str
) -> tuple[Command, ...]:
    """The commands that make Takt's books agree with the event; none: they do."""
    task = now.task if now.task is not None and now.task.state not in TERMINAL else None
    if event.event in {CREATED, STATUS} and talk.status == "open":
        if task is None:
            key = f"{dedupe_key(settings.account, talk.id)}:created" if event.event == CREATED else delivery
            return _open(talk, now, settings, key)
        return (ResumeTask(task_id=task.id),) if task.state is TaskState.PAUSED else ()
    if task is None or task.state is TaskState.WRAPPING:
        return ()
    if event.event == STATUS:
        return _leave(task, talk.status)
    if is_assignment(event):
        return _reassign(task, now.agent)
    is_heard = event.event == MESSAGE and event.message_type in _INCOMING
    return (Signal(task_id=task.id, source="customer"),) if is_heard else ()


def _open(talk: Conversation, now: Situation, settings: ChatwootSettings, key: str) -> tuple[Command, ...]:
    sender = talk.meta.sender
    create = CreateTask(
        key=f"{NAME}:{key}" if key else "",
        id=now.new_id,
        queue=settings.inboxes.get(str(talk.inbox_id), settings.queue),
        channel=settings.channels.get(talk.channel or "", settings.channel),
        dedupe_key=dedupe_key(settings.account, talk.id),
        customer_id="" if sender is None or sender.id is None else f"{NAME}-{sender.id}",
        priority=_PRIORITIES.get(talk.priority or ""),
        preferred=(now.agent,) if now.agent else (),
        context={NAME: {"account": settings.account, "conversation": talk.id, "labels": talk.kept_labels}},
    )
    if not now.agent:
        return (create,)
    return create, TransferTask(task_id=now.new_id, resource_id=now.agent, is_forced=True)


def _leave(task: Task, status: str) -> tuple[Command, ...]:
    """Resolved; snoozed; or (pending) with a bot of Chatwoot's."""
    if status == "snoozed" and task.state in _HELD:
        return (PauseTask(task_id=task.id),) if task.state is TaskState.ASSIGNED else ()
    if status == "resolved" and task.state in _HELD:
        return (CompleteTask(task_id=task.id),)
    return (CancelTask(task_id=task.id, reason="deflected" if status == "pending" else "caller"),)


def _reassign(task: Task, agent: str) -> tuple[Command, ...]:
    """By hand in Chatwoot: that goes before what Takt had decided."""
    holder = "" if task.assignment is None else task.assignment.resource_id
    if agent == holder:
        return ()
    if agent:
        return (TransferTask(task_id=task.id, resource_id=agent, is_forced=True),)
    return () if task.state in WAITING else (RequeueTask(task_id=task.id),)


class Assignments:
    """Tells Chatwoot who has a conversation: a destination of events, as a webhook is one."""

    def __init__(self, settings: ChatwootSettings) -> None:
        self._prefix = f"{NAME}-{settings.account}-"
        self._agent_prefix = settings.agent_prefix
        self._url = f"{settings.url.rstrip('/')}/api/v1/accounts/{settings.account}/conversations/"
        self._headers = {"Content-Type": "application/json", "api_access_token": settings.api_token}
        self._echoes: OrderedDict[tuple[int, int], int] = OrderedDict()  # (conversation, assignee) and until when

    @property
    def url(self) -> str:
        return self._url

    def wants(self, event: Event) -> bool:
        return event.subject.startswith(self._prefix) and self._assignee(event) is not None

    def call(self, event: Event, now_ns: int) -> Call:
        """https://developers.chatwoot.com/api-reference/conversation-assignments/assign-conversation."""
        assignee = self._assignee(event)
        assert assignee is not None  # noqa: S101 - it was wanted
        conversation = int(event.subject.removeprefix(self._prefix).partition("-")[0])
        self._echoes[conversation, assignee] = now_ns + _ECHO_NS
        self._echoes.move_to_end((conversation, assignee))
        if len(self._echoes) > _MOST_ECHOES:
            self._echoes.popitem(last=False)
        body = msgspec.json.encode({"assignee_id": assignee})
        return Call(f"{self._url}{conversation}/assignments", self._headers, body)

    def is_echo(self, conversation: int, assignee: int, now_ns: int) -> bool:
        """Whether a change of the assignee is one that Takt has asked for and not been told of yet."""
        until_ns = self._echoes.pop((conversation, assignee), None)
        return until_ns is not None and now_ns <= until_ns

    def _assignee(self, event: Event) -> int | None:
        """The user that an event assigns, 0 where it takes the conversation away; None: neither."""
        if event.type == "task.assigned":
            digits = str(event.data["resource_id"])
            if not digits.startswith(self._agent_prefix):
                return None
            digits = digits.removeprefix(self._agent_prefix)
            return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None  # noqa: PLR2004
        is_taken_away = event.type in {"task.requeued", "task.released"} and "handled_s" in event.data
        return NOBODY if is_taken_away else None
