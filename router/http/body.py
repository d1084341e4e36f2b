"""Reads request bodies: bounded in size and time, refused before they are read where the headers suffice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web
from multidict import istr

from router.http.errors import BodyTimeout, Malformed, TooLarge, UnsupportedType

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

CONTENT_ENCODING = istr("Content-Encoding")


async def read_body(request: web.BaseRequest, max_bytes: int, timeout_ms: float) -> bytes:
    """The whole body. Raises: TooLarge, BodyTimeout, UnsupportedType, Malformed (the client left halfway)."""
    if request.headers.get(CONTENT_ENCODING, "identity") != "identity":
        raise UnsupportedType("Content-Encoding: send the body uncompressed")
    announced = request.content_length
    if announced is not None and announced > max_bytes:
        raise TooLarge(f"the body has {announced} bytes; at most {max_bytes} are read here")
    content = request.content
    if content.is_eof():  # the usual case: it came with the headers, nothing to wait for
        body = content.read_nowait()
    else:
        try:
            async with asyncio.timeout(timeout_ms / 1e3):
                body = await _read_rest(content, max_bytes)
        except TimeoutError:
            raise BodyTimeout(f"the body took longer than {timeout_ms:g} ms to arrive") from None
    if len(body) > max_bytes:
        raise TooLarge(f"the body has more than the {max_bytes} bytes that are read here")
    return body


async def _read_rest(content: StreamReader, max_bytes: int) -> bytes:
    chunks, size = [], 0
    while size <= max_bytes:
        try:
            chunk = await content.readany()
        except (web.RequestPayloadError, ConnectionError) as error:
            raise Malformed(f"the body broke off: {error}") from None
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)
