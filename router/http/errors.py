"""Problems as clients see them: RFC 9457 problem+json with a stable `code`."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from router.assign.errors import Refused
from router.errors import RequestRefused
from router.log import LogError


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every answer that is not a 2xx. `code` is for programs and never changes; `detail` is for people."""

    title: str
    status: int
    code: str
    detail: str = ""
    type: str = "about:blank"
    fallback: str = ""
    """Of a task that was not taken: the route that stands in."""


def title_of(status: int) -> str:
    return HTTPStatus(status).phrase


def problem_of(refused: RequestRefused) -> Problem:
    return Problem(
        title=title_of(refused.status),
        status=refused.status,
        code=refused.code,
        detail=refused.detail[:1_000],
        fallback=refused.fallback,
    )


class Malformed(RequestRefused):
    status, code = 400, "malformed"


class Unauthorized(RequestRefused):
    status, code = 401, "unauthorized"


class Forbidden(RequestRefused):
    status, code = 403, "forbidden"


class NotFound(RequestRefused):
    status, code = 404, "not-found"


class MethodNotAllowed(RequestRefused):
    status, code = 405, "method-not-allowed"

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(f"allowed here: {', '.join(allowed)}")
        self.allowed = allowed


class BodyTimeout(RequestRefused):
    status, code = 408, "body-timeout"


class TooLarge(RequestRefused):
    status, code = 413, "too-large"


class UnsupportedType(RequestRefused):
    status, code = 415, "unsupported-type"


class KeyReused(RequestRefused):
    status, code = 422, "idempotency-key-reused"


class Unavailable(RequestRefused):
    status, code, retry_after_s = 503, "unavailable", 1


class NoAssignment(RequestRefused):
    """This server assigns nothing."""

    status, code = 404, "no-assignment"

    def __init__(self) -> None:
        super().__init__(
            "this server has no queues: write [queues.NAME] into queues.toml beside takt.toml and restart it"
        )


class EngineRefused(RequestRefused):
    """The assignment engine has refused a command, with its own status and code."""

    def __init__(self, refused: Refused) -> None:
        self.status, self.code = refused.status, refused.code
        self.retry_after_s = 1 if refused.status == 503 else None  # noqa: PLR2004
        super().__init__(refused.detail)


class LogDown(RequestRefused):
    """What can't be made durable is not done, or not confirmed."""

    retry_after_s = 1

    def __init__(self, error: LogError) -> None:
        self.status, self.code = error.status, error.code
        super().__init__(str(error))


Unfulfilled = (RequestRefused, Refused, LogError)
"""All that is no bug: for `except`."""


def refusal_of(error: BaseException) -> RequestRefused:
    """What a client is told of an error that is one of `Unfulfilled`."""
    if isinstance(error, Refused):
        return EngineRefused(error)
    if isinstance(error, LogError):
        return LogDown(error)
    assert isinstance(error, RequestRefused)  # noqa: S101 - there is no other
    return error
