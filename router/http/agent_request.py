"""What an agent says on its stream: the requests of HTTP, as messages, and their answers."""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from router.http import codec, offers, resources
from router.http.errors import Malformed, Problem, Unfulfilled, problem_of, refusal_of, title_of
from router.http.message import Reply
from router.http.moves import MOVES
from router.http.path import ID
from router.http.render import work_of
from router.http.submission import DIGEST_BYTES, Asked, desk_of, key_of, settled
from router.http.tasks import make_move

if TYPE_CHECKING:
    from router.assembly import App
    from router.http.access import Who

_LOGGER = logging.getLogger("takt.http")
_MAX_REF_CHARS = 64
_DECODE = msgspec.json.Decoder(dict[str, Any]).decode
_TYPES = ("accept", "decline", "heartbeat", "presence", "work", *MOVES)


class Request(NamedTuple):
    """A message, taken apart. `fields`: what would be the body."""

    type: str
    ref: str | None
    subject: str
    key: str
    fields: dict[str, Any]


async def answer(app: App, who: Who, session: str, text: str | None) -> Reply:
    """Do what a message asks. Never raises."""
    ref: str | None = None
    try:
        raw = _decode(text)
        ref = _take_text(raw, "ref", _MAX_REF_CHARS) or None
        body = await _do(app, who, session, _request(raw, ref))
    except Unfulfilled as error:
        refused = refusal_of(error)
        app.metrics.refused.child(refused.code).inc()
        return _problem(ref, problem_of(refused))
    except Exception:
        _LOGGER.exception("unexpected_error")
        detail = "an unexpected error; it has been logged"
        return _problem(ref, Problem(title=title_of(500), status=500, code="internal", detail=detail))
    return Reply(ref=ref, status=200, body=msgspec.Raw(body))


def _problem(ref: str | None, problem: Problem) -> Reply:
    return Reply(ref=ref, status=problem.status, body=msgspec.Raw(codec.encode(codec.JSON, problem)))


def _decode(text: str | None) -> dict[str, Any]:
    if text is None:
        raise Malformed("send JSON text, not binary")
    try:
        return _DECODE(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Malformed(f"the message is no JSON object: {error}") from None


def _request(raw: dict[str, Any], ref: str | None) -> Request:
    kind = _take_text(raw, "type", _MAX_REF_CHARS)
    if kind not in _TYPES:
        raise Malformed(f"type: {kind!r} is none of {', '.join(_TYPES)}")
    name = "offer_id" if kind in {"accept", "decline"} else "task_id" if kind in MOVES else ""
    subject = _take_text(raw, name, 150) if name else ""
    if name and not ID.match(subject):
        raise Malformed(f"{name}: is needed: letters, digits and `_.:@+~-`")
    key = _take_text(raw, "key", 256)
    return Request(kind, ref, subject, key, raw)


def _take_text(raw: dict[str, Any], name: str, most: int) -> str:
    """Empty where it is missing. Raises: Malformed."""
    value = raw.pop(name, "")
    if not isinstance(value, str) or len(value) > most:
        raise Malformed(f"{name}: must be a string of up to {most} characters")
    return value


async def _do(app: App, who: Who, session: str, request: Request) -> bytes:
    """Raises: Unfulfilled."""
    kind = request.type
    if kind == "heartbeat":
        _read(who, request, resources.BEAT)
        return codec.encode(codec.JSON, resources.beat(app, who.name, session))
    if kind == "work":
        desk = desk_of(app)
        body = codec.encode(codec.JSON, work_of(desk.state, desk.state.resource(who.name), desk.now_ns()))
        await settled(app)
        return body
    if kind == "presence":
        request.fields["session"] = session
        done = await resources.sign(app, who.name, _read(who, request, resources.PRESENCE))
    elif kind == "accept":
        done = await offers.accept(app, request.subject, _read(who, request, offers.ACCEPT))
    elif kind == "decline":
        done = await offers.decline(app, request.subject, _read(who, request, offers.DECLINE))
    else:
        done, _ = await make_move(app, kind, request.subject, _read(who, request, MOVES[kind].decoder))
    return done.body


def _read(who: Who, request: Request, into: codec.Decoder) -> Asked:
    """As an HTTP request with this body would be read."""
    data = codec.encode(codec.JSON, request.fields)
    key, digest = "", b""
    if request.key:
        key = key_of(who, request.key)
        digest = sha256(f"{request.type} {request.subject}\n".encode() + data).digest()[:DIGEST_BYTES]
    return Asked(who, into.decode(codec.JSON, data), codec.JSON, codec.JSON, key, digest)
