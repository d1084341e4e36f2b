"""/v1/admin/webhooks: how deliveries do, what was given up, and once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta

from router.http import codec
from router.http.admin import check_admin, in_format_asked
from router.http.body import read_body
from router.http.errors import NoAssignment, NotFound
from router.http.path import number
from router.webhooks.message import rfc3339

if TYPE_CHECKING:
    from aiohttp import web

    from router.assembly import App
    from router.webhooks.delivery import Delivery
    from router.webhooks.dispatcher import Dispatcher

PREFIX = "/v1/admin/webhooks/"
_MAX_BYTES = 1_048_576
_MOST, _USUAL = 1_000, 100


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver. `state`: ok, retrying, or refused: it answered 410 and is sent nothing until a replay."""

    name: str
    host: str
    state: Literal["ok", "retrying", "refused"]
    cursor: str
    """The last event taken from the log."""
    pending: int
    inflight: int
    dead: int
    gaps_total: int
    forgotten_total: int


class WebhooksPage(msgspec.Struct, frozen=True, kw_only=True):
    webhooks: tuple[WebhookView, ...]


class DeadView(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was given up."""

    id: str
    type: str
    subject: str
    seq: int
    at: str
    attempts: int
    status: int | None
    """Of the last answer; null: there was none."""
    error: str


class DeadPage(msgspec.Struct, frozen=True, kw_only=True):
    """In the order in which they were given up. `next`: the id to go on after."""

    dead: tuple[DeadView, ...]
    next: str | None


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which; null: all."""

    ids: Annotated[tuple[str, ...], Meta(max_length=100_000)] | None = None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    replayed: int


_REPLAY = codec.Decoder(ReplayRequest)


async def get_webhooks(app: App, request: web.BaseRequest) -> web.Response:
    check_admin(app, request)
    if app.webhooks is None:
        raise NoAssignment
    return in_format_asked(request, WebhooksPage(webhooks=tuple(map(_view, app.webhooks.dispatchers.values()))))


async def get_dead(app: App, request: web.BaseRequest) -> web.Response:
    dispatcher = _dispatcher(app, request, "dead")
    limit, after = number(request, "limit", _USUAL, _MOST), request.query.get("after")
    dead = list(dispatcher.schedule.dead.values())
    if after is not None:
        ids = [each.event.id for each in dead]
        dead = dead[ids.index(after) + 1 :] if after in ids else []
    page = dead[:limit]
    following = page[-1].event.id if page and len(dead) > limit else None
    return in_format_asked(request, DeadPage(dead=tuple(map(_dead_view, page)), next=following))


async def post_replay(app: App, request: web.BaseRequest) -> web.Response:
    """Send given-up events again, and to a receiver that had answered 410. Their patience begins anew."""
    dispatcher = _dispatcher(app, request, "replay")
    media_type = codec.media_type_of(request.headers.get("Content-Type"))
    body = await read_body(request, _MAX_BYTES, app.config.settings.server.body_timeout_ms)
    asked: ReplayRequest = _REPLAY.decode(media_type, body or codec.encode(media_type, {}))
    return in_format_asked(request, Replayed(replayed=dispatcher.replay(asked.ids)), media_type)


def _dispatcher(app: App, request: web.BaseRequest, action: str) -> Dispatcher:
    """The one that the path names, `PREFIX NAME/ACTION`."""
    check_admin(app, request)
    name, _, rest = request.raw_path.partition("?")[0].removeprefix(PREFIX).partition("/")
    found = None if app.webhooks is None else app.webhooks.dispatchers.get(unquote(name))
    if found is None or rest != action:
        raise NotFound(f"{unquote(name)[:100]!r}: no webhook of that name, or no {action!r} at this path")
    return found


def _view(dispatcher: Dispatcher) -> WebhookView:
    schedule, head = dispatcher.schedule, dispatcher.schedule.head
    is_retrying = any(each.attempts for each in schedule.pending.values())
    return WebhookView(
        name=dispatcher.name,
        host=urlsplit(schedule.url).netloc,
        state="refused" if schedule.is_refused else "retrying" if is_retrying else "ok",
        cursor=head.cursor,
        pending=len(schedule.pending),
        inflight=schedule.inflight,
        dead=len(schedule.dead),
        gaps_total=head.gaps_total,
        forgotten_total=head.forgotten_total,
    )


def _dead_view(delivery: Delivery) -> DeadView:
    event = delivery.event
    return DeadView(
        id=event.id,
        type=event.type,
        subject=event.subject,
        seq=event.seq,
        at=rfc3339(event.at_ns),
        attempts=delivery.attempts,
        status=delivery.status or None,
        error=delivery.error,
    )
