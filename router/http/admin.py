"""/v1/admin/...: who may, and what."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from aiohttp import web

from router.faults import FaultPlan
from router.http import codec
from router.http.body import read_body
from router.http.errors import Forbidden, NotFound, Unauthorized
from router.http.origin import is_here

if TYPE_CHECKING:
    from router.assembly import App

_FAULTS = codec.Decoder(FaultPlan)
_MAX_BYTES = 65_536


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
    if not is_here(request) or "Origin" in request.headers:
        raise Forbidden("without server.admin_token only this machine is let in, not through a proxy or a web page")


def in_format_asked(request: web.BaseRequest, value: object, request_type: str = codec.JSON) -> web.Response:
    """The value in the format that `Accept` names, else in the request's."""
    media_type = codec.answer_type(request.headers.get("Accept"), request_type)
    return web.Response(body=codec.encode(media_type, value), headers={"Content-Type": media_type})


async def get_faults(app: App, request: web.BaseRequest) -> web.Response:
    check_admin(app, request)
    if app.faults is None:
        raise NotFound("the server was started without --allow-faults")
    return in_format_asked(request, app.faults.plan)


async def put_faults(app: App, request: web.BaseRequest) -> web.Response:
    """Replace the faults; `{}` clears them."""
    check_admin(app, request)
    if app.faults is None:
        raise NotFound("the server was started without --allow-faults")
    media_type = codec.media_type_of(request.headers.get("Content-Type"))
    body = await read_body(request, _MAX_BYTES, app.config.settings.server.body_timeout_ms)
    app.faults.set(_FAULTS.decode(media_type, body))
    return in_format_asked(request, app.faults.plan, media_type)
