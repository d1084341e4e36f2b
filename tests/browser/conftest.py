"""A browser, and servers that can be stopped and started again, for the tests of pages."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from router.assembly import build_app
from router.server import make_http
from tests.chromium import Chromium
from tests.http_desk import QUEUES, SECRET, Floor
from tests.http_project import train_models, write_project
from tests.http_server import LoopThread, Running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from router.assembly import App
    from router.config import Config
    from tests.chromium import Page

ADMIN = "the-admin's-token"
CHANNELS = """
[channels.chat]
wrap_s = 60
[channels.brief]
offer_s = 5
"""


class Server:
    """One whose place stays the same while it is stopped and started."""

    def __init__(self, loop: LoopThread, config: Config) -> None:
        self._loop, self._config = loop, config
        self._port = 0
        self.start()

    def start(self, before: Callable[[App], Awaitable[None]] | None = None) -> None:
        """Args: before: what happens before anybody can connect."""
        self.running = self._loop.run(self._open(before))
        self._port = self.running.port

    def stop(self) -> None:
        self._loop.run(self._close())

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}{path}"

    async def _open(self, before: Callable[[App], Awaitable[None]] | None) -> Running:
        app = build_app(self._config, allow_faults=False)
        http = make_http(app)
        await app.start()
        if before is not None:
            await before(app)
        loop = asyncio.get_running_loop()
        return Running(loop, app, http, await loop.create_server(http, "127.0.0.1", self._port))

    async def _close(self) -> None:
        running = self.running
        running.listener.close()
        running.http.sockets.drain()
        running.http.pre_shutdown()
        await running.http.shutdown(0.1)
        await running.app.close()


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.stop()


@pytest.fixture(scope="session")
def browser(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    chromium = Chromium(loop_thread, tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.fixture(scope="session")
def make_server(
    loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[dict[str, str]], Server]]:
    models = tmp_path_factory.mktemp("trained") / "models"
    train_models(models)
    servers = []

    def make(environment: dict[str, str]) -> Server:
        config = write_project(tmp_path_factory.mktemp("project"), models, environment)
        (config.folder / "queues.toml").write_text(QUEUES + CHANNELS, encoding="utf-8")
        servers.append(Server(loop_thread, config))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(make_server: Callable[[dict[str, str]], Server]) -> Server:
    """Everybody on this machine is a supervisor."""
    return make_server({})


@pytest.fixture(scope="session")
def guarded(make_server: Callable[[dict[str, str]], Server]) -> Server:
    return make_server({"TAKT__SERVER__ADMIN_TOKEN": ADMIN, "TAKT__AGENTS__SECRET": SECRET})


@pytest.fixture(scope="session")
def line_numbers() -> count[int]:
    return count()


@pytest.fixture
def floor(server: Server, line_numbers: count[int]) -> Floor:
    """A queue of the test's own."""
    return Floor(server.running, line_numbers)


@pytest.fixture
def open_page(browser: Chromium) -> Iterator[Callable[..., Page]]:
    """Opens windows; when the test is over, none of them may have complained."""
    pages: list[Page] = []

    def show(url: str, **options: Any) -> Page:
        pages.append(browser.page(url, **options))
        return pages[-1]

    yield show
    complaints = [each for page in pages for each in page.complaints]
    for page in pages:
        page.close()
    assert complaints == []
