"""From a decision to the desk: a decision for a queue creates a task, or speaks of the one its session has open."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from router.assign.command import CreateTask, Signal
from router.assign.errors import Refused
from router.assign.transition import OfferState, TaskState
from router.assign.wait import expected_wait_s, newcomer_group, queue_wait_s
from router.domain.decision import OfferAnswer, Reason, TaskAnswer
from router.domain.interaction import TaskHints
from router.log import LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from router.assign.command import Command
    from router.assign.engine import Stepped
    from router.assign.entity import Task
    from router.assign.state import State
    from router.domain.decision import Decision, Target
    from router.policy.point import Request

_NO_HINTS = TaskHints()


class Desk(Protocol):
    """What this module needs of router/desk/desk.py."""

    @property
    def state(self) -> State: ...

    def submit_now(self, command: Command) -> tuple[Stepped, Awaitable[None]]: ...


class Begun(NamedTuple):
    """A task that is in the engine."""

    durable: Awaitable[None]
    """Resolves when it is in the log, so that `answer` may be told."""
    answer: TaskAnswer
    """As it is now: what happens to it meanwhile is told when that is in the log."""


class Handover:
    """Turns decisions into tasks. One event loop owns it."""

    def __init__(self, desk: Desk | None, deserted: State, *, keep_text: bool) -> None:
        """Without a desk no task is created.

        Args:
            deserted: the queues while nobody is there, which is all that is known until the desk has started.
            keep_text: whether agents see what the customer wrote, which puts it in the log.
        """
        self._desk = desk
        self._deserted = deserted
        self._keep_text = keep_text
        self.is_open = False
        """The desk has started, and has not been closed."""

    @property
    def _state(self) -> State:
        return self._desk.state if self._desk is not None and self.is_open else self._deserted

    def begin(self, request: Request, decision: Decision, target: Target) -> Begun | None:
        """Create the task, or tell the session's open one of the message; `decision.task` says what is known by then.

        None: there is none to wait for. A task that is refused is no error of the decision: its answer says why.
        """
        if self._desk is None:
            return None
        interaction, state = request.interaction, self._state
        key = interaction.session_id or interaction.id or ""
        task_id = f"t-{decision.decision_id}"
        command: Command
        if (opened := _open_task(state, key)) is not None:
            task_id = opened.id
            queue, wants_human = new_queue(state, opened, decision, target)
            command = Signal(
                task_id=task_id, wants_human=wants_human, queue=queue, context=interaction.context,
                key=request.key, digest=request.digest,
            )  # fmt: skip
        elif target.kind == "queue":
            command = self._create(task_id, key, request, decision, target)
        else:
            return None
        try:
            if not self.is_open:
                raise LogUnavailable("the tasks are being recovered, or the server is shutting down")  # noqa: TRY301
            stepped, durable = self._desk.submit_now(command)
        except (Refused, LogUnavailable) as error:
            decision.task = TaskAnswer(
                id=task_id, state="refused", queue=target.name, reason=error.code, detail=str(error)[:500]
            )
            return None
        decision.task = TaskAnswer(id=stepped.subject, state="pending")
        return Begun(durable, self._tell(stepped.subject))

    def _create(self, task_id: str, key: str, request: Request, decision: Decision, target: Target) -> CreateTask:
        interaction = request.interaction
        hints = interaction.task or _NO_HINTS
        known: dict[str, Any] = {"route": decision.route}
        if self._keep_text:
            known["text"] = interaction.text
        return CreateTask(
            id=task_id,
            queue=target.name,
            channel=interaction.channel,
            interaction_id=interaction.id or decision.decision_id,
            decision_id=decision.decision_id,
            customer_id=interaction.customer_id or "",
            dedupe_key=key,
            priority=hints.priority,
            service_class=hints.service_class,
            skills=hints.skills,
            preferred=hints.preferred,
            context={**known, **interaction.context},
            key=request.key,
            digest=request.digest,
        )

    def _tell(self, task_id: str) -> TaskAnswer:
        """The task as it is now."""
        state = self._state
        task = state.tasks.get(task_id)
        if task is None:  # it has ended, and nobody keeps ended ones
            return TaskAnswer(id=task_id, state="pending")
        wait_s = expected_wait_s(state, task) if task.state is TaskState.QUEUED else None
        return TaskAnswer(
            id=task.id,
            state=task.state.value,
            queue=task.queue,
            position=state.position_of(task) or None,
            ewt_s=None if wait_s is None else round(wait_s, 1),
            offer=_offer(state, task),
            open_at=_time(task.open_ns) if task.state is TaskState.SCHEDULED and task.open_ns else None,
            reason=task.outcome or ("closed" if task.state is TaskState.SCHEDULED else None),
        )

    def loads(self, names: Iterable[str]) -> dict[str, Any]:
        """What conditions may name: of each queue what waits and who is there. With nobody there a wait has no end.

        Cost: about 35 us a queue at 10,000 agents, once its requirement is known.
        """
        state, loads = self._state, {}
        for name in names:
            if name not in state.queues:
                continue
            wait_s, group = queue_wait_s(state, name), newcomer_group(state, name)
            loads[name] = {
                "waiting": state.queues[name].waiting,
                "ewt_s": inf if wait_s is None else wait_s,
                "agents": group.present,
                "free": len(group.free),
                "is_open": state.is_open(name),
            }
        return loads


def _open_task(state: State, key: str) -> Task | None:
    """The session's, as long as its conversation goes on."""
    task = state.tasks.get(state.open_by_key.get(key, "")) if key else None
    return None if task is None or task.state is TaskState.WRAPPING else task


def new_queue(state: State, task: Task, decision: Decision, target: Target) -> tuple[str, bool]:
    """Where a decision on a later message sends the task (empty: it stays), and whether the customer gets a person.

    A guard binds, here too. A model is believed only as long as no person has the task, or is waited for.
    """
    if target.kind != "queue":
        return "", False
    if decision.reason is Reason.GUARD:
        return target.name, True
    holder = None if task.assignment is None else state.resources.get(task.assignment.resource_id)
    is_sure = decision.reason in {Reason.MODEL, Reason.CACHE}
    return target.name if is_sure and holder is not None and holder.kind != "agent" else "", False


def _offer(state: State, task: Task) -> OfferAnswer | None:
    for offer in task.offers:
        if offer.state is OfferState.PENDING:
            left_s = max(0.0, (offer.expires_ns - state.now_ns) / 1e9)
            return OfferAnswer(id=offer.id, resource_id=offer.resource_id, expires_in_s=round(left_s, 1))
    return None


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat().replace("+00:00", "Z")
