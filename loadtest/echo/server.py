"""HTTP for the echo server: POST anything gives it back; GET /readyz; GET /truth gives the books."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections import deque
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import uvloop

from loadtest.distribution import Distribution
from loadtest.echo.agenda import Agenda
from loadtest.echo.truth import Truth, row_of
from loadtest.errors import Unreachable
from loadtest.wire import BadHttp, Request, RequestReader, render_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.echo.settings import EchoSettings

_BACKLOG: Final = 4_096
_DRAWN_AT_ONCE: Final = 4_096
_MOST_WAITING: Final = 1_000  # requests of one connection, unanswered
_OK, _BAD_REQUEST, _NOT_FOUND, _ERROR = 200, 400, 404, 500


class Echo:
    """Decides when each request is answered, and how.

    Args: now_ns: the monotonic clock. Raises: ScenarioError: `delay` is no distribution.
    """

    def __init__(self, settings: EchoSettings, now_ns: Callable[[], int], loop: asyncio.AbstractEventLoop) -> None:
        self.now_ns, self.agenda, self.truth = now_ns, Agenda(now_ns, loop), Truth()
        self._settings = settings
        self._delay = Distribution.parse(settings.delay)
        self._delay_rng, self._error_rng = (
            np.random.default_rng(each) for each in np.random.SeedSequence(settings.seed).spawn(2)
        )
        self._delays_ns: deque[int] = deque()
        self._errors: deque[bool] = deque()
        self._free_ns = 0  # `serial`: all that were taken will have been served by then

    def due_ns(self, received_ns: int) -> int:
        """When a request that has come now must be answered."""
        if not self._delays_ns:
            self._delays_ns.extend(self._delay.draw(self._delay_rng, _DRAWN_AT_ONCE).tolist())
        delay_ns = self._delays_ns.popleft()
        if not self._settings.serial:
            return received_ns + delay_ns
        self._free_ns = max(received_ns, self._free_ns) + delay_ns
        return self._free_ns

    def status(self) -> int:
        """Of the next answer."""
        if not self._settings.error_share:
            return _OK
        if not self._errors:
            self._errors.extend((self._error_rng.random(_DRAWN_AT_ONCE) < self._settings.error_share).tolist())
        return _ERROR if self._errors.popleft() else _OK


class _Connection(asyncio.Protocol):
    """Answers in the order of the requests, as HTTP/1.1 wants it."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._reader = RequestReader()
        self._waiting: deque[tuple[Request, int, int]] = deque()  # with when it came and when it is due

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        received_ns = self._echo.now_ns()
        try:
            requests = self._reader.feed(data)
        except BadHttp:
            self._refuse()
            return
        for request in requests:
            due_ns = self._echo.due_ns(received_ns) if request.method == "POST" else received_ns
            self._waiting.append((request, received_ns, due_ns))
            if len(self._waiting) == 1:
                self._echo.agenda.at(due_ns, self._answer)
        if len(self._waiting) > _MOST_WAITING:
            self._refuse()

    def _refuse(self) -> None:
        self._transport.write(render_response(_BAD_REQUEST, b"{}"))
        self._transport.close()

    def _answer(self) -> None:
        request, received_ns, _ = self._waiting.popleft()
        if self._transport.is_closing():
            return
        if request.method == "POST":
            answer = render_response(self._echo.status(), request.body)
            answered_ns = self._echo.now_ns()
            self._transport.write(answer)
            self._echo.truth.note(row_of(request.body), received_ns, answered_ns)
        else:
            self._transport.write(self._page(request))
        if not request.keeps_alive:
            self._transport.close()
        elif self._waiting:
            self._echo.agenda.at(self._waiting[0][2], self._answer)

    def _page(self, request: Request) -> bytes:
        if request.method == "GET" and request.path == "/readyz":
            return render_response(_OK, b'{"status":"ready"}')
        if request.method == "GET" and request.path == "/truth":
            return render_response(_OK, self._echo.truth.dump(), "application/octet-stream")
        return render_response(_NOT_FOUND, b"{}")


async def serve(settings: EchoSettings, on_ready: Callable[[str], None]) -> None:
    """Answer until SIGTERM or SIGINT. Raises: Unreachable: the address is taken."""
    loop = asyncio.get_running_loop()
    echo = Echo(settings, time.monotonic_ns, loop)
    try:
        listener = await loop.create_server(lambda: _Connection(echo), settings.host, settings.port, backlog=_BACKLOG)
    except OSError as error:
        raise Unreachable(f"{settings.host}:{settings.port}: {error.strerror}; name another --port") from error
    ended = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, ended.set)
    gc.freeze()
    on_ready(f"http://{settings.host}:{listener.sockets[0].getsockname()[1]}")
    await ended.wait()
    listener.close()


def run(settings: EchoSettings, on_ready: Callable[[str], None]) -> None:
    """`serve`, on a loop of its own."""
    uvloop.run(serve(settings, on_ready))
