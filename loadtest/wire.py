"""HTTP/1.1 as bytes. The only importer of httptools: what it reads for the generator, and for our own servers."""

from __future__ import annotations

from typing import NamedTuple

import httptools

MOST_BYTES = 16 * 1024 * 1024  # of a body: whoever sends more means us no good


class BadHttp(Exception):
    """What came is not HTTP, or nobody asked for it."""


class Response(NamedTuple):
    """An answer, whole."""

    status: int
    body: bytes
    keeps_alive: bool


class Request(NamedTuple):
    """A request, whole. `headers`: names in lower case."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes
    keeps_alive: bool


class ResponseReader:
    """Reads one connection's answers, one at a time: the generator does not pipeline."""

    __slots__ = ("_bytes", "_parser", "_parts", "_response")

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._bytes = 0
        self._response: Response | None = None

    def feed(self, data: bytes) -> Response | None:
        """The answer, once its last byte is there. Raises: BadHttp."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise BadHttp(str(error.__context__ or error)) from error  # or what a callback had against it
        response, self._response = self._response, None
        return response

    def on_message_begin(self) -> None:
        if self._response is not None:
            raise BadHttp("two answers to one request")
        self._bytes = 0

    def on_body(self, part: bytes) -> None:
        self._bytes += len(part)
        if self._bytes > MOST_BYTES:
            raise BadHttp(f"the answer is longer than {MOST_BYTES} bytes")
        self._parts.append(part)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:  # noqa: PLR2004 - 1xx announce the answer
            parts, self._parts = self._parts, []
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            self._response = Response(status, body, self._parser.should_keep_alive())  # known in this call alone


class RequestReader:
    """Reads one connection's requests; several may come in one piece."""

    __slots__ = ("_body", "_bytes", "_headers", "_parser", "_path", "_read")

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._read: list[Request] = []
        self.on_message_begin()

    def feed(self, data: bytes) -> list[Request]:
        """The requests that are whole now, in their order. Raises: BadHttp."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise BadHttp(str(error.__context__ or error)) from error
        read, self._read = self._read, []
        return read

    def on_message_begin(self) -> None:
        self._path, self._headers, self._body = b"", dict[bytes, bytes](), list[bytes]()
        self._bytes = 0

    def on_url(self, part: bytes) -> None:
        self._path += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, part: bytes) -> None:
        self._bytes += len(part)
        if self._bytes > MOST_BYTES:
            raise BadHttp(f"the request is longer than {MOST_BYTES} bytes")
        self._body.append(part)

    def on_message_complete(self) -> None:
        parser = self._parser
        self._read.append(
            Request(
                parser.get_method().decode(),
                self._path.decode("latin-1"),
                self._headers,
                b"".join(self._body),
                parser.should_keep_alive(),
            )
        )


def render_response(status: int, body: bytes, content_type: str = "application/json") -> bytes:
    """An answer as bytes; `status` without a phrase, which HTTP/1.1 allows."""
    head = f"HTTP/1.1 {status} \r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body
