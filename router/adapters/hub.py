"""The adapters that are configured: what is known of rooms and conversations, around the pure translations."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from router.adapters import chatwoot, rocketchat
from router.adapters.desk import AgentOffline, Report, UnknownAgent, give
from router.adapters.selection import Selection
from router.assign.command import CancelTask, CreateTask
from router.assign.errors import Refused
from router.assign.transition import TERMINAL, WAITING, Presence, TaskState
from router.log.errors import LogUnavailable
from router.webhooks.schedule import RetryPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.adapters.desk import Desk
    from router.adapters.settings import AdapterSettings, ChatwootSettings, RocketChatSettings
    from router.assign.command import Command
    from router.assign.entity import Task
    from router.assign.event import Event
    from router.webhooks.hub import WebhookHub

_LOGGER = logging.getLogger("takt.adapters")
_S = 1_000_000_000
# As a webhook's by default. Who is assigned is old news after an hour; what is given up is kept for an operator.
_PLAN = RetryPlan(5 * _S, 600 * _S, 3_600 * _S, most_inflight=8, most_pending=1_000, most_dead=1_000)
_ENDED = frozenset(("task.completed", "task.canceled"))
_AGREES = "Takt's books agree with this already, or are not concerned"


def _check_agent(desk: Desk, resource_id: str, name: str) -> None:
    """Raises: UnknownAgent, AgentOffline."""
    resource = desk.state.resources.get(resource_id)
    if resource is None:
        raise UnknownAgent(f"{name}: there is no resource {resource_id!r}; PUT /v1/resources/{resource_id} first")
    if resource.presence is Presence.OFFLINE:
        raise AgentOffline(f"{name}: the resource {resource_id!r} is offline in Takt, so it can't hold a task")


async def _report(desk: Desk, commands: Sequence[Command], task_id: str | None) -> Report:
    if commands and await give(desk, commands):
        what = ", ".join(type(command).__name__ for command in commands)
        return Report(outcome="applied", detail=what, task_id=task_id)
    return Report(outcome="unchanged", detail=_AGREES, task_id=task_id)


class RocketChat:
    """Names agents, and follows what becomes of rooms. `start` when the engine has recovered."""

    def __init__(self, settings: RocketChatSettings, desk: Desk, next_id: Callable[[], str]) -> None:
        self.settings = settings
        self.selection = Selection(settings, desk, next_id)
        self._desk, self._next_id = desk, next_id
        self._rooms: dict[str, str] = {}  # room to open task
        self._room_of: dict[str, str] = {}  # the other way round
        self._strays: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Take up what a process before had begun."""
        for task in self._desk.state.tasks.values():
            known = task.context.get(rocketchat.CONTEXT)
            if isinstance(known, dict) and task.id.startswith(f"{rocketchat.CONTEXT}-") and task.state not in TERMINAL:
                if room := str(known.get("room", "")):
                    self._bind(room, task.id)
                else:
                    self.selection.hold(task.id)
        self._desk.subscribe(self.heard)

    async def next_agent(self, department: str | None, ignored_user: str) -> str | None:
        """The username of the agent for the next chat; None: nobody is free.

        Args: ignored_user: a user's id in Rocket.Chat, which a resource can have as its attribute `rocketchat_id`.
        Raises: Refused, LogUnavailable.
        """
        queue = rocketchat.queue_of(self.settings, department)
        resource_id = await self.selection.next_agent(queue, department, self._with_user_id(ignored_user))
        return None if resource_id is None else resource_id.removeprefix(self.settings.agent_prefix)

    async def take(self, event: rocketchat.OmnichannelEvent) -> Report:
        """An Omnichannel event. Raises: UnknownAgent, AgentOffline, Refused, LogUnavailable."""
        now = self._situation(event)
        commands = rocketchat.translate(event, now, self.settings)
        task_id = now.task.id if now.task is not None else None
        if not (event.type in rocketchat.TAKEN and now.agent and commands):
            return await _report(self._desk, commands, task_id)
        task_id = now.reserved or task_id or now.new_id
        _check_agent(self._desk, now.agent, "servedBy.username")
        self._bind(event.room, task_id)  # before anything is waited for: the same event may come twice
        self.selection.keep(task_id)
        try:
            return await _report(self._desk, commands, task_id)
        except Refused:
            self._unbind(task_id)
            await self._cancel(now.new_id)  # where there is one it must not wait for somebody in Takt
            raise

    def heard(self, events: Sequence[Event]) -> None:
        """Forget what is over. What lost its agent is over, too: Rocket.Chat, not Takt, decides what becomes of it."""
        self.selection.heard(events)
        tasks = self._desk.state.tasks
        for event in events:
            task = tasks.get(event.subject)
            if event.type in _ENDED:
                self.selection.keep(event.subject)
                self._unbind(event.subject)
            elif event.subject in self._room_of and task is not None and task.state in {*WAITING, TaskState.SCHEDULED}:
                stray = asyncio.get_running_loop().create_task(self._cancel(task.id))
                self._strays.add(stray)
                stray.add_done_callback(self._strays.discard)

    async def close(self) -> None:
        for stray in self._strays:
            stray.cancel()
        await asyncio.gather(*self._strays, return_exceptions=True)
        await self.selection.close()

    def _situation(self, event: rocketchat.OmnichannelEvent) -> rocketchat.Situation:
        agent = f"{self.settings.agent_prefix}{event.username}" if event.username else ""
        task_id = self._rooms.get(event.room, "")
        task = self._desk.state.tasks.get(task_id)
        reserved = self.selection.reserved_for(agent) if agent else ""
        return rocketchat.Situation(task, agent, reserved, f"{rocketchat.CONTEXT}-{self._next_id()}")

    def _with_user_id(self, user_id: str) -> str:
        resources = self._desk.state.resources.values() if user_id else ()
        return next((each.id for each in resources if each.attributes.get("rocketchat_id") == user_id), "")

    def _bind(self, room: str, task_id: str) -> None:
        self._rooms[room] = task_id
        self._room_of[task_id] = room

    def _unbind(self, task_id: str) -> None:
        room = self._room_of.pop(task_id, None)
        if room is not None and self._rooms.get(room) == task_id:
            del self._rooms[room]

    async def _cancel(self, task_id: str) -> None:
        with suppress(Refused, LogUnavailable):  # it has ended; or the event that its room is closed will end it
            await give(self._desk, [CancelTask(task_id=task_id)])


class Chatwoot:
    """Makes tasks of conversations; `assignments` tell Chatwoot who has them."""

    def __init__(self, settings: ChatwootSettings, desk: Desk, next_id: Callable[[], str]) -> None:
        self.settings = settings
        self.assignments = chatwoot.Assignments(settings)
        self._desk, self._next_id = desk, next_id

    async def take(
        self, event: chatwoot.WebhookEvent, talk: chatwoot.Conversation, delivery: str, now_ns: int
    ) -> Report:
        """A webhook. Raises: UnknownAgent, AgentOffline, Refused, LogUnavailable."""
        settings = self.settings
        if event.account is not None and event.account.id not in {None, settings.account}:
            return Report(outcome="unchanged", detail=f"account {event.account.id} is not adapters.chatwoot.account")
        assignee = talk.meta.assignee.id if talk.meta.assignee is not None else None
        task = self._task_of(talk.id)
        is_assignment = chatwoot.is_assignment(event)
        if is_assignment and self.assignments.is_echo(talk.id, assignee or chatwoot.NOBODY, now_ns):
            return Report(outcome="unchanged", detail="Takt has asked for this itself", task_id=_id_of(task))
        agent = f"{settings.agent_prefix}{assignee}" if assignee is not None else ""
        new_id = f"{chatwoot.task_prefix(settings.account, talk.id)}{self._next_id()}"
        commands = chatwoot.translate(event, talk, chatwoot.Situation(task, agent, new_id), settings, delivery)
        if agent and any(getattr(command, "resource_id", "") for command in commands):
            _check_agent(self._desk, agent, "meta.assignee.id")
        report = await _report(self._desk, commands, _id_of(task) or (new_id if commands else None))
        is_new = report.outcome == "applied" and any(isinstance(command, CreateTask) for command in commands)
        if not (is_new and talk.left_out):
            return report
        _LOGGER.warning("adapter_left_out", extra={"adapter": chatwoot.NAME, "task": new_id, "why": talk.left_out})
        return msgspec.structs.replace(report, detail=f"{report.detail}; {talk.left_out}")

    def _task_of(self, conversation: int) -> Task | None:
        state = self._desk.state
        return state.tasks.get(state.open_by_key.get(chatwoot.dedupe_key(self.settings.account, conversation), ""))


def _id_of(task: Task | None) -> str | None:
    return None if task is None else task.id


class AdapterHub:
    """Those of `[adapters]`. Safety: one event loop."""

    def __init__(self, settings: AdapterSettings, desk: Desk, next_id: Callable[[], str]) -> None:
        self.rocketchat = None if settings.rocketchat is None else RocketChat(settings.rocketchat, desk, next_id)
        self.chatwoot = None if settings.chatwoot is None else Chatwoot(settings.chatwoot, desk, next_id)
        self._desk = desk
        self._names = [name for name in settings.__struct_fields__ if getattr(settings, name) is not None]
        self._heartbeat: asyncio.TimerHandle | None = None

    def register(self, webhooks: WebhookHub) -> None:
        """Let those be told of events that tell their system by its API."""
        if (adapter := self.chatwoot) is not None:
            timeout_s = adapter.settings.timeout_ms / 1e3
            # No name of a webhook has a colon.
            webhooks.add(f"adapter:{chatwoot.NAME}", adapter.assignments.url, adapter.assignments, _PLAN, timeout_s)

    def start(self) -> None:
        """When the engine has recovered."""
        if self.rocketchat is not None:
            self.rocketchat.start()
        if self._names:
            self._keep_alive()

    async def close(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if self.rocketchat is not None:
            await self.rocketchat.close()

    def _keep_alive(self) -> None:
        """Agents who work elsewhere send no heartbeats: they are there until they are signed out."""
        state = self._desk.state
        for resource in state.resources.values():
            if resource.presence is not Presence.OFFLINE and resource.attributes.get("adapter") in self._names:
                self._desk.heartbeat(resource.id)
        self._heartbeat = asyncio.get_running_loop().call_later(state.policy.lease.ttl_s / 3, self._keep_alive)
