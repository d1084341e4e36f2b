"""Servers for the tests of this folder, and what has to be true of a server after each of them."""

from __future__ import annotations

import logging
from itertools import count
from typing import TYPE_CHECKING

import pytest
from blockbuster import BlockBuster

from tests.http_desk import QUEUES, SECRET, Floor
from tests.http_project import SURE_TEXT, train_models, write_project
from tests.http_server import JSON_TYPE, LoopThread, Running
from tests.hurry import hurried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from router.config import Config

    MakeConfig = Callable[..., Config]


class Blunders(logging.Handler):
    """Collects what is logged as an error anywhere: a server in good order logs none, whatever clients do."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))


@pytest.fixture(scope="module", autouse=True)
def _hurry() -> Iterator[None]:
    """What is learned is tested where it is learned."""
    with hurried():
        yield


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("trained") / "models"
    train_models(out_dir)
    return out_dir


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.stop()


@pytest.fixture(scope="session")
def make_config(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> MakeConfig:
    """A project of its own, with keys of `[server]` or, by `section__key`, of another section."""

    def make(**keys: str) -> Config:
        environment = {
            f"TAKT__{key}".upper() if "__" in key else f"TAKT__SERVER__{key}".upper(): value
            for key, value in keys.items()
        }
        return write_project(tmp_path_factory.mktemp("project"), models_dir, environment)

    return make


@pytest.fixture(scope="session")
def shared(loop_thread: LoopThread, make_config: MakeConfig) -> Iterator[Running]:
    config = make_config(cors_origins='["https://shop.example"]', body_timeout_ms="300")
    with loop_thread.serving(config, allow_faults=True) as running:
        yield running


@pytest.fixture(scope="session")
def slow(loop_thread: LoopThread, make_config: MakeConfig) -> Iterator[Running]:
    """A server whose decisions take as long as a disk flush of 150 ms, without blocking anything."""
    config = make_config(log__durability="commit")
    with loop_thread.serving(config, allow_faults=True) as running:
        reply = running.ask("PUT", "/v1/admin/faults", b'{"store": {"delay_ms": 150}}', JSON_TYPE)
        assert reply.status == 200
        yield running


@pytest.fixture(scope="session")
def with_queues(loop_thread: LoopThread, make_config: MakeConfig) -> Iterator[Running]:
    """A server that assigns; everybody on this machine is a supervisor."""
    config = make_config(agents__secret=SECRET)
    (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")
    with loop_thread.serving(config) as running:
        yield running


@pytest.fixture(scope="session")
def line_numbers() -> count[int]:
    return count()


@pytest.fixture
def floor(with_queues: Running, line_numbers: count[int]) -> Floor:
    """A queue of the test's own."""
    return Floor(with_queues, line_numbers)


@pytest.fixture(autouse=True)
def _no_blocking(shared: Running) -> Iterator[None]:
    """The product may not block an event loop in any of these tests, but where it is told to."""
    buster = BlockBuster(["router", "budgets", "fallbacks", "models"])
    buster.functions["time.sleep"].can_block_in("router/faults.py", {"_block_loop", "predict"})
    for function in buster.functions.values():  # a server that starts or stops may
        function.can_block_in("tests/http_server.py", {"_open", "_close"})
    buster.activate()
    yield
    buster.deactivate()


@pytest.fixture(autouse=True)
def blunders(shared: Running) -> Iterator[Blunders]:
    """Nothing was logged as an error."""
    handler = Blunders()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)
    assert handler.seen == []


@pytest.fixture
def server(shared: Running) -> Iterator[Running]:
    """The shared server, which still answers after the test."""
    yield shared
    assert shared.decide(SURE_TEXT)["decision_id"]
