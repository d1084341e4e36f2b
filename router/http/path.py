"""Ids in paths, and query parameters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote

from msgspec import Meta

from router.http.errors import Malformed, NotFound

if TYPE_CHECKING:
    from aiohttp import web

MAX_ID = 128
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.:@+~-]{0,127}\Z"
"""Of tasks and resources: nothing that a path, a log line or a page would have to escape."""
GivenId = Annotated[str, Meta(pattern=ID_PATTERN)]
NAME_PATTERN = r"^[A-Za-z0-9_.-]{1,64}\Z"
"""Of queues, channels, classes and skills, as in queues.toml."""
GivenName = Annotated[str, Meta(pattern=NAME_PATTERN)]
DEFAULT_LIMIT, MAX_LIMIT = 100, 1_000
"""Of what is listed in pages."""
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@+~-]{0,149}\Z")  # an offer's is its task's and a number


def id_of(request: web.BaseRequest) -> str:
    """The id in `/v1/kind/ID/…`. Raises: NotFound: it can be nobody's."""
    found = unquote(request.raw_path.partition("?")[0].split("/", 4)[3])
    if not ID.match(found):
        raise NotFound(f"{found[:100]!r}: ids are letters, digits and `_.:@+~-`, up to 128 of them")
    return found


def version_of(request: web.BaseRequest) -> str:
    """The version in `/v1/kind/ID/versions/VERSION/…`."""
    return unquote(request.raw_path.partition("?")[0].split("/", 6)[5])


def number(request: web.BaseRequest, name: str, default: int, most: int) -> int:
    """A query parameter from 0 to `most`. Raises: Malformed."""
    stated = request.query.get(name)
    if stated is None:
        return default
    if not (stated.isascii() and stated.isdigit()) or len(stated) > 18 or int(stated) > most:  # noqa: PLR2004 - 64 bits
        raise Malformed(f"{name}: {stated[:40]!r} is no number from 0 to {most}")
    return int(stated)


def choice(request: web.BaseRequest, name: str, allowed: tuple[str, ...]) -> str | None:
    """A query parameter that is one of a few words. Raises: Malformed."""
    stated = request.query.get(name)
    if stated is not None and stated not in allowed:
        raise Malformed(f"{name}: {stated[:40]!r} is none of {', '.join(allowed)}")
    return stated
