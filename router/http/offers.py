"""/v1/offers/{id}/accept and /decline: the first who accepts has the task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign.command import Accept, Decline
from router.http import codec, moves
from router.http.errors import Forbidden
from router.http.path import id_of
from router.http.render import holder_of, offer_view, task_view
from router.http.submission import Asked, Done, desk_of, read, respond, submit
from router.http.view import Settled

if TYPE_CHECKING:
    from aiohttp import web

    from router.assembly import App
    from router.assign.state import State
    from router.http.access import Access, Who

ACCEPT, DECLINE = codec.Decoder(moves.Accepting), codec.Decoder(moves.Declining)


class Offers:
    """The resource."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def post_accept(self, app: App, request: web.BaseRequest) -> web.Response:
        desk_of(app)
        asked = await read(app, request, self._access.of(request), ACCEPT)
        return respond(asked, await accept(app, id_of(request), asked))

    async def post_decline(self, app: App, request: web.BaseRequest) -> web.Response:
        desk_of(app)
        asked = await read(app, request, self._access.of(request), DECLINE)
        return respond(asked, await decline(app, id_of(request), asked))


async def accept(app: App, offer_id: str, asked: Asked) -> Done:
    """Repeated by who has it: the same assignment again."""
    state, body = desk_of(app).state, asked.body
    name = _require_own(state, asked.who, offer_id, body.resource_id)
    command = Accept(offer_id=offer_id, resource_id=name, fence=body.fence, **asked.identity)
    return await submit(app, command, lambda _: _settled(app, asked.who, offer_id), asked.answer_type)


async def decline(app: App, offer_id: str, asked: Asked) -> Done:
    state, body = desk_of(app).state, asked.body
    name = _require_own(state, asked.who, offer_id, body.resource_id)
    command = Decline(offer_id=offer_id, resource_id=name, reason=body.reason, **asked.identity)
    return await submit(app, command, lambda _: _settled(app, asked.who, offer_id), asked.answer_type)


def _require_own(state: State, who: Who, offer_id: str, stated: str | None) -> str:
    """For whom it is settled. Raises: Unknown, Forbidden."""
    _, offer = state.offer(offer_id)
    name = stated or (who.name if who.role == "agent" else offer.resource_id)
    who.require_self(name)
    if who.role == "agent" and offer.resource_id != who.name:
        raise Forbidden(f"offer {offer_id} is not {who.name}'s")
    return name


def _settled(app: App, who: Who, offer_id: str) -> Settled:
    """What became of it, and of its task where that is the asker's business."""
    desk = desk_of(app)
    state, now_ns = desk.state, desk.now_ns()
    task, offer = state.offer(offer_id)
    is_shown = who.is_supervisor or holder_of(task) == who.name
    return Settled(offer=offer_view(offer, now_ns), task=task_view(state, task, now_ns) if is_shown else None)
