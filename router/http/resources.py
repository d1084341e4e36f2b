"""/v1/resources: who can take tasks, whether they are there, and what they have to do."""

from __future__ import annotations

import secrets
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

from aiohttp import web
from msgspec import Meta, field

from router.assign.command import PutResource, SetPresence
from router.assign.entity import ChannelLimit
from router.assign.errors import Conflict
from router.assign.transition import Presence
from router.errors import RequestRefused
from router.http import codec
from router.http.errors import Malformed
from router.http.moves import Level, Reason
from router.http.path import DEFAULT_LIMIT, MAX_ID, MAX_LIMIT, GivenId, GivenName, choice, id_of, number
from router.http.render import resource_view, said, work_of
from router.http.submission import Asked, Body, Done, desk_of, read, respond, show, submit
from router.http.view import Lease, ResourcePage, SignedIn, Token

if TYPE_CHECKING:
    from router.assembly import App
    from router.assign.state import State
    from router.http.access import Access

_PRESENCES = tuple(presence.value for presence in Presence)
_RESERVED = "supervisor", "customer"
"""Who else acts, as the log of commands and signals call them."""
BEATS = 3
"""Heartbeats that fit into a lease: two may be lost."""
_SESSION_BYTES = 12
_MAX_COST = 1e9


class Limit(Body, frozen=True, kw_only=True):
    """What is taken of one channel."""

    most: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000_000
    weight: Annotated[int, Meta(ge=1, le=1_000)] | None = None


class Put(Body, frozen=True, kw_only=True):
    """A resource as it shall be."""

    queues: Annotated[tuple[GivenName, ...], Meta(max_length=256)]
    channels: Annotated[dict[GivenName, Limit], Meta(min_length=1, max_length=32)]
    kind: Literal["agent", "bot", "recommender", "workflow"] = "agent"
    name: Annotated[str, Meta(max_length=128)] = ""
    capacity: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    reserve: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    skills: Annotated[dict[GivenName, Level], Meta(max_length=256)] = field(default_factory=dict)
    attributes: dict[Annotated[str, Meta(max_length=128)], Any] = field(default_factory=dict)
    cost: Annotated[float, Meta(ge=0, le=_MAX_COST)] = 0.0
    success: Annotated[float, Meta(ge=0, le=1)] = 1.0


class Signing(Body, frozen=True, kw_only=True):
    """What a resource says of itself. Without a session it gets one as it signs in."""

    presence: Literal["available", "busy", "away", "draining", "offline"]
    reason: Reason = ""
    session: GivenId | None = None


class Draining(Body, frozen=True, kw_only=True):
    reason: Reason = ""


class Beat(Body, frozen=True, kw_only=True):
    """Without a session: the one in force."""

    session: GivenId | None = None


class TokenRequest(Body, frozen=True, kw_only=True):
    ttl_s: Annotated[int, Meta(ge=60, le=2_592_000)] = 43_200


class NoAgentSecret(RequestRefused):
    status, code = 404, "no-agent-secret"


PUT, PRESENCE, DRAIN = codec.Decoder(Put), codec.Decoder(Signing), codec.Decoder(Draining)
BEAT, TOKEN = codec.Decoder(Beat), codec.Decoder(TokenRequest)


class Resources:
    """The resource."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def put(self, app: App, request: web.BaseRequest) -> web.Response:
        """201 where it is new."""
        state = desk_of(app).state
        who = self._access.of(request)
        who.require_supervisor()
        asked = await read(app, request, who, PUT)
        name, body = id_of(request), asked.body
        if name in _RESERVED or len(name) > MAX_ID:
            raise Malformed(f"id: {name!r}: up to {MAX_ID} characters, and none of {', '.join(_RESERVED)}")
        codec.check_context(body.attributes, "$.attributes", codec.LOG_BITS)
        is_new = name not in state.resources
        command = PutResource(
            id=name,
            kind=body.kind,
            name=body.name,
            queues=body.queues,
            channels={each: ChannelLimit(most=its.most, weight=its.weight) for each, its in body.channels.items()},
            capacity=body.capacity,
            reserve=body.reserve,
            skills=body.skills,
            attributes=body.attributes,
            cost=body.cost,
            success=body.success,
            **asked.identity,
        )
        done = await submit(app, command, lambda _: resource_view(state.resource(name)), asked.answer_type)
        return respond(asked, done, 201 if is_new else 200)

    async def get(self, app: App, request: web.BaseRequest) -> web.Response:
        state, name = desk_of(app).state, id_of(request)
        self._access.of(request).require_self(name)
        return await show(app, request, resource_view(state.resource(name)))

    async def get_all(self, app: App, request: web.BaseRequest) -> web.Response:
        """In the order in which they came."""
        state = desk_of(app).state
        self._access.of(request).require_supervisor()
        limit = number(request, "limit", DEFAULT_LIMIT, MAX_LIMIT)
        queue, presence = request.query.get("queue"), choice(request, "presence", _PRESENCES)
        if queue is not None:
            state.queue_policy(queue)
        after = request.query.get("after")
        if after is not None and after not in state.resources:
            raise Malformed("after: there is no such resource")
        ids = iter(state.resources)
        if after is not None:
            next(each for each in ids if each == after)
        found = (state.resources[each] for each in ids)
        wanted = (
            each
            for each in found
            if (queue is None or queue in each.queues) and (presence is None or each.presence == presence)
        )
        views = [resource_view(each) for each in islice(wanted, limit)]
        is_cut = next(wanted, None) is not None
        return await show(app, request, ResourcePage(resources=views, next=views[-1].id if is_cut and views else None))

    async def get_work(self, app: App, request: web.BaseRequest) -> web.Response:
        """Offers and tasks, whole: for who comes back."""
        desk, name = desk_of(app), id_of(request)
        self._access.of(request).require_self(name)
        return await show(app, request, work_of(desk.state, desk.state.resource(name), desk.now_ns()))

    async def post_presence(self, app: App, request: web.BaseRequest) -> web.Response:
        return await self._sign(app, request, PRESENCE)

    async def post_drain(self, app: App, request: web.BaseRequest) -> web.Response:
        """It finishes what it has, and gets nothing more."""
        return await self._sign(app, request, DRAIN)

    async def _sign(self, app: App, request: web.BaseRequest, into: codec.Decoder) -> web.Response:
        desk_of(app)
        name, who = id_of(request), self._access.of(request)
        who.require_self(name)
        asked = await read(app, request, who, into)
        return respond(asked, await sign(app, name, asked))

    async def post_heartbeat(self, app: App, request: web.BaseRequest) -> web.Response:
        state = desk_of(app).state
        name, who = id_of(request), self._access.of(request)
        who.require_self(name)
        asked = await read(app, request, who, BEAT)
        session = asked.body.session
        answer = beat(app, name, state.resource(name).session if session is None else session)
        return web.Response(body=codec.encode(asked.answer_type, answer), headers={"Content-Type": asked.answer_type})

    async def post_token(self, app: App, request: web.BaseRequest) -> web.Response:
        """For an agent's own program, to act for this resource and no other."""
        desk, name = desk_of(app), id_of(request)
        who = self._access.of(request)
        who.require_supervisor()
        asked = await read(app, request, who, TOKEN)
        desk.state.resource(name)
        if not self._access.tokens.is_on:
            raise NoAgentSecret("set `secret` of [agents] in takt.toml, 32 characters or more, and restart the server")
        expires_s = app.clock.wall_ns() // 1_000_000_000 + asked.body.ttl_s
        token = Token(
            token=self._access.tokens.issue(name, expires_s), resource_id=name, expires_at=said(expires_s * 10**9)
        )
        headers = {"Content-Type": asked.answer_type, "Cache-Control": "no-store"}
        return web.Response(body=codec.encode(asked.answer_type, token), headers=headers)


async def sign(app: App, name: str, asked: Asked) -> Done:
    """Set a presence."""
    state, body = desk_of(app).state, asked.body
    presence = body.presence if isinstance(body, Signing) else "draining"
    session = body.session if isinstance(body, Signing) else None
    if session is None:
        session = _session_for(state, name, presence)
    command = SetPresence(resource_id=name, presence=presence, reason=body.reason, session=session, **asked.identity)
    return await submit(app, command, lambda _: _signed_in(state, name), asked.answer_type)


def new_session() -> str:
    return secrets.token_hex(_SESSION_BYTES)


def _session_for(state: State, name: str, presence: str) -> str:
    """A new one for who signs in; else the one in force goes on."""
    resource = state.resource(name)
    is_signing_in = resource.presence is Presence.OFFLINE and presence != "offline"
    return new_session() if is_signing_in else ""


def _signed_in(state: State, name: str) -> SignedIn:
    resource = state.resource(name)
    return SignedIn(resource=resource_view(resource), session=resource.session)


def beat(app: App, name: str, session: str) -> Lease:
    """A sign of life; no command. Raises: Unknown, Conflict: that session has ended."""
    desk = desk_of(app)
    resource = desk.state.resource(name)
    if not desk.heartbeat(name, session):
        raise Conflict(f"resource {name} is signed out, or signed in with another session: set its presence again")
    lease_s = desk.state.policy.lease.ttl_s
    return Lease(
        presence=resource.presence.value, is_suspect=resource.is_suspect, lease_s=lease_s, next_s=lease_s / BEATS
    )
