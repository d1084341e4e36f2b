"""Problems as clients see them: RFC 9457 problem+json with a stable `code`."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from router.errors import RequestRefused


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every answer that is not a 2xx. `code` is for programs and never changes; `detail` is for people."""

    title: str
    status: int
    code: str
    detail: str = ""
    type: str = "about:blank"


def title_of(status: int) -> str:
    return HTTPStatus(status).phrase


def problem_of(refused: RequestRefused) -> Problem:
    return Problem(
        title=title_of(refused.status), status=refused.status, code=refused.code, detail=refused.detail[:1_000]
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
