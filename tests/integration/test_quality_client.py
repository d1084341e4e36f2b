"""loadtest.quality.client against a real socket."""

from __future__ import annotations

import asyncio
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, ClassVar

import msgspec
import pytest

from loadtest.answer import Answer
from loadtest.engine.inproc import TargetRefused
from loadtest.errors import Unreachable
from loadtest.quality.client import Client
from loadtest.quantity import MS
from loadtest.scenario.spec import TargetSpec
from tests.fabricated import scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
ANSWER = Answer("large", "none", "cards")


class Handler(BaseHTTPRequestHandler):
    """Says what it is told to; keeps what it was asked."""

    status = 200
    says = msgspec.json.encode(ANSWER)
    seen: ClassVar[list[tuple[str, str | None, str | None, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, self.headers["X-Request-Timeout-Ms"], self.headers["X-Team"], body))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.says)))
        self.end_headers()
        self.wfile.write(self.says)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Handler, "seen", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def ask(url: str) -> Answer:
    client = Client(scenario(target=TargetSpec(url=url, headers={"X-Team": "night"})))
    return asyncio.run(client.ask(b'{"text":"hello"}', 250 * MS))


def test_it_asks_as_the_run_did(url: str) -> None:
    assert ask(url) == ANSWER
    assert Handler.seen == [("/v1/interactions", "250", "night", b'{"text":"hello"}')]


def test_a_refusal_has_its_status(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "status", 503)
    with pytest.raises(TargetRefused) as refused:
        ask(url)
    assert refused.value.status == 503


def test_who_answers_something_else_is_not_the_server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "says", b'{"route": "cards"}')
    with pytest.raises(Unreachable, match="no answer of Takt's"):
        ask(url)


def test_nobody_there() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        ask("http://127.0.0.1:9")
