"""/v1/tasks: created, told, changed, moved, explained."""

from __future__ import annotations

import asyncio
from itertools import chain, islice
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from budgets.deadline import grant_ns, open_budget
from budgets.ledger import Ledger
from router.assign.command import Signal
from router.assign.transition import WAITING, OfferState, TaskState
from router.domain.identity import IdSource
from router.http import codec, moves
from router.http.errors import Forbidden, Malformed, Unfulfilled, refusal_of
from router.http.path import DEFAULT_LIMIT, MAX_LIMIT, choice, id_of, number
from router.http.render import event_view, holder_of, task_brief, task_view
from router.http.submission import REPLAY, Asked, Done, desk_of, read, respond, show, submit, unknown
from router.http.view import EventPage, TaskBrief, TaskPage, TaskView
from router.insight.explain import explain
from router.redecision import redecide

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from router.assembly import App
    from router.assign.command import Command
    from router.assign.engine import Stepped
    from router.assign.entity import Task
    from router.assign.state import State
    from router.http.access import Access, Who

_CREATE, _UPDATE = codec.Decoder(moves.Create), codec.Decoder(moves.Update)
# Views are made in slices, so that other connections get their turn of the event loop in between.
_SLICE = 50
_LOOKED_AT = 2_000
_MOST_IN_ORDER = 10_000
"""Of those who wait in a queue; the others follow in no order."""
_STATES = tuple(state.value for state in TaskState)


class Tasks:
    """The resource."""

    def __init__(self, app: App, access: Access) -> None:
        self._access = access
        self._ids = IdSource(app.clock, app.rng)

    async def post(self, app: App, request: web.BaseRequest) -> web.Response:
        """Create one; 200 instead of 201 where it is there already, also where it ended long ago."""
        desk = desk_of(app)
        who = self._access.of(request)
        if who.role == "agent":
            raise Forbidden("agents create no tasks")
        asked = await read(app, request, who, _CREATE)
        task_id = asked.body.id or f"t-{self._ids.next_id()}"
        command = moves.create(task_id, asked.body, asked.identity)
        try:
            if asked.body.id and task_id not in desk.state.tasks and command.key not in desk.state.keys:
                former = await desk.find_task(task_id)
                if former is not None:
                    return await _told_again(app, request, former)
            done = await _submit(app, command, asked)
        except Unfulfilled as error:
            refused = refusal_of(error)
            if refused.status == 503:  # noqa: PLR2004 - nothing is lost in silence: here is where else to go
                refused.fallback = app.project.routes.default
            raise refused from None
        response = respond(asked, done, 200 if done.stepped.is_repeat else 201)
        response.headers["Location"] = f"/v1/tasks/{done.stepped.subject}"
        return response

    async def get(self, app: App, request: web.BaseRequest) -> web.Response:
        state = desk_of(app).state
        task = await self._find(app, request, self._access.of(request))
        response = await show(app, request, task_view(state, task, desk_of(app).now_ns()))
        response.headers["ETag"] = f'"{task.version}"'
        return response

    async def get_all(self, app: App, request: web.BaseRequest) -> web.Response:
        """Those of a queue in their order; else by id."""
        state = desk_of(app).state
        self._access.of(request).require_supervisor()
        limit = number(request, "limit", DEFAULT_LIMIT, MAX_LIMIT)
        wanted, queue = choice(request, "state", _STATES), request.query.get("queue")
        holder = request.query.get("resource")
        if queue is not None:
            state.queue_policy(queue)
        briefs: list[TaskBrief] = []
        is_cut = False
        for seen, task_id in enumerate(_candidates(state, queue, wanted, request.query.get("after")), 1):
            task = state.tasks.get(task_id)  # it may have gone while others had their turn
            if task is not None and _is_wanted(task, queue, wanted, holder):
                if is_cut := len(briefs) == limit:
                    break
                briefs.append(task_brief(state, task, desk_of(app).now_ns()))
            if len(briefs) % _SLICE == 0 or seen % _LOOKED_AT == 0:
                await asyncio.sleep(0)
        return await show(app, request, TaskPage(tasks=briefs, next=briefs[-1].id if is_cut and briefs else None))

    async def patch(self, app: App, request: web.BaseRequest) -> web.Response:
        state = desk_of(app).state
        who = self._access.of(request)
        asked = await read(app, request, who, _UPDATE)
        task_id = id_of(request)
        moves.require_holder(who, state.task(task_id))
        command = moves.update(task_id, asked.body, _if_match(request), asked.identity)
        return respond(asked, await _submit(app, command, asked))

    def move(self, name: str) -> Callable[[App, web.BaseRequest], Awaitable[web.Response]]:
        """The handler of `POST /v1/tasks/{id}/{name}`."""
        kind = moves.MOVES[name]

        async def post(app: App, request: web.BaseRequest) -> web.Response:
            desk_of(app)
            who = self._access.of(request)
            asked = await read(app, request, who, kind.decoder)
            done, decision_id = await make_move(app, name, id_of(request), asked)
            response = respond(asked, done)
            if decision_id:
                response.headers["X-Takt-Decision"] = decision_id
            return response

        return post

    async def get_explain(self, app: App, request: web.BaseRequest) -> web.Response:
        state = desk_of(app).state
        task = await self._find(app, request, self._access.of(request))
        return await show(app, request, explain(state, task, desk_of(app).now_ns()))

    async def get_events(self, app: App, request: web.BaseRequest) -> web.Response:
        """Those behind a sequence number: gap-free, also of tasks that ended long ago."""
        desk = desk_of(app)
        task = await self._find(app, request, self._access.of(request))
        after, limit = number(request, "after", 0, 2**53), number(request, "limit", DEFAULT_LIMIT, MAX_LIMIT)
        events = await desk.events(task.id, after, limit) if limit else []
        is_cut = len(events) == limit and limit > 0
        page = EventPage(events=[event_view(each) for each in events], next=events[-1].seq if is_cut else None)
        return await show(app, request, page)

    async def _find(self, app: App, request: web.BaseRequest, who: Who) -> Task:
        """In memory, or an ended one in the store. Raises: NotFound, Forbidden."""
        task_id = id_of(request)
        desk = desk_of(app)
        task = desk.state.tasks.get(task_id) or await desk.find_task(task_id)
        if task is None:
            raise unknown("task", task_id)
        offered_to = {offer.resource_id for offer in task.offers if offer.state is OfferState.PENDING}
        if who.role == "agent" and who.name not in offered_to:
            moves.require_holder(who, task)
        return task


async def _told_again(app: App, request: web.BaseRequest, task: Task) -> web.Response:
    """A task that has ended and left memory: its id is used once."""
    desk = desk_of(app)
    response = await show(app, request, task_view(desk.state, task, desk.now_ns()))
    response.headers.update({REPLAY: "true", "Location": f"/v1/tasks/{task.id}"})
    return response


async def make_move(app: App, name: str, task_id: str, asked: Asked) -> tuple[Done, str]:
    """Whatever a task is moved by. Returns with the id of a new decision, where one was made."""
    state, kind, who = desk_of(app).state, moves.MOVES[name], asked.who
    if who.role not in kind.roles:
        raise Forbidden(f"{name}: not with the token of {who.role} {who.name}")
    command, decision_id = kind.command(task_id, asked.body, asked.identity), ""
    if isinstance(command, Signal):
        command, decision_id = await _decided_anew(app, command, asked)
    if not _is_repeat(state, command):
        moves.require_holder(who, state.task(task_id))
    return await _submit(app, command, asked), decision_id


async def _decided_anew(app: App, command: Signal, asked: Asked) -> tuple[Signal, str]:
    """A signal with a text: where the router would send it now."""
    state, text = desk_of(app).state, asked.body.text
    task = state.task(command.task_id)
    moves.require_holder(asked.who, task)
    if text is None or _is_repeat(state, command):
        return command, ""
    settings = app.point.budget
    budget = open_budget(grant_ns([], settings), settings, Ledger(app.clock.now_ns()), 0)
    found = await redecide(app, task, text, budget)
    decided = msgspec.structs.replace(
        command, queue=command.queue or found.queue, wants_human=command.wants_human or found.wants_human
    )
    return decided, found.decision_id


def _is_repeat(state: State, command: Command) -> bool:
    """Whether it was done already, so that who may not do it any more still gets its answer."""
    kept = state.keys.get(command.key) if command.key else None
    return kept is not None and kept.digest == command.digest


async def _submit(app: App, command: Command, asked: Asked) -> Done:
    """A command about a task, answered with the task: by now it may have ended and left memory."""
    desk = desk_of(app)

    def render(stepped: Stepped) -> TaskView | None:
        task = desk.state.tasks.get(stepped.subject)
        return None if task is None else task_view(desk.state, task, desk.now_ns())

    done = await submit(app, command, render, asked.answer_type)
    if done.body != codec.encode(asked.answer_type, None):
        return done
    task_id = done.stepped.subject
    former = await desk.find_task(task_id)
    if former is None:
        raise unknown("task", task_id)
    return done._replace(body=codec.encode(asked.answer_type, task_view(desk.state, former, desk.now_ns())))


def _candidates(state: State, queue: str | None, wanted: str | None, after: str | None) -> Iterator[str]:
    """Ids in the order of the answer, those behind `after`. Raises: Malformed."""
    if after is not None and after not in state.tasks:
        raise Malformed("after: this task is gone; begin again")
    ids = iter(list(state.tasks))  # others change it while this is looked through
    if queue is not None and (wanted is None or wanted in WAITING):
        waiting = dict.fromkeys(islice(state.index.waiting_in(queue), _MOST_IN_ORDER))
        ids = chain(waiting, (task_id for task_id in ids if task_id not in waiting))
    if after is not None:
        next(task_id for task_id in ids if task_id == after)
    return ids


def _is_wanted(task: Task, queue: str | None, wanted: str | None, holder: str | None) -> bool:
    if queue is not None and task.queue != queue:
        return False
    if wanted is not None and task.state != wanted:
        return False
    return holder is None or holder == holder_of(task)


def _if_match(request: web.BaseRequest) -> int | None:
    """The version that `If-Match` names; None: any. Raises: Malformed."""
    stated = request.headers.get("If-Match")
    if stated is None or stated.strip() == "*":
        return None
    version = stated.strip().removeprefix("W/").strip('"')
    if not (version.isascii() and version.isdigit()) or len(version) > 15:  # noqa: PLR2004 - more than 53 bits
        raise Malformed(f"If-Match: {stated[:40]!r}: send one version, as in the ETag of the task")
    return int(version)
