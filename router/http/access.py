"""Who asks for tasks, offers and resources, and what they may: supervisors, agents, callers (docs/http-api.md)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Literal, NamedTuple

from router.http.callers import Callers
from router.http.credential import AgentTokens, decode_base64
from router.http.errors import Forbidden, Unauthorized
from router.http.origin import is_here, is_own_origin

if TYPE_CHECKING:
    from aiohttp import web

    from budgets.clock import Clock
    from router.config import Config

Role = Literal["supervisor", "agent", "caller"]
SUBPROTOCOL = "takt.v1"
_BEARER_PROTOCOL = "bearer."


class Who(NamedTuple):
    """Who asks. `name`: the resource of an agent, the name of a caller; empty for a supervisor."""

    role: Role
    name: str = ""

    @property
    def actor(self) -> str:
        """As the log of commands names it."""
        return {"supervisor": "supervisor", "agent": self.name, "caller": ""}[self.role]

    @property
    def is_supervisor(self) -> bool:
        return self.role == "supervisor"

    def require_supervisor(self) -> None:
        """Raises: Forbidden."""
        if self.role != "supervisor":
            raise Forbidden(
                "for supervisors: the token of server.admin_token or, while none is set, none from this machine"
            )

    def require_self(self, resource_id: str) -> None:
        """A supervisor, or this very agent. Raises: Forbidden."""
        if self.role == "caller" or (self.role == "agent" and self.name != resource_id):
            raise Forbidden(f"{resource_id}: only with its own token, or a supervisor's")


class Access:
    """Tells who asks, by what a request bears."""

    def __init__(self, config: Config, clock: Clock) -> None:
        settings = config.settings
        self.tokens = AgentTokens(settings.agents.secret)
        self._admin = settings.server.admin_token.encode()
        self._callers = Callers(settings.callers, settings.server.most_critical)
        self._has_callers = bool(settings.callers)
        self._origins = frozenset(settings.server.cors_origins)
        self._clock = clock

    def of(self, request: web.BaseRequest, *, is_stream: bool = False) -> Who:
        """Args: is_stream: a browser's WebSocket has no headers of its own. Raises: Unauthorized, Forbidden."""
        bearer = _stream_token(request) if is_stream else None
        if bearer is None:
            bearer = _header_token(request)
        if bearer is not None and (self._admin or self.tokens.is_on or self._has_callers):
            return self._bearer(bearer)
        if self._admin:
            raise Unauthorized("send `Authorization: Bearer` with a token")
        if not is_here(request):
            raise Forbidden("without server.admin_token only this machine is let in, not through a proxy")
        return Who("supervisor")

    def check_origin(self, request: web.BaseRequest) -> None:
        """A browser lets any page open a WebSocket: those of other origins are refused. Raises: Forbidden."""
        origin = request.headers.get("Origin")
        if origin is None or origin in self._origins or is_own_origin(request, origin):
            return
        # Any origin is welcome to who bears a token; a page that bears none is let in by its machine alone.
        if "*" in self._origins and self._admin:
            return
        raise Forbidden("Origin: is neither this server nor one of server.cors_origins")

    def _bearer(self, token: str) -> Who:
        # As it came: aiohttp keeps bytes that are no UTF-8 as surrogates.
        if self._admin and hmac.compare_digest(token.encode(errors="surrogateescape"), self._admin):
            return Who("supervisor")
        resource_id = self.tokens.resource_of(token, self._clock.wall_ns() / 1e9)
        if resource_id is not None:
            return Who("agent", resource_id)
        if self._has_callers and (name := self._callers.of(f"Bearer {token}").name) is not None:
            return Who("caller", name)
        raise Unauthorized("the bearer token is none of this server, or its time is over")


def _header_token(request: web.BaseRequest) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _stream_token(request: web.BaseRequest) -> str | None:
    """Of a WebSocket's handshake: `?token=`, or the subprotocol `bearer.` and the token as base64url."""
    for stated in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        protocol = stated.strip()
        if protocol.startswith(_BEARER_PROTOCOL):
            try:
                return decode_base64(protocol.removeprefix(_BEARER_PROTOCOL)).decode()
            except ValueError:
                raise Unauthorized("Sec-WebSocket-Protocol: `bearer.` is followed by the token as base64url") from None
    return request.query.get("token")
