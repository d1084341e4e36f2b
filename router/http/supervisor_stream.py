"""WS /v1/supervisor/stream: all that happens, in order, from a cursor on; and the whole picture to begin with."""

from __future__ import annotations

import asyncio
import logging
import re
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from router.assign.transition import TERMINAL, WAITING
from router.desk.record import shelf_of
from router.http.errors import Malformed
from router.http.message import Happened, Overview, Pong, QueuesNow, encode
from router.http.render import event_view, queue_views, resource_view, said, task_brief
from router.http.socket import INTERNAL, NO_REQUESTS, TRY_AGAIN, Socket
from router.http.stats import figures_of
from router.http.submission import desk_of, settled
from router.log import LogError
from router.webhooks.delivery import order_of
from router.webhooks.journal import JournalLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiohttp import web

    from router.assembly import App
    from router.assign.event import Event
    from router.assign.state import State
    from router.http.access import Access
    from router.http.socket import Sockets
    from router.http.view import ResourceView, TaskBrief

_LOGGER = logging.getLogger("takt.http")
TOPICS = ("task", "offer", "resource", "queue", "policy", "engine", "stats")
_MOST_BEHIND = 50_000
"""Commands that a stream can resume behind; from further back the whole picture is the shorter way."""
_PAGE = 200
"""Events that are read from the journal, and written to the socket, at once."""
_MOST_RESOURCES, _MOST_TASKS, _MOST_OF_QUEUE = 2_000, 1_000, 200
"""Of a hello."""
_SLICE = 50
_STATS_S = 1.0
_MOST_BAD = 20
_CURSOR = re.compile(r"(\d{1,18})-(\d{1,18})\Z")
Place = tuple[int, int]
"""Of an event: position, number."""


class Follower:
    """One socket and what it wants to hear of."""

    def __init__(self, socket: Socket, topics: frozenset[str]) -> None:
        self.socket, self.topics = socket, topics
        self.told: Place = (0, 0)
        """Up to here it has been told already."""


class SupervisorStreams:
    """All of them. Who comes back with a cursor is told what it missed from the journal."""

    def __init__(self, app: App, access: Access, sockets: Sockets) -> None:
        self._app, self._access, self._sockets = app, access, sockets
        self._followers: set[Follower] = set()
        self._last = "0-0"
        self._stats_timer: asyncio.TimerHandle | None = None
        if app.desk is not None:
            self._desk, self._log = app.desk, JournalLog(app.desk.journal)
            app.desk.subscribe(self._publish)

    async def get(self, app: App, request: web.BaseRequest) -> web.StreamResponse:
        """Until either side ends it."""
        desk_of(app)
        self._access.of(request, is_stream=True).require_supervisor()
        self._access.check_origin(request)
        topics, cursor = _topics(request), _cursor(request)
        socket = Socket(request)
        self._sockets.add(socket)
        follower = Follower(socket, topics)
        welcoming: asyncio.Task[None] | None = None
        try:
            response = await socket.open()
            welcoming = asyncio.get_running_loop().create_task(self._welcome(follower, cursor))
            await _listen(socket)
        finally:
            if welcoming is not None:
                welcoming.cancel()
            self._followers.discard(follower)
            self._sockets.remove(socket)
            await socket.close()
        return response

    async def _welcome(self, follower: Follower, cursor: str) -> None:
        """What is missed since the cursor, or the picture as it is."""
        try:
            if not (cursor and await self._resume(follower, cursor)):
                await self._show_all(follower)
        except LogError as error:
            follower.socket.finish(TRY_AGAIN, f"connect again: {error}")
        except Exception:
            _LOGGER.exception("unexpected_error")
            follower.socket.finish(INTERNAL, "an unexpected error; it has been logged")

    async def _resume(self, follower: Follower, cursor: str) -> bool:
        """Tell what was missed, page by page, as fast as it is read; then what happens. False: that is not possible."""
        socket, began = follower.socket, cursor
        behind = order_of(self._last)[0] - order_of(cursor)[0]
        if not 0 <= behind <= _MOST_BEHIND or order_of(cursor) > order_of(self._last):
            return False
        while True:
            page = await self._log.page(cursor, _PAGE)
            if page.has_gap or (not page.events and order_of(cursor) < order_of(self._last)):
                if cursor == began:
                    return False
                socket.finish(TRY_AGAIN, "what follows is no longer kept: connect again")
                return True
            if cursor == began:
                socket.start(encode(Overview(now=said(self._desk.now_ns()), cursor=cursor, resumed=True)))
            await self._send(follower, page.events)
            if not await socket.written():
                return True
            cursor = page.events[-1].id if page.events else cursor
            if order_of(cursor) >= order_of(self._last):
                follower.told = order_of(cursor)
                self._followers.add(follower)
                return True

    async def _send(self, follower: Follower, events: Sequence[Event]) -> None:
        newest = {shelf_of(event): event.seq for event in events}
        for number, event in enumerate(events, 1):
            if _topic(event) in follower.topics:
                follower.socket.send(self._encode(event, newest[shelf_of(event)]))
            if number % _SLICE == 0:
                await asyncio.sleep(0)

    async def _show_all(self, follower: Follower) -> None:
        """What happens meanwhile waits in the socket."""
        desk = self._desk
        self._followers.add(follower)
        last = self._last
        resources, tasks = [], []
        for view in _resources(desk.state):
            resources.append(view)
            if len(resources) % _SLICE == 0:
                await asyncio.sleep(0)
        names = sorted(desk.state.policy.queues)
        for brief in _tasks(desk.state, names, desk.now_ns()):
            tasks.append(brief)
            if len(tasks) % _SLICE == 0:
                await asyncio.sleep(0)
        state = desk.state
        is_cut = len(resources) < len(state.resources) or len(tasks) < len(state.tasks) - len(state.ended)
        overview = Overview(
            now=said(desk.now_ns()),
            cursor=last,
            resumed=False,
            queues=queue_views(state, figures_of(self._app), names, desk.now_ns()),
            resources=resources,
            tasks=tasks,
            is_cut=is_cut,
        )
        hello = encode(overview)
        await settled(self._app)
        follower.socket.start(hello)

    def _publish(self, events: tuple[Event, ...]) -> None:
        self._last = events[-1].id
        if self._followers:
            newest = {shelf_of(event): event.seq for event in events}
            for event in events:
                self._tell(event, newest[shelf_of(event)])
        if self._stats_timer is None and any("stats" in each.topics for each in self._followers):
            self._stats_timer = asyncio.get_running_loop().call_later(_STATS_S, self._tell_stats)

    def _tell(self, event: Event, newest: int) -> None:
        topic, place, message = _topic(event), order_of(event.id), None
        for follower in self._followers:
            if topic in follower.topics and place > follower.told:
                message = message or self._encode(event, newest)
                follower.socket.send(message)

    def _encode(self, event: Event, newest: int) -> bytes:
        """With the objects that it is about, as they are now; none that has gone on since, for more is to follow.

        Args: newest: the number of the last durable event of the same subject.
        """
        desk = self._desk
        state, now_ns, topic = desk.state, desk.now_ns(), _topic(event)
        message = Happened(cursor=event.id, event=event_view(event))
        task = state.tasks.get(event.subject) if topic in {"task", "offer"} else None
        if task is not None and task.seq == newest:
            message = msgspec.structs.replace(message, task=task_brief(state, task, now_ns))
        name = event.subject if topic == "resource" else event.data.get("resource_id")
        resource = state.resources.get(name) if isinstance(name, str) else None
        if resource is not None and (topic != "resource" or resource.seq == newest):
            message = msgspec.structs.replace(message, resource=resource_view(resource))
        if topic == "queue" and event.subject in state.policy.queues:
            view = queue_views(state, figures_of(self._app), [event.subject], now_ns)[0]
            message = msgspec.structs.replace(message, queue=view)
        return encode(message)

    def _tell_stats(self) -> None:
        """At most once a second, after something has happened."""
        self._stats_timer = None
        followers = [each for each in self._followers if "stats" in each.topics]
        if not followers:
            return
        desk = self._desk
        names, now_ns = sorted(desk.state.policy.queues), desk.now_ns()
        views = queue_views(desk.state, figures_of(self._app), names, now_ns)
        message = encode(QueuesNow(now=said(now_ns), queues=views))
        for follower in followers:
            follower.socket.send(message)


def _topics(request: web.BaseRequest) -> frozenset[str]:
    stated = request.query.get("topics")
    if stated is None:
        return frozenset(TOPICS) - {"stats"}
    found = frozenset(stated.split(","))
    if unknown := sorted(found - set(TOPICS)):
        raise Malformed(f"topics: {unknown[0][:40]!r} is none of {', '.join(TOPICS)}")
    return found


def _cursor(request: web.BaseRequest) -> str:
    """Empty: from now on."""
    stated = request.query.get("cursor", "")
    if stated and not _CURSOR.match(stated):
        raise Malformed("cursor: send that of the last message, as 12-0")
    return stated


def _topic(event: Event) -> str:
    return event.type.partition(".")[0]


def _resources(state: State) -> Iterator[ResourceView]:
    for name in list(islice(state.resources, _MOST_RESOURCES)):
        yield resource_view(state.resources[name])


def _tasks(state: State, queues: list[str], now_ns: int) -> Iterator[TaskBrief]:
    """Those who wait, some of each queue, the most urgent first; then the other open ones."""
    waiting = [task_id for name in queues for task_id in islice(state.index.waiting_in(name), _MOST_OF_QUEUE)]
    others = (
        task_id for task_id, task in state.tasks.items() if task.state not in TERMINAL and task.state not in WAITING
    )
    for task_id in (waiting + list(islice(others, _MOST_TASKS)))[:_MOST_TASKS]:
        task = state.tasks.get(task_id)
        if task is not None:
            yield task_brief(state, task, now_ns)


async def _listen(socket: Socket) -> None:
    """There is nothing that a supervisor has to say here, but that it is there."""
    bad = 0
    async for text in socket.messages():
        try:
            said_type = msgspec.json.decode(text or "", type=dict[str, object]).get("type")
        except msgspec.DecodeError:
            said_type = None
        if said_type == "ping":
            socket.send(encode(Pong()))
            continue
        bad += 1
        if bad > _MOST_BAD:
            socket.finish(NO_REQUESTS, "this stream only tells")
