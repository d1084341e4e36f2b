"""A server's life: listen, load, serve, drain."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from router.assembly import build_app
from router.http import adapters, admin, decisions, health, models, openapi, webhooks
from router.http.app import HttpServer
from router.http.assignment import assignment_routes
from router.http.interactions import Interactions
from router.http.socket import Sockets
from router.pages import page

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.assembly import App
    from router.config import Config
    from router.http.app import Handler

_LOGGER = logging.getLogger("takt.server")
_POLL_S = 0.02
_BACKLOG = 1_024
_M_MMAP_THRESHOLD, _LARGE_BYTES = -3, 131_072  # mallopt(3)


def make_http(app: App) -> HttpServer:
    """All resources of the server, by path."""
    interactions, sockets, pages = Interactions(app), Sockets(), page.Pages()
    routes: dict[str, dict[str, Handler]] = {
        **assignment_routes(app, sockets),
        **pages.routes,
        "/v1/interactions": {"POST": interactions.post},
        "/v1/interactions:batch": {"POST": interactions.post_batch},
        "/v1/admin/faults": {"GET": admin.get_faults, "PUT": admin.put_faults},
        "/v1/admin/models": {"GET": models.get_models},
        "/v1/admin/models/activate": {"POST": models.post_activate},
        "/v1/admin/models/rollback": {"POST": models.post_rollback},
        "/v1/admin/webhooks": {"GET": webhooks.get_webhooks},
        "/v1/adapters/rocketchat/agent": {"GET": adapters.get_rocketchat_agent},
        "/v1/adapters/rocketchat/events": {"POST": adapters.post_rocketchat_event},
        "/v1/adapters/chatwoot/events": {"POST": adapters.post_chatwoot_event},
        "/healthz": {"GET": health.healthz},
        "/readyz": {"GET": health.readyz},
        "/metrics": {"GET": health.MetricsPage(app).get},
        "/openapi.json": {"GET": openapi.page()},
    }
    return HttpServer(
        app,
        routes,
        {
            decisions.PREFIX: {"GET": decisions.get_decision},
            webhooks.PREFIX: {"GET": webhooks.get_dead, "POST": webhooks.post_replay},
            page.PREFIX: {"GET": pages.get},
        },
        sockets,
    )


async def serve(config: Config, *, allow_faults: bool, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. SIGHUP takes up the models that are active on disk.

    On a terminal SIGHUP says that the terminal has gone, and ends the server too.
    `on_ready` gets the URL once decisions can be had from models. Until then the port is open, /readyz says 503
    and decisions come from the rules (`degraded: cold`).
    Raises: PolicyError, ModelError, LogRefused, OSError: why it can't start.
    """
    _give_memory_back()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def take_up() -> None:  # by the loop, which does not turn before there is an app
        app.models.take_up()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    on_terminal = sys.stdin is not None and sys.stdin.isatty()
    loop.add_signal_handler(signal.SIGHUP, stop.set if on_terminal else take_up)
    app = build_app(config, allow_faults=allow_faults)
    http = make_http(app)
    settings = config.settings.server
    listener = await loop.create_server(http, settings.host, settings.port, backlog=_BACKLOG)
    try:
        await app.start()
        # What is loaded stays. Looking through all of it for garbage would stop the loop for 30-85 ms now and then.
        gc.collect()
        gc.freeze()
        on_ready(_url(listener))
        await stop.wait()
        stop.clear()
        _LOGGER.info("draining")
        await step_aside(app, stop)
        await drain(app, http, listener)
    finally:
        listener.close()
        http.pre_shutdown()  # ends the idle connections, which shutdown would wait for
        await http.shutdown(1.0)
        await app.close()
        _LOGGER.info("stopped")


def _give_memory_back() -> None:
    """Let glibc return large blocks to the system whenever they are freed.

    By itself it raises its limit for that with the first model that is freed, and keeps the memory of later ones. With
    a model of 24 MB, 24 swaps made a process of 184 MB one of 353; with this limit one of 173 became one of 180.
    """
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


async def step_aside(app: App, hurry: asyncio.Event) -> None:
    """Let load balancers see /readyz fail, and serve on for as long as they need to look elsewhere.

    Args:
        hurry: ends it: whoever signals twice has no load balancer, or no patience.
    """
    app.is_ready = False
    with suppress(TimeoutError):
        await asyncio.wait_for(hurry.wait(), app.config.settings.server.lame_duck_ms / 1e3)


async def drain(app: App, http: HttpServer, listener: asyncio.Server) -> None:
    """Take no new connections; answer what comes on the open ones, each with its last answer; wait for the rest.

    A request that was accepted is answered.
    """
    app.is_ready = False
    app.models.stop()
    http.is_draining = True
    http.sockets.drain()
    await _stop_listening(listener, http)
    clock = app.clock
    until_ns = clock.now_ns() + int(app.config.settings.server.drain_ms * 1e6)
    while http.connections and clock.now_ns() < until_ns:  # polling keeps both off the hot path
        await asyncio.sleep(_POLL_S)
    app.pipeline.admission.draining = True
    while app.pipeline.admission.inflight:  # the same; bounded by the largest budget
        await asyncio.sleep(_POLL_S)


async def _stop_listening(listener: asyncio.Server, http: HttpServer) -> None:
    """Close the port, but not on those whom the kernel has let in already: they may have sent their request."""
    doors = [socket.socket(fileno=os.dup(each.fileno())) for each in listener.sockets]
    listener.close()
    waiting: list[socket.socket] = []
    for door in doors:
        with door, suppress(BlockingIOError):
            door.settimeout(0)
            while True:
                waiting.append(door.accept()[0])
    for connection in waiting:
        await asyncio.get_running_loop().connect_accepted_socket(http, connection)


def _url(listener: asyncio.Server) -> str:
    host, port = listener.sockets[0].getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
