"""WS /v1/agents/{id}/stream: what an agent is asked and holds, pushed; what it says, answered.

Pushes follow the level, not the edge: when the last durable event of a task is out, the agents whose offer or
assignment it is, or was, are told how it stands. So nothing is told that is not durable, and every message is whole.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from router.assign.transition import TaskState
from router.desk.record import shelf_of
from router.http.access import Who
from router.http.agent_request import answer
from router.http.errors import Malformed
from router.http.message import (
    Message,
    OfferGone,
    OfferMade,
    ResourceChanged,
    TaskGone,
    TaskHeld,
    Welcome,
    encode,
)
from router.http.path import ID, id_of
from router.http.render import holder_of, offer_view, pending, resource_view, task_view, work_of
from router.http.resources import BEATS, new_session
from router.http.socket import NO_REQUESTS, REPLACED, TRY_AGAIN, Socket
from router.http.submission import desk_of, settled
from router.log import LogError

if TYPE_CHECKING:
    from aiohttp import web

    from router.assembly import App
    from router.assign.entity import Task
    from router.assign.event import Event
    from router.desk.desk import Desk
    from router.http.access import Access
    from router.http.socket import Sockets
    from router.http.view import TaskView

_MOST_UNDER_WAY = 64
"""Requests of one stream that wait for the log; the next one is read when one of them is answered."""
_MOST_BAD = 20
_HELD = ""
"""Told of a task: that it is the agent's. Else the id of an offer."""


class AgentStreams:
    """All of them, by agent."""

    def __init__(self, app: App, access: Access, sockets: Sockets) -> None:
        self._app, self._access, self._sockets = app, access, sockets
        self._streams: dict[str, set[AgentStream]] = {}
        self._told: dict[str, set[AgentStream]] = {}  # by task
        self._cursor = "0-0"
        if app.desk is not None:
            self._desk = app.desk
            app.desk.subscribe(self._publish)

    async def get(self, app: App, request: web.BaseRequest) -> web.StreamResponse:
        """Until either side ends it."""
        desk, name = desk_of(app), id_of(request)
        who = self._access.of(request, is_stream=True)
        self._access.check_origin(request)
        who.require_self(name)
        desk.state.resource(name)
        session = request.query.get("session") or new_session()
        if not ID.match(session):
            raise Malformed("session: letters, digits and `_.:@+~-`, up to 128")
        socket = Socket(request)
        self._sockets.add(socket)
        try:
            response = await socket.open()
            stream = AgentStream(app, desk, socket, name, session, self._told)
            self._streams.setdefault(name, set()).add(stream)
            try:
                await self._welcome(stream, socket)
                await stream.listen()
            finally:
                stream.forget()
                self._streams[name].discard(stream)
                if not self._streams[name]:
                    del self._streams[name]
        finally:
            self._sockets.remove(socket)
            await socket.close()
        return response

    async def _welcome(self, stream: AgentStream, socket: Socket) -> None:
        hello = encode(stream.welcome(self._cursor))
        try:
            await settled(self._app)
        except LogError as error:
            socket.finish(TRY_AGAIN, f"connect again: {error}")
        else:
            socket.start(hello)

    def _publish(self, events: tuple[Event, ...]) -> None:
        self._cursor = events[-1].id
        if not self._streams:
            return
        state = self._desk.state
        for event in {shelf_of(event): event for event in events}.values():  # the last of each
            if event.type.startswith("resource."):
                for stream in self._streams.get(event.subject, ()):
                    stream.tell_resource(event)
            elif event.type.startswith(("task.", "offer.")):
                task = state.tasks.get(event.subject)
                if task is None or task.seq == event.seq:  # else it has gone on, and more is to follow
                    for stream in self._concerned(event.subject, task):
                        stream.tell_task(event, task)

    def _concerned(self, task_id: str, task: Task | None) -> list[AgentStream]:
        found = set(self._told.get(task_id, ()))
        if task is not None:
            names = {offer.resource_id for offer in pending(task)}
            if (holder := holder_of(task)) is not None:
                names.add(holder)
            for name in names:
                found |= self._streams.get(name, set())
        return list(found)


class AgentStream:
    """One socket of one agent."""

    def __init__(
        self, app: App, desk: Desk, socket: Socket, name: str, session: str, index: dict[str, set[AgentStream]]
    ) -> None:
        self._app, self._desk, self._socket, self._name, self._session = app, desk, socket, name, session
        self._index = index
        self._told: dict[str, str] = {}  # by task: `_HELD`, or the offer
        self._is_signed = False  # whether this session has been the one in force
        self._requests: set[asyncio.Task[None]] = set()

    def welcome(self, cursor: str) -> Welcome:
        """All that there is. What is told later is newer."""
        desk = self._desk
        resource, lease = desk.state.resource(self._name), desk.state.policy.lease
        if resource.session == self._session:
            self._is_signed = True
            desk.heartbeat(self._name, self._session)
        work = work_of(desk.state, resource, desk.now_ns())
        for offered in work.offers:
            self._note(offered.task.id, offered.offer.id)
        for task in work.tasks:
            self._note(task.id, _HELD)
        return Welcome(
            session=self._session,
            now=work.now,
            cursor=cursor,
            heartbeat_s=lease.ttl_s / BEATS,
            lease_s=lease.ttl_s,
            grace_s=lease.grace_s,
            resource=work.resource,
            offers=work.offers,
            tasks=work.tasks,
        )

    # What is pushed.

    def tell_resource(self, event: Event) -> None:
        resource = self._desk.state.resources[self._name]
        if resource.session == self._session:
            self._is_signed = True
        elif self._is_signed:
            self._socket.finish(REPLACED, "another session has signed in for this resource")
            return
        if resource.seq == event.seq:
            self._send(ResourceChanged(cursor=event.id, event=event.type, resource=resource_view(resource)))

    def tell_task(self, event: Event, task: Task | None) -> None:
        """How a task stands with this agent now; nothing where it never was its business."""
        before = self._told.get(event.subject)
        if task is not None and holder_of(task) == self._name:
            self._tell_gone(event, task, before)
            self._note(task.id, _HELD)
            self._send(TaskHeld(cursor=event.id, event=event.type, task=self._view(task)))
            return
        offer = next((each for each in pending(task) if each.resource_id == self._name), None) if task else None
        if task is None or offer is None:
            self._tell_gone(event, task, before)
            if before == _HELD:
                state, queue = (task.state.value, task.queue) if task else (TaskState.COMPLETED.value, "")
                gone = TaskGone(cursor=event.id, event=event.type, task_id=event.subject, state=state, queue=queue)
                self._send(gone)
            self._drop(event.subject)
        elif before != offer.id:
            self._tell_gone(event, task, before)
            self._note(task.id, offer.id)
            shown = offer_view(offer, self._desk.now_ns())
            self._send(OfferMade(cursor=event.id, offer=shown, task=self._view(task)))

    def _tell_gone(self, event: Event, task: Task | None, offer_id: str | None) -> None:
        """An offer that was told of stands no more."""
        if not offer_id:
            return
        offer = next((each for each in task.offers if each.id == offer_id), None) if task else None
        state, reason = ("rescinded", "") if offer is None else (offer.state.value, offer.reason)
        gone = OfferGone(cursor=event.id, offer_id=offer_id, task_id=event.subject, state=state, reason=reason)
        self._send(gone)

    def _view(self, task: Task) -> TaskView:
        desk = self._desk
        return task_view(desk.state, task, desk.now_ns())

    def _send(self, message: Message) -> None:
        self._socket.send(encode(message))

    def _note(self, task_id: str, what: str) -> None:
        self._told[task_id] = what
        self._index.setdefault(task_id, set()).add(self)

    def _drop(self, task_id: str) -> None:
        if self._told.pop(task_id, None) is not None:
            self._index[task_id].discard(self)
            if not self._index[task_id]:
                del self._index[task_id]

    def forget(self) -> None:
        """It is closed. What it has asked is done all the same: a browser signs out and leaves."""
        for task_id in list(self._told):
            self._drop(task_id)

    # What is said.

    async def listen(self) -> None:
        """Take requests in their order, and answer each when it is durable."""
        room, bad = asyncio.Semaphore(_MOST_UNDER_WAY), 0
        who = Who("agent", self._name)  # whoever opened it: here nobody acts for another

        async def serve(text: str | None) -> None:
            nonlocal bad
            try:
                reply = await answer(self._app, who, self._session, text)
                bad += reply.ref is None and reply.status == 400  # noqa: PLR2004
                self._send(reply)
                if bad > _MOST_BAD:
                    self._socket.finish(NO_REQUESTS, "too many messages that are no requests")
            finally:
                room.release()

        async for text in self._socket.messages():
            if self._is_signed:
                self._desk.heartbeat(self._name, self._session)
            await room.acquire()
            request = asyncio.get_running_loop().create_task(serve(text))
            self._requests.add(request)
            request.add_done_callback(self._requests.discard)
