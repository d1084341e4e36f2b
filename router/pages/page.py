"""Serves the pages' files. They are clients of the public API like any other, and may not do more."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from router.http.errors import NotFound

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from router.assembly import App
    from router.http.app import Methods

PREFIX = "/pages/"
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HEADERS = {
    # Nothing but this server's own files, and its API: what a customer writes can't become a script or a request.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # kept, but asked for each time by its ETag: a new version is never mixed with an old
}


class _File(NamedTuple):
    body: bytes
    headers: dict[str, str]


class Pages:
    """All files, read once."""

    def __init__(self) -> None:
        folder = files("router.pages") / "static"
        self._files = {each.name: _read(each) for each in folder.iterdir()}
        self.routes: dict[str, Methods] = {
            "/agent": {"GET": lambda _, request: self._answer(request, "agent.html")},
            "/supervisor": {"GET": lambda _, request: self._answer(request, "supervisor.html")},
        }

    async def get(self, _app: App, request: web.BaseRequest) -> web.Response:
        """A file by its name, without any folders."""
        return await self._answer(request, request.raw_path.partition("?")[0].removeprefix(PREFIX))

    async def _answer(self, request: web.BaseRequest, name: str) -> web.Response:
        file = self._files.get(name)
        if file is None:
            raise NotFound(f"{PREFIX}{name[:100]}: no such file")
        stated = request.headers.get("If-None-Match", "")
        known = {each.strip().removeprefix("W/") for each in stated.split(",")}
        if file.headers["ETag"] in known:
            return web.Response(status=304, headers=file.headers)
        return web.Response(body=file.body, headers=file.headers)


def _read(file: Traversable) -> _File:
    body = file.read_bytes()
    kind = _TYPES[file.name.rpartition(".")[2]]
    etag = hashlib.sha256(body).hexdigest()[:32]
    return _File(body, {**_HEADERS, "Content-Type": f"{kind}; charset=utf-8", "ETag": f'"{etag}"'})
