"""/healthz, /readyz, /metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from router.http.app import ACCEPT, json_response
from router.http.errors import Unavailable
from router.telemetry.prometheus import Exposition

if TYPE_CHECKING:
    from router.assembly import App


async def healthz(_app: App, _request: web.BaseRequest) -> web.Response:
    """The process is alive; answers even while it is not ready."""
    return json_response({"status": "ok"})


async def readyz(app: App, _request: web.BaseRequest) -> web.Response:
    """Models loaded and warm, their executor alive, tasks taken, not draining: send traffic."""
    if why := app.hindrance:
        raise Unavailable(why)
    return json_response({"status": "ready", "plan_version": app.point.plan.version})


class MetricsPage:
    def __init__(self, app: App) -> None:
        self._exposition = Exposition(app.metrics)

    async def get(self, _app: App, request: web.BaseRequest) -> web.Response:
        body, content_type = self._exposition.render(request.headers.get(ACCEPT, ""))
        return web.Response(body=body, headers={"Content-Type": content_type})
