"""GET /v1/decisions/{id}: how a decision came about, from the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from router.http.admin import check_admin, in_format_asked
from router.http.errors import NotFound, Unavailable
from router.log import LogError

if TYPE_CHECKING:
    from aiohttp import web

    from router.assembly import App

PREFIX = "/v1/decisions/"
_MAX_ID_CHARS = 64


async def get_decision(app: App, request: web.BaseRequest) -> web.Response:
    """The record, within its retention. It may hold a customer's text, so it is guarded as the admin pages are."""
    check_admin(app, request)
    decision_id = request.path.removeprefix(PREFIX)
    missing = f"{decision_id[:_MAX_ID_CHARS]}: not in the log; it may be older than log.retention_days"
    if not decision_id.isalnum() or len(decision_id) > _MAX_ID_CHARS:
        raise NotFound(missing)
    try:
        record = await app.log.get(decision_id)
    except LogError as error:
        raise Unavailable(str(error)) from None
    if record is None:
        raise NotFound(missing)
    # Nanoseconds are beyond what JavaScript's numbers hold; and a field that has its default is said, too.
    at = datetime.fromtimestamp(record.at_ns / 1e9, UTC).isoformat()
    return in_format_asked(request, {"at": at, **msgspec.structs.asdict(record)})
