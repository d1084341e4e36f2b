"""/v1/queues and /v1/skills: the lines, open or closed, and who knows what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign.command import SetQueue
from router.http import codec
from router.http.errors import Forbidden
from router.http.path import id_of
from router.http.render import queue_views
from router.http.stats import figures_of
from router.http.submission import Body, desk_of, read, respond, show, submit
from router.http.view import QueuePage, QueueView, SkillPage, SkillView

if TYPE_CHECKING:
    from aiohttp import web

    from router.assembly import App
    from router.http.access import Access, Who


class Open(Body, frozen=True, kw_only=True):
    """By hand; null: by its hours."""

    is_open: bool | None


_OPEN = codec.Decoder(Open)


class Queues:
    """The resources."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def get_all(self, app: App, request: web.BaseRequest) -> web.Response:
        desk = desk_of(app)
        _require_insider(self._access.of(request))
        names = sorted(desk.state.policy.queues)
        views = queue_views(desk.state, figures_of(app), names, desk.now_ns())
        return await show(app, request, QueuePage(queues=views))

    async def get(self, app: App, request: web.BaseRequest) -> web.Response:
        state, name = desk_of(app).state, id_of(request)
        _require_insider(self._access.of(request))
        state.queue_policy(name)
        return await show(app, request, _view(app, name))

    async def put_open(self, app: App, request: web.BaseRequest) -> web.Response:
        desk_of(app)
        who, name = self._access.of(request), id_of(request)
        who.require_supervisor()
        asked = await read(app, request, who, _OPEN)
        command = SetQueue(queue=name, is_open=asked.body.is_open, **asked.identity)
        return respond(asked, await submit(app, command, lambda _: _view(app, name), asked.answer_type))

    async def get_skills(self, app: App, request: web.BaseRequest) -> web.Response:
        """Those of queues.toml and those that resources have."""
        state = desk_of(app).state
        _require_insider(self._access.of(request))
        levels: dict[str, dict[str, int]] = {name: {} for name in state.policy.skills}
        for resource in state.resources.values():
            for name, level in resource.skills.items():
                counts = levels.setdefault(name, {})
                counts[str(level)] = counts.get(str(level), 0) + 1
        views = [
            SkillView(name=name, resources=sum(counts.values()), levels=dict(sorted(counts.items())))
            for name, counts in sorted(levels.items())
        ]
        return await show(app, request, SkillPage(skills=views))


def _require_insider(who: Who) -> None:
    """Supervisors and agents."""
    if who.role == "caller":
        raise Forbidden("only with the token of a supervisor or an agent")


def _view(app: App, name: str) -> QueueView:
    desk = desk_of(app)
    return queue_views(desk.state, figures_of(app), [name], desk.now_ns())[0]
