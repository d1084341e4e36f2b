"""Reads request bodies: bounded in size and time, refused before they are read where the headers suffice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, web
from multidict import istr

from router.http.errors import BodyTimeout, Malformed, TooLarge, UnsupportedType

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

CONTENT_ENCODING, EXPECT = istr("Content-Encoding"), istr("Expect")


async def read_body(request: web.BaseRequest, max_bytes: int, timeout_ms: float) -> bytes:
    """The whole body. Raises: TooLarge, BodyTimeout, UnsupportedType, Malformed (the client left halfway)."""
    if request.headers.get(CONTENT_ENCODING, "identity") != "identity":
        raise UnsupportedType("Content-Encoding: send the body uncompressed")
    announced = request.content_length
    if announced is not None and announced > max_bytes:
        raise TooLarge(f"the body has {announced} bytes; at most {max_bytes} are read here")
    try:
        if request.content.is_eof():  # the usual case: it came with the headers, nothing to wait for
            body = request.content.read_nowait()
        else:
            await _invite(request)
            async with asyncio.timeout(timeout_ms / 1e3):
                body = await _read_rest(request.content, max_bytes)
    except TimeoutError:
        raise BodyTimeout(f"the body took longer than {timeout_ms:g} ms to arrive") from None
    except (web.RequestPayloadError, ConnectionError) as error:
        raise Malformed(f"the body broke off: {error}") from None
    if len(body) > max_bytes:
        raise TooLarge(f"the body has more than the {max_bytes} bytes that are read here")
    return body


async def _invite(request: web.BaseRequest) -> None:
    """Tell a client that asked first (RFC 9110, 10.1.1) to send its body."""
    if request.protocol.has_ended:  # type: ignore[attr-defined] # router/http/app.py
        request.content.feed_eof()  # so that nobody lingers for the rest
        raise web.RequestPayloadError("the client stopped sending")
    if request.version == HttpVersion11 and request.headers.get(EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # of the answer itself nothing has been sent


async def _read_rest(content: StreamReader, max_bytes: int) -> bytes:
    chunks, size = [], 0
    while size <= max_bytes:
        chunk = await content.readany()
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)
