"""/v1/admin/models for tests: asking for a change, holding it up, and telling the server by signal."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

from router import activation, activator
from tests.http_project import SURE_ROUTE, SURE_TEXT
from tests.http_server import request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from models.store import Version
    from tests.http_server import Reply, Running

MODELS = "/v1/admin/models"
ROWS = [(SURE_TEXT, SURE_ROUTE), ("i want to add funds", "top_up")] * 10
ALWAYS_OOS = (0, 99, 0, 0)  # labels are sorted: card_lost, oos, top_up, transfer
NAN = (0, float("nan"), 0, 0)


def folder_of(server: Running) -> Path:
    return server.app.config.models_dir


def activate(server: Running, version: str, **fields: Any) -> Reply:
    return server.post({"version": version, **fields}, path=f"{MODELS}/activate")


def page(server: Running) -> Any:
    return server.ask("GET", MODELS).json()


def until(is_so: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.005)


def begin(server: Running, version: str) -> bytes:
    body = json.dumps({"version": version}).encode()
    return request(body, "Content-Type: application/json", path=f"{MODELS}/activate")


def signal(server: Running) -> None:
    async def take_up() -> None:
        server.app.models.take_up()

    server.run(take_up())


def stop(server: Running) -> None:
    async def stop() -> None:
        server.app.models.stop()

    server.run(stop())


class Gate:
    """Holds up the judging of versions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        prepare = activation.prepare

        def held(config: Any, version: Version, active: Any, *, force: bool, rest: Any) -> activation.Candidate:
            self.entered.set()
            assert self.opened.wait(20)
            return prepare(config, version, active, force=force, rest=rest)

        monkeypatch.setattr(activator, "prepare", held)
