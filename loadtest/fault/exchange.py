"""One HTTP request on a connection of its own: for the few questions that are not load."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from loadtest.wire import Response, ResponseReader

if TYPE_CHECKING:
    from collections.abc import Mapping

_READ_BYTES = 65_536


async def exchange(
    method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None, timeout_s: float = 5.0
) -> Response:
    """Ask and read the answer.

    Raises: OSError: nobody listens, the connection broke, or nothing came in time. BadHttp: what came is no HTTP.
    """
    at = urlsplit(url)
    secure = at.scheme == "https"
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(
            at.hostname, at.port or (443 if secure else 80), ssl=ssl.create_default_context() if secure else None
        )
        try:
            path = f"{at.path or '/'}?{at.query}" if at.query else at.path or "/"
            named = {"Host": at.netloc, "Connection": "close", "Content-Length": str(len(body)), **(headers or {})}
            lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]
            writer.write("\r\n".join(lines).encode("latin-1") + body)
            return await _answer(reader)
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> Response:
    answers = ResponseReader()
    while data := await reader.read(_READ_BYTES):
        if (answer := answers.feed(data)) is not None:
            return answer
    raise ConnectionResetError("the connection was closed before the answer was whole")
