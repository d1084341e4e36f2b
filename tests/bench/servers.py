"""The servers that are compared. Started by `server_process`; prints its URL once it is ready.

takt              the server
takt-faults       the same, with faults allowed
takt-application  the same, dispatched by aiohttp's web.Application
takt-b0 .. b3     the same with another way to hold budgets: tests/bench/baselines.py
echo              an empty aiohttp web.Application that answers the JSON it gets: the baseline
echo-server       the same on aiohttp's low-level web.Server
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import uvloop
from aiohttp import web

from router import server
from router.assembly import build_app
from router.config import load_config
from router.http.app import HttpServer
from tests.bench import baselines
from tests.bench.traffic import EXAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from router.assembly import App
    from router.config import Config


def _tell(url: str) -> None:
    print(url, flush=True)


async def _takt(*, allow_faults: bool = False) -> None:
    config = load_config(EXAMPLE / "takt.toml", os.environ)
    await server.serve(config, allow_faults=allow_faults, on_ready=_tell)


async def _takt_application() -> None:
    """Put the application between aiohttp's protocol and the handler, where a framework stands."""
    make_http = server.make_http

    def make(app: App) -> HttpServer:
        http = make_http(app)
        handle = http.request_handler
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", handle)
        application.freeze()
        http.request_factory = application._make_request
        http.request_handler = application._handle  # type: ignore[assignment] # its own requests are the narrower type
        return http

    server.make_http = make
    await _takt()


async def _takt_baseline(kind: str) -> None:
    def build(config: Config, **options: Any) -> App:
        app = build_app(config, **options)
        baselines.install(app, kind)
        return app

    server.build_app = build  # type: ignore[attr-defined] # serve() looks it up there
    os.environ["TAKT__OVERLOAD__MODE"] = "off"
    await _takt()


async def echo(request: web.BaseRequest) -> web.Response:
    return web.json_response(await request.json())


async def _serve_echo(runner: web.BaseRunner) -> None:
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _tell(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


async def _echo() -> None:
    application = web.Application()
    application.router.add_post("/v1/interactions", echo)
    await _serve_echo(web.AppRunner(application, access_log=None, handle_signals=True))


async def _echo_server() -> None:
    await _serve_echo(web.ServerRunner(web.Server(echo, access_log=None), handle_signals=True))


KINDS: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    "takt": _takt,
    "takt-faults": partial(_takt, allow_faults=True),
    "takt-application": _takt_application,
    **{kind: partial(_takt_baseline, kind) for kind in baselines.POLICIES},
    "echo": _echo,
    "echo-server": _echo_server,
}

if __name__ == "__main__":
    # `takt serve` writes its lines from a thread; Python's last resort would print them from the event loop.
    logging.getLogger("takt").addHandler(logging.NullHandler())
    with suppress(web.GracefulExit):
        uvloop.run(KINDS[sys.argv[1]]())
