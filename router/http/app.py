"""The server: connections, dispatch, CORS, and every error turned into a problem that a client understands.

aiohttp's low-level server parses HTTP; there is no framework above it (docs/adr/0008).
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from multidict import istr

from router.errors import NotAdmitted
from router.http import codec
from router.http.errors import MethodNotAllowed, NotFound, Problem, Unfulfilled, problem_of, refusal_of, title_of
from router.http.socket import Sockets

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from router.assembly import App
    from router.errors import RequestRefused

    Handler = Callable[[App, web.BaseRequest], Awaitable[web.StreamResponse]]
    Methods = dict[str, Handler]

_LOGGER = logging.getLogger("takt.http")
PROBLEM_JSON = "application/problem+json"
ORIGIN, ACCEPT = istr("Origin"), istr("Accept")
DROPPED_REASON, RETRY_AFTER = "X-Request-Dropped-Reason", "Retry-After"
_EXPOSED = (
    "Server-Timing, X-Route-Rung, X-Route-Degraded, X-Budget-Remaining-Ms, X-Request-Dropped-Reason, Retry-After, "
    "ETag, Location, Idempotent-Replay, X-Takt-Position, X-Takt-Decision"
)
_MAX_AGE_S = "600"
_VARIABLES = 3, 5
"""/v1/tasks/ID and what follows it; /v1/policies/assignment/versions/VERSION."""


class Connection(RequestHandler):
    """One client connection. Knows when its bytes arrived, and keeps answering a client that has finished sending."""

    __slots__ = ("_arrivals_ns", "_server", "has_ended", "received_ns", "stalled_ns")

    def __init__(self, server: HttpServer, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(server, **options)
        self._server = server
        # Of the requests that have been parsed and wait for their turn: when they were read, and how long the event
        # loop had been blocked just before.
        self._arrivals_ns: deque[tuple[int, int]] = deque()
        self.received_ns = self.stalled_ns = 0  # of the request that is being handled
        self.has_ended = False

    @property
    def has_waiting(self) -> bool:
        """Whether requests wait behind the one that is being handled."""
        return bool(self._messages)

    def data_received(self, data: bytes) -> None:
        """Parse; whatever became a request has arrived now."""
        now_ns = self._server.now_ns()
        stalled_ns = self._server.late_ns(now_ns)
        before = self._request_count
        super().data_received(data)
        for _ in range(self._request_count - before):
            self._arrivals_ns.append((now_ns, stalled_ns))

    def begin_request(self) -> None:
        """The oldest request that waits is being handled from here on."""
        self.received_ns, self.stalled_ns = self._arrivals_ns.popleft()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's own
        """Spare the parser two calls a request where nothing was paused."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio: true keeps our half of the connection open
        """A half-closed connection still gets the answers it is owed; then it is closed.

        A body that is incomplete will stay so: who waits for the rest of it is told.
        """
        self.has_ended = True
        if self._upgraded:  # a WebSocket ends with either half
            return False
        is_idle = not self._request_count or (self._waiter is not None and not self._waiter.done())
        if self._current_request is not None and not self._current_request.content.is_eof():
            self._current_request.content.set_exception(web.RequestPayloadError("the client stopped sending"))
            self._current_request.content.feed_eof()
        if not self._messages:  # else the last of them closes
            self.close()
        return not is_idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._server.connections) > self._server.max_connections:
            self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What aiohttp itself refuses (bad HTTP) or a bug: a problem like any other, never a traceback."""
        if status >= 500:  # noqa: PLR2004
            _LOGGER.error("unexpected_error", extra={"path": request.path}, exc_info=exc)
        detail = "an unexpected error; it has been logged" if status >= 500 else (message or str(exc))  # noqa: PLR2004
        code = "internal" if status >= 500 else "bad-http"  # noqa: PLR2004
        response = problem_response(Problem(title=title_of(status), status=status, code=code, detail=detail[:500]))
        response.force_close()
        return response


class HttpServer(web.Server):
    """Makes connections; dispatches requests to the resources.

    A resource is found by its whole path, or with `{}` in the third or the fifth place of it; else by a prefix.
    """

    def __init__(
        self, app: App, routes: dict[str, Methods], prefixes: dict[str, Methods], sockets: Sockets | None = None
    ) -> None:
        settings = app.config.settings.server
        super().__init__(
            self.handle,
            keepalive_timeout=settings.keepalive_s,
            access_log=None,
            auto_decompress=False,  # a small body must not become a large one
            lingering_time=1.0,
            handler_cancellation=True,  # who has left needs no answer
        )
        self._app = app
        self._routes, self._prefixes = routes, prefixes
        for methods in (*routes.values(), *prefixes.values()):
            if "GET" in methods:  # aiohttp leaves the body out
                methods["HEAD"] = methods["GET"]
        self._origins = frozenset(settings.cors_origins)
        self.max_connections = settings.max_connections
        self.now_ns, self.late_ns = app.clock.now_ns, app.lag.estimate.late_ns
        self.is_draining = False
        self.sockets = Sockets() if sockets is None else sockets

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, from its resource's handler or with the problem that it met."""
        connection: Connection = request.protocol  # type: ignore[assignment] # it was made by __call__
        connection.begin_request()
        try:
            methods = self._resource(request)
            if request.method == "OPTIONS" and self._origins:
                response: web.StreamResponse = web.Response(status=204)
            else:
                handler = methods.get(request.method)
                if handler is None:
                    raise MethodNotAllowed(sorted(methods))
                response = await handler(self._app, request)
        except Unfulfilled as error:
            refused = refusal_of(error)
            if not isinstance(refused, NotAdmitted):  # those the pipeline has counted
                self._app.metrics.refused.child(refused.code).inc()
            response = refusal_response(refused)
        if self._origins and (origin := request.headers.get(ORIGIN)) is not None:
            self._allow_origin(request, response, origin)
        if (self.is_draining or connection.has_ended) and not connection.has_waiting:
            response.force_close()
        return response

    def _resource(self, request: web.BaseRequest) -> Methods:
        """The methods of the resource that the path names."""
        path = request.raw_path.partition("?")[0]
        methods = self._routes.get(path)
        if methods is not None:
            return methods
        parts = path.split("/", 6)
        for place in _VARIABLES:
            if len(parts) > place:
                methods = self._routes.get("/".join([*parts[:place], "{}", *parts[place + 1 :]]))
                if methods is not None:
                    return methods
        for prefix, prefixed in self._prefixes.items():
            if path.startswith(prefix):
                return prefixed
        raise NotFound(f"{path[:200]}: no such resource; /openapi.json lists them")

    def _allow_origin(self, request: web.BaseRequest, response: web.StreamResponse, origin: str) -> None:
        headers = response.headers
        headers["Vary"] = "Origin"
        if origin not in self._origins and "*" not in self._origins:
            return
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = _EXPOSED
        if request.method == "OPTIONS":
            headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH"
            headers["Access-Control-Allow-Headers"] = request.headers.get("Access-Control-Request-Headers", "")
            headers["Access-Control-Max-Age"] = _MAX_AGE_S


def refusal_response(refused: RequestRefused) -> web.Response:
    response = problem_response(problem_of(refused))
    if refused.retry_after_s is not None:
        response.headers[RETRY_AFTER] = str(refused.retry_after_s)
    if isinstance(refused, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(refused.allowed)
    if refused.status == 401:  # noqa: PLR2004 - RFC 9110, 15.5.2
        response.headers["WWW-Authenticate"] = "Bearer"
    if refused.status in {408, 413}:  # the rest of the body is not wanted
        response.force_close()
    return response


def problem_response(problem: Problem) -> web.Response:
    headers = {"Content-Type": PROBLEM_JSON}
    if problem.status >= 500:  # noqa: PLR2004
        headers[DROPPED_REASON] = problem.code
    return web.Response(body=codec.encode(codec.JSON, problem), status=problem.status, headers=headers)


def json_response(value: Any, status: int = 200) -> web.Response:  # noqa: ANN401 - any struct
    return web.Response(body=codec.encode(codec.JSON, value), status=status, headers={"Content-Type": codec.JSON})
