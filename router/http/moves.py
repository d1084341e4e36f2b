"""What can be asked of a task or an offer: the bodies, and the commands they become. HTTP and streams share it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from msgspec import UNSET, Meta, UnsetType, field

from router.assign.command import (
    CancelTask,
    CompleteTask,
    CreateTask,
    EscalateTask,
    PauseTask,
    PostponeTask,
    RequeueTask,
    ResumeTask,
    Signal,
    TransferTask,
    UpdateTask,
)
from router.http import codec
from router.http.errors import Forbidden, Malformed
from router.http.path import GivenId, GivenName
from router.http.submission import Body, Nothing

if TYPE_CHECKING:
    from router.assign.command import Command
    from router.assign.entity import Task
    from router.http.access import Who

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Reason = Annotated[str, Meta(max_length=256)]
Given = Annotated[str, Meta(max_length=256)]
"""An id of the client's own, that is only kept."""
Level = Annotated[int, Meta(ge=1, le=5)]
Skills = Annotated[dict[GivenName, Level], Meta(max_length=64)]
Names = Annotated[tuple[GivenId, ...], Meta(max_length=64)]
Priority = Annotated[int, Meta(ge=-100, le=100)]
Fence = Annotated[int, Meta(ge=0, le=2**53)]
Context = dict[Annotated[str, Meta(max_length=128)], Any]
Time = Annotated[datetime, Meta(tz=True)]
Seconds = Annotated[float, Meta(gt=0, le=7_776_000)]


class Create(Body, frozen=True, kw_only=True):
    """A task. `open_at`: a callback, queued then."""

    queue: GivenName
    id: GivenId | None = None
    channel: GivenName = "chat"
    interaction_id: Given = ""
    decision_id: Given = ""
    customer_id: Given = ""
    dedupe_key: Given = ""
    priority: Priority | None = None
    service_class: GivenName | None = None
    skills: Skills = field(default_factory=dict)
    preferred: Names = ()
    excluded: Names = ()
    context: Context = field(default_factory=dict)
    weight: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    target_s: Seconds | None = None
    ttl_s: Seconds | None = None
    open_at: Time | None = None
    is_callback: bool = False
    customer_lease_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.0


class Update(Body, frozen=True, kw_only=True):
    """What is left out stays; `context` is merged."""

    priority: Priority | UnsetType = UNSET
    service_class: GivenName | UnsetType = UNSET
    skills: Skills | UnsetType = UNSET
    preferred: Names | UnsetType = UNSET
    context: Context = field(default_factory=dict)


class Cancel(Body, frozen=True, kw_only=True):
    reason: Literal["caller", "abandoned", "deflected", "duplicate"] = "caller"


class Requeue(Body, frozen=True, kw_only=True):
    """`is_excluding`: not to whom it comes from, for a while."""

    is_excluding: bool = False


class Transfer(Body, frozen=True, kw_only=True):
    """`queue` or `resource_id`. `is_forced`: a supervisor assigns it whatever the capacity."""

    queue: GivenName | None = None
    resource_id: GivenId | None = None
    is_forced: bool = False
    is_age_reset: bool = False
    context: Context = field(default_factory=dict)


class Escalate(Body, frozen=True, kw_only=True):
    """From a bot to people. Without a queue: where queues.toml says."""

    queue: GivenName | None = None
    reason: Reason = "explicit"
    fence: Fence | None = None
    context: Context = field(default_factory=dict)


class Complete(Body, frozen=True, kw_only=True):
    """First the talk ends, then the wrap-up."""

    outcome: Annotated[str, Meta(max_length=64, description="empty: what was said before, or `completed`")] = ""
    fence: Fence | None = None


class Callback(Body, frozen=True, kw_only=True):
    """Without a time: when it is its turn."""

    open_at: Time | None = None


class Signals(Body, frozen=True, kw_only=True):
    """`text`: what was said; the router decides on it anew."""

    source: GivenId = "customer"
    text: Annotated[str, Meta(min_length=1, max_length=16_384, pattern=r"^[^\x00]*$")] | None = None
    sentiment: Annotated[float, Meta(ge=-1, le=1)] | None = None
    is_turn: bool = False
    is_failed: bool = False
    wants_human: bool = False
    fence: Fence | None = None
    queue: GivenName | None = None
    context: Context = field(default_factory=dict)


class Accepting(Body, frozen=True, kw_only=True):
    """Who accepts, if not the offer's own; `fence`: the offer's, as it was told."""

    resource_id: GivenId | None = None
    fence: Fence | None = None


class Declining(Body, frozen=True, kw_only=True):
    resource_id: GivenId | None = None
    reason: Reason = ""


Role = Literal["supervisor", "agent", "caller"]
Identity = dict[str, Any]


class Move(NamedTuple):
    """One thing that can be done to a task, by whom, and as which command."""

    decoder: codec.Decoder
    roles: frozenset[Role]
    command: Callable[[str, Any, Identity], Command]


def _move(body: type[Body], command: Callable[[str, Any, Identity], Command], *others: Role) -> Move:
    return Move(codec.Decoder(body), frozenset(("supervisor", *others)), command)


def ns_of(at: datetime | None) -> int:
    """0 for none. Raises: Malformed: it is beyond what ns since 1970 can say."""
    if at is None:
        return 0
    ns = (at - _EPOCH) // timedelta(microseconds=1) * 1_000
    if not 0 < ns < 1 << 62:
        raise Malformed("Expected a time from 1970 to 2116 - at `$.open_at`")
    return ns


def create(task_id: str, body: Create, identity: Identity) -> CreateTask:
    return CreateTask(
        id=task_id,
        queue=body.queue,
        channel=body.channel,
        interaction_id=body.interaction_id,
        decision_id=body.decision_id,
        customer_id=body.customer_id,
        dedupe_key=body.dedupe_key,
        priority=body.priority,
        service_class=body.service_class or "",
        skills=body.skills,
        preferred=body.preferred,
        excluded=body.excluded,
        context=checked(body.context),
        weight=body.weight,
        target_s=body.target_s,
        ttl_s=body.ttl_s,
        open_ns=ns_of(body.open_at),
        is_callback=body.is_callback or body.open_at is not None,
        customer_lease_s=body.customer_lease_s,
        **identity,
    )


def update(task_id: str, body: Update, if_version: int | None, identity: Identity) -> UpdateTask:
    return UpdateTask(
        task_id=task_id,
        if_version=if_version,
        priority=None if body.priority is UNSET else body.priority,
        service_class=None if body.service_class is UNSET else body.service_class,
        skills=None if body.skills is UNSET else body.skills,
        preferred=None if body.preferred is UNSET else body.preferred,
        context=checked(body.context),
        **identity,
    )


def _cancel(task_id: str, body: Cancel, identity: Identity) -> Command:
    return CancelTask(task_id=task_id, reason=body.reason, **identity)


def _requeue(task_id: str, body: Requeue, identity: Identity) -> Command:
    return RequeueTask(task_id=task_id, is_excluding=body.is_excluding, **identity)


def _transfer(task_id: str, body: Transfer, identity: Identity) -> Command:
    if body.is_forced and identity["actor"] != "supervisor":
        raise Forbidden("is_forced: only a supervisor can")
    return TransferTask(
        task_id=task_id,
        queue=body.queue or "",
        resource_id=body.resource_id or "",
        is_forced=body.is_forced,
        is_age_reset=body.is_age_reset,
        context=checked(body.context),
        **identity,
    )


def _escalate(task_id: str, body: Escalate, identity: Identity) -> Command:
    return EscalateTask(
        task_id=task_id,
        queue=body.queue or "",
        reason=body.reason,
        fence=body.fence,
        context=checked(body.context),
        **identity,
    )


def _complete(task_id: str, body: Complete, identity: Identity) -> Command:
    return CompleteTask(task_id=task_id, outcome=body.outcome, fence=body.fence, **identity)


def _callback(task_id: str, body: Callback, identity: Identity) -> Command:
    return PostponeTask(task_id=task_id, open_ns=ns_of(body.open_at), **identity)


def _signal(task_id: str, body: Signals, identity: Identity) -> Signal:
    return Signal(
        task_id=task_id,
        source=body.source,
        sentiment=body.sentiment,
        is_turn=body.is_turn,
        is_failed=body.is_failed,
        wants_human=body.wants_human,
        fence=body.fence,
        queue=body.queue or "",
        context=checked(body.context),
        **identity,
    )


MOVES: dict[str, Move] = {
    "cancel": _move(Cancel, _cancel, "agent", "caller"),
    "requeue": _move(Requeue, _requeue, "agent"),
    "transfer": _move(Transfer, _transfer, "agent"),
    "escalate": _move(Escalate, _escalate, "agent"),
    "complete": _move(Complete, _complete, "agent"),
    "pause": _move(Nothing, lambda task_id, _, identity: PauseTask(task_id=task_id, **identity), "agent"),
    "resume": _move(Nothing, lambda task_id, _, identity: ResumeTask(task_id=task_id, **identity), "agent"),
    "callback": _move(Callback, _callback, "caller"),
    "signals": _move(Signals, _signal, "agent", "caller"),
}


def checked(context: Context) -> Context:
    """Raises: Malformed: conditions could not read it."""
    codec.check_context(context, "$.context", codec.LOG_BITS)
    return context


def is_task_of(task: Task, resource_id: str) -> bool:
    """Whether it is, or was last, this resource's."""
    return task.assignment is not None and task.assignment.resource_id == resource_id


def require_holder(who: Who, task: Task) -> None:
    """Agents act for the tasks that are theirs. Raises: Forbidden."""
    if who.role == "agent" and not is_task_of(task, who.name):
        raise Forbidden(f"task {task.id} is not {who.name}'s, or is no more")
