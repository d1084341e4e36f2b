"""/v1/adapters/...: what Rocket.Chat and Chatwoot ask and tell, in their own words (docs/adapters.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.adapters import chatwoot, rocketchat
from router.adapters.desk import Report, is_same
from router.http import codec
from router.http.app import json_response
from router.http.body import read_body
from router.http.errors import Malformed, NotFound, Unauthorized

if TYPE_CHECKING:
    from aiohttp import web

    from router.adapters.hub import AdapterHub, Chatwoot, RocketChat
    from router.assembly import App

# Rocket.Chat tells the whole conversation when it ends.
_MAX_BYTES = 1_048_576
_MAX_CHARS = 200
_OMNICHANNEL = codec.Decoder(rocketchat.OmnichannelEvent)
_WEBHOOK = codec.Decoder(chatwoot.WebhookEvent)
_CONVERSATION, _MESSAGE = codec.Decoder(chatwoot.Conversation), codec.Decoder(chatwoot.MessageEvent)
_ABOUT_CONVERSATIONS = frozenset((chatwoot.CREATED, chatwoot.STATUS, chatwoot.UPDATED))


class NextAgent(msgspec.Struct, frozen=True, kw_only=True):
    """What Rocket.Chat reads: the username of the agent, or nothing it could use."""

    username: str | None


async def get_rocketchat_agent(app: App, request: web.BaseRequest) -> web.Response:
    """Rocket.Chat's external routing asks who is next."""
    adapter = _rocketchat(app, request, rocketchat.ROUTING_TOKEN)
    department, ignored = (_parameter(request, name) for name in ("departmentId", "ignoreAgentId"))
    return json_response(NextAgent(username=await adapter.next_agent(department, ignored)))


async def post_rocketchat_event(app: App, request: web.BaseRequest) -> web.Response:
    """An Omnichannel webhook. Rocket.Chat is content with a 200 and nothing else."""
    adapter = _rocketchat(app, request, rocketchat.EVENTS_TOKEN)
    body = await read_body(request, _MAX_BYTES, app.config.settings.server.body_timeout_ms)
    return json_response(await adapter.take(_OMNICHANNEL.decode(codec.JSON, body)))


async def post_chatwoot_event(app: App, request: web.BaseRequest) -> web.Response:
    """A webhook of an account."""
    adapter = _chatwoot(app)
    body = await read_body(request, _MAX_BYTES, app.config.settings.server.body_timeout_ms)
    now_ns, token = app.clock.wall_ns(), request.query.get("token", "")
    if not chatwoot.is_authentic(adapter.settings, request.headers, token, body, now_ns // 1_000_000_000):
        raise Unauthorized(
            f"{chatwoot.SIGNATURE}: no signature of this body and a time of now with adapters.chatwoot.secret; "
            "or, where only adapters.chatwoot.token is set: ?token= is another"
        )
    event: chatwoot.WebhookEvent = _WEBHOOK.decode(codec.JSON, body)
    if event.event in _ABOUT_CONVERSATIONS:
        talk: chatwoot.Conversation = _CONVERSATION.decode(codec.JSON, body)
    elif event.event == chatwoot.MESSAGE:
        talk = _MESSAGE.decode(codec.JSON, body).conversation
    else:
        return json_response(Report(outcome="unchanged", detail=f"events of type {event.event} are not used"))
    delivery = request.headers.get(chatwoot.DELIVERY, "")[:_MAX_CHARS]
    return json_response(await adapter.take(event, talk, delivery, now_ns))


def _parameter(request: web.BaseRequest, name: str) -> str:
    value = request.query.get(name, "")
    if len(value) > _MAX_CHARS:
        raise Malformed(f"{name}: has more than {_MAX_CHARS} characters")
    return value


def _rocketchat(app: App, request: web.BaseRequest, header: str) -> RocketChat:
    adapter = None if app.adapters is None else app.adapters.rocketchat
    if adapter is None:
        raise _absent("rocketchat")
    if not is_same(request.headers.get(header), adapter.settings.token):
        raise Unauthorized(f"{header}: must be adapters.rocketchat.token")
    return adapter


def _chatwoot(app: App) -> Chatwoot:
    hub: AdapterHub | None = app.adapters
    if hub is None or hub.chatwoot is None:
        raise _absent("chatwoot")
    return hub.chatwoot


def _absent(name: str) -> NotFound:
    return NotFound(
        f"this server has no adapter for it: write [adapters.{name}] into takt.toml, and queues.toml beside it"
    )
