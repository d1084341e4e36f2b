"""From a request to a command that is durable, and to its answer: what all resources of the assignment engine share."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from aiohttp import web
from multidict import istr

from router.assign.errors import Refused
from router.http import codec
from router.http.body import read_body
from router.http.errors import Malformed, NoAssignment, NotFound, Unavailable
from router.log.errors import LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from router.assembly import App
    from router.assign.command import Command
    from router.assign.engine import Stepped
    from router.desk.desk import Desk
    from router.http.access import Who

CONTENT_TYPE, ACCEPT, IDEMPOTENCY_KEY = istr("Content-Type"), istr("Accept"), istr("Idempotency-Key")
POSITION, REPLAY = istr("X-Takt-Position"), istr("Idempotent-Replay")
_MAX_KEY_CHARS = 256
_PATIENCE_S = 5.0
DIGEST_BYTES = 16


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client may say; a field that is not known is refused by its name."""


class Nothing(Body, frozen=True, kw_only=True):
    """A body that has nothing to say; it may be missing."""


class Asked(NamedTuple):
    """A request, read: who, in which format, and under which key."""

    who: Who
    body: Any
    media_type: str
    answer_type: str
    key: str
    digest: bytes

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that every command has."""
        return {"actor": self.who.actor, "key": self.key, "digest": self.digest}


class Done(NamedTuple):
    """A command that is durable, and the answer, encoded as the state was right after it."""

    stepped: Stepped
    body: bytes


def desk_of(app: App) -> Desk:
    """Raises: NoAssignment, Unavailable: not yet."""
    if app.desk is None or app.handover is None:
        raise NoAssignment
    if not app.handover.is_open:
        raise Unavailable("the tasks are being recovered, or the server is shutting down")
    return app.desk


async def read(app: App, request: web.BaseRequest, who: Who, into: codec.Decoder | None) -> Asked:
    """Read and check the body. Args: into: None: there is none. Raises: RequestRefused."""
    # Where there is no body, its type says nothing: some clients state one all the same.
    media_type = codec.media_type_of(request.headers.get(CONTENT_TYPE) if request.body_exists else None)
    settings = app.config.settings.server
    data = await read_body(request, settings.max_body_bytes, settings.body_timeout_ms)
    body = None if into is None else into.decode(media_type, data or codec.encode(media_type, {}))
    key, digest = "", b""
    if (stated := request.headers.get(IDEMPOTENCY_KEY)) is not None:
        key = key_of(who, stated)
        what = f"{request.method} {request.raw_path.partition('?')[0]}\n{media_type}\n".encode()
        digest = sha256(what + data).digest()[:DIGEST_BYTES]
    return Asked(who, body, media_type, codec.answer_type(request.headers.get(ACCEPT), media_type), key, digest)


def key_of(who: Who, stated: str) -> str:
    """To each who asks its own keys. Raises: Malformed."""
    if not 0 < len(stated) <= _MAX_KEY_CHARS:
        raise Malformed(f"Idempotency-Key: must have 1 to {_MAX_KEY_CHARS} characters")
    return f"{who.role} {who.name}\n{stated}"


async def submit(app: App, command: Command, render: Callable[[Stepped], object], answer_type: str) -> Done:
    """Let the engine take a step, and wait until it is durable. Raises: Refused, LogError.

    Args:
        render: what the answer tells, of the state as the step left it.
    """
    desk = desk_of(app)
    try:
        stepped, durable = desk.submit_now(command)
    except Refused:
        await _durable(desk.settled())  # a refusal tells of the state, too
        raise
    body = codec.encode(answer_type, render(stepped))
    await _durable(durable)
    return Done(stepped, body)


async def settled(app: App) -> None:
    """Wait until all that the engine has done so far is durable: only then it may be told. Raises: LogUnavailable."""
    await _durable(desk_of(app).settled())


async def _durable(awaited: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await awaited
    except TimeoutError:
        raise LogUnavailable(
            f"the log took longer than {_PATIENCE_S:g} s; whether it is done is not known: ask the same again"
        ) from None


def respond(asked: Asked, done: Done, status: int = 200) -> web.Response:
    headers = {CONTENT_TYPE: asked.answer_type, POSITION: str(done.stepped.position)}
    if done.stepped.is_repeat:
        headers[REPLAY] = "true"
    return web.Response(body=done.body, status=status, headers=headers)


async def show(app: App, request: web.BaseRequest, value: object) -> web.Response:
    """An answer to a question: told once all it is made of is durable. Raises: LogError."""
    answer_type = codec.answer_type(request.headers.get(ACCEPT), codec.JSON)
    body = codec.encode(answer_type, value)
    await settled(app)
    return web.Response(body=body, headers={CONTENT_TYPE: answer_type})


def unknown(kind: str, name: str) -> NotFound:
    return NotFound(f"{kind} {name[:100]!r}: there is none, or it ended a while ago")
