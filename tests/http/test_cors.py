"""CORS: browser frontends of configured origins, and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.http_project import SURE_TEXT
from tests.http_server import PATH

if TYPE_CHECKING:
    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread, Running

KNOWN, UNKNOWN = "https://shop.example", "https://evil.example"
ASKED = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,x-request-timeout-ms",
}


@pytest.mark.parametrize("path", [PATH, f"{PATH}:batch", "/healthz"])
def test_a_preflight_of_a_known_origin_is_allowed(server: Running, path: str) -> None:
    reply = server.ask("OPTIONS", path, headers={"Origin": KNOWN, **ASKED})
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["Access-Control-Allow-Origin"] == KNOWN
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
    assert reply.headers["Access-Control-Allow-Headers"] == "content-type,x-request-timeout-ms"
    assert int(reply.headers["Access-Control-Max-Age"]) > 0
    assert reply.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", [UNKNOWN, "null", "", "\xff", KNOWN + ".evil.example", KNOWN.upper()])
def test_another_origin_gets_no_permission(server: Running, origin: str) -> None:
    for reply in (
        server.ask("OPTIONS", PATH, headers={"Origin": origin, **ASKED}),
        server.post({"text": SURE_TEXT}, {"Origin": origin}),
    ):
        assert reply.status in {200, 204}
        assert not [name for name in reply.headers if name.startswith("Access-Control")]
        assert reply.headers["Vary"] == "Origin"


def test_the_request_itself_may_be_read_with_its_headers(server: Running) -> None:
    reply = server.post({"text": SURE_TEXT}, {"Origin": KNOWN})
    assert reply.headers["Access-Control-Allow-Origin"] == KNOWN
    exposed = reply.headers["Access-Control-Expose-Headers"]
    for name in ("Server-Timing", "X-Route-Rung", "X-Budget-Remaining-Ms", "X-Request-Dropped-Reason"):
        assert name in exposed


def test_so_may_a_problem(server: Running) -> None:
    reply = server.post({"text": ""}, {"Origin": KNOWN})
    reply.problem(400, "malformed")
    assert reply.headers["Access-Control-Allow-Origin"] == KNOWN


def test_without_an_origin_there_is_nothing_to_say(server: Running) -> None:
    reply = server.post({"text": SURE_TEXT})
    assert not [name for name in reply.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("origin", [UNKNOWN, "\xff"])
def test_a_star_allows_any(loop_thread: LoopThread, make_config: MakeConfig, origin: str) -> None:
    with loop_thread.serving(make_config(cors_origins='["*"]')) as server:
        reply = server.post({"text": SURE_TEXT}, {"Origin": origin})
        assert reply.status == 200
        if origin == UNKNOWN:
            assert reply.headers["Access-Control-Allow-Origin"] == origin
        asked = {**ASKED, "Access-Control-Request-Headers": "\xff"}
        assert server.ask("OPTIONS", PATH, headers={"Origin": origin, **asked}).status == 204


def test_where_none_is_configured_options_is_a_method_like_any_other(slow: Running) -> None:
    reply = slow.ask("OPTIONS", PATH, headers={"Origin": KNOWN, **ASKED})
    reply.problem(405, "method-not-allowed")
    assert "Vary" not in reply.headers
