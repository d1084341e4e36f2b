"""/v1/admin/...: who may, and what."""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING

from aiohttp import web

from router.faults import FaultPlan
from router.http import codec
from router.http.app import json_response
from router.http.body import read_body
from router.http.errors import Forbidden, NotFound, Unauthorized

if TYPE_CHECKING:
    from router.assembly import App

_FAULTS = codec.Decoder(FaultPlan)
_MAX_BYTES = 65_536
# Set by proxies: a request that came through one is not from this machine, whatever the peer's address says.
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


def check_admin(app: App, request: web.BaseRequest) -> None:
    """With a token configured, only its bearers; without one, only this machine. Raises: Unauthorized, Forbidden."""
    token = app.config.settings.server.admin_token
    if token:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        # As it came: aiohttp keeps bytes that are no UTF-8 as surrogates.
        bearer = given.strip().encode(errors="surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(bearer, token.encode()):
            raise Unauthorized("send `Authorization: Bearer` with the token of server.admin_token")
        return
    peer = request.remote
    is_local = peer is not None and ipaddress.ip_address(peer.partition("%")[0]).is_loopback
    if not is_local or any(header in request.headers for header in _FORWARDED):
        raise Forbidden("without server.admin_token only this machine is let in, and not through a proxy")


async def get_faults(app: App, request: web.BaseRequest) -> web.Response:
    check_admin(app, request)
    if app.faults is None:
        raise NotFound("the server was started without --allow-faults")
    return json_response(app.faults.plan)


async def put_faults(app: App, request: web.BaseRequest) -> web.Response:
    """Replace the faults; `{}` clears them."""
    check_admin(app, request)
    if app.faults is None:
        raise NotFound("the server was started without --allow-faults")
    media_type = codec.media_type_of(request.headers.get("Content-Type"))
    body = await read_body(request, _MAX_BYTES, app.config.settings.server.body_timeout_ms)
    app.faults.set(_FAULTS.decode(media_type, body))
    return json_response(app.faults.plan)
