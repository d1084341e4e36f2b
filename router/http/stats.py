"""/v1/stats: figures of queues and agents over a window (docs/queue-figures.md)."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import TYPE_CHECKING

import msgspec

from router.http.errors import Unavailable
from router.http.path import DEFAULT_LIMIT, MAX_LIMIT, number
from router.http.render import said
from router.http.submission import desk_of, show
from router.insight.figures import AgentFigures, QueueFigures

if TYPE_CHECKING:
    from aiohttp import web

    from router.assembly import App
    from router.http.access import Access
    from router.insight.statistics import Statistics

_DEFAULT_S, _DAY_S = 900, 86_400
_SLICE = 100
"""Agents, before other connections have their turn of the event loop: about 1 ms."""


class QueueStats(msgspec.Struct, frozen=True, kw_only=True):
    window_s: int
    at: str
    queues: tuple[QueueFigures, ...]


class AgentStats(msgspec.Struct, frozen=True, kw_only=True):
    """By id. `next`: the `after` of the next page."""

    window_s: int
    at: str
    agents: list[AgentFigures]
    next: str | None


class Stats:
    """The resource."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def get_queues(self, app: App, request: web.BaseRequest) -> web.Response:
        desk = desk_of(app)
        self._access.of(request).require_supervisor()
        window_s, now_ns = number(request, "window", _DEFAULT_S, _DAY_S), desk.now_ns()
        figures = figures_of(app).queues(window_s, now_ns)
        return await show(app, request, QueueStats(window_s=window_s, at=said(now_ns), queues=figures))

    async def get_agents(self, app: App, request: web.BaseRequest) -> web.Response:
        desk = desk_of(app)
        self._access.of(request).require_supervisor()
        window_s, now_ns = number(request, "window", _DEFAULT_S, _DAY_S), desk.now_ns()
        limit = number(request, "limit", DEFAULT_LIMIT, MAX_LIMIT)
        seen = figures_of(app).seen(now_ns)
        start = bisect_right(seen, request.query.get("after", ""))
        names = seen[start : start + limit]
        agents: list[AgentFigures] = []
        for first in range(0, len(names), _SLICE):
            agents += figures_of(app).agents(window_s, now_ns, names[first : first + _SLICE])
            await asyncio.sleep(0)
        following = names[-1] if names and start + limit < len(seen) else None
        page = AgentStats(window_s=window_s, at=said(now_ns), agents=agents, next=following)
        return await show(app, request, page)


def figures_of(app: App) -> Statistics:
    """Raises: NoAssignment, Unavailable."""
    desk_of(app)
    if app.insight is None:
        raise Unavailable("the figures are being recovered")
    return app.insight.statistics
