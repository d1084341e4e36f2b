"""The files of the pages, as they are served."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.http_server import Running

STATIC = {each.name: each.read_text("utf-8") for each in (files("router.pages") / "static").iterdir()}
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@pytest.mark.parametrize(("path", "name"), [("/agent", "agent.html"), ("/supervisor?queue=x", "supervisor.html")])
def test_a_page_has_its_address(server: Running, path: str, name: str) -> None:
    reply = server.ask("GET", path)
    assert reply.status == 200
    assert reply.body.decode() == STATIC[name]


@pytest.mark.parametrize("name", STATIC)
def test_a_file_is_safe_and_kept(server: Running, name: str) -> None:
    reply = server.ask("GET", f"/pages/{name}")
    assert reply.status == 200
    headers = reply.headers
    policy = dict(each.strip().split(" ", 1) for each in headers["Content-Security-Policy"].split(";"))
    assert policy.pop("default-src") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert {key for key, value in policy.items() if value == "'self'"} == {
        "script-src", "style-src", "connect-src", "img-src"
    }  # fmt: skip
    assert {"base-uri", "form-action", "frame-ancestors"} <= policy.keys()
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Type"] == f"{KINDS[name.rpartition('.')[2]]}; charset=utf-8"
    etag = headers["ETag"]
    for stated in (etag, f"W/{etag}", f'"other", {etag}'):
        again = server.ask("GET", f"/pages/{name}", headers={"If-None-Match": stated})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    assert server.ask("GET", f"/pages/{name}", headers={"If-None-Match": '"other"'}).status == 200
    assert server.ask("HEAD", f"/pages/{name}").body == b""


@pytest.mark.parametrize(
    "path", ["/pages/", "/pages/none.js", "/pages/../page.py", "/pages/%2e%2e/page.py", "/pages/agent.js/", "/pages"]
)
def test_there_is_nothing_else(server: Running, path: str) -> None:
    server.ask("GET", path).problem(404, "not-found")


def test_pages_take_nothing(server: Running) -> None:
    server.post({}, path="/agent").problem(405, "method-not-allowed")


def test_no_file_writes_markup_or_needs_another_server() -> None:
    """The policy forbids most of it; what it can't see is forbidden here."""
    for name, content in STATIC.items():
        if name.endswith(".html"):
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! type=\"module\" src=\"/pages/)", content), name
        if name.endswith(".js"):
            assert not re.search(r"(inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|setHTML", content), (
                name
            )
        foreign = [each for each in re.findall(r"https?://[\w.]+", content) if each != "http://www.w3.org"]
        assert foreign == [], name
    named = {each for content in STATIC.values() for each in re.findall(r"[\"']/pages/([\w.-]+)[\"']", content)}
    named |= {each for content in STATIC.values() for each in re.findall(r"from \"\./([\w.-]+)\"", content)}
    assert named | {"agent.html", "supervisor.html"} == STATIC.keys()
