from __future__ import annotations

import pytest

from loadtest.wire import BadHttp, Request, RequestReader, ResponseReader, render_response

ANSWER = render_response(200, b'{"a": 1}')


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_an_answer_is_whole_with_its_last_byte(size: int) -> None:
    reader = ResponseReader()
    pieces = [ANSWER[at : at + size] for at in range(0, len(ANSWER), size)]
    *early, last = [reader.feed(piece) for piece in pieces]
    assert early == [None] * len(early)
    assert last == (200, b'{"a": 1}', True)


def test_one_connection_has_many_answers() -> None:
    reader = ResponseReader()
    assert reader.feed(ANSWER) == reader.feed(ANSWER) == (200, b'{"a": 1}', True)


def test_chunks_are_put_together() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert ResponseReader().feed(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n") == (200, b"abcde", True)


def test_what_only_announces_the_answer_is_not_it() -> None:
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.1 100 Continue\r\n\r\n") is None
    assert reader.feed(ANSWER) == (200, b'{"a": 1}', True)


def test_a_server_that_will_close_is_heard() -> None:
    answer = ResponseReader().feed(b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert answer == (503, b"", False)


@pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH\r\n", ANSWER + ANSWER, b"HTTP/1.1 abc\r\n\r\n"])
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(BadHttp):
        ResponseReader().feed(data)


def test_requests_are_read_one_after_the_other() -> None:
    first = b"POST /a?b=1 HTTP/1.1\r\nHost: x\r\nX-Request-Id: 7\r\nContent-Length: 2\r\n\r\nhi"
    reader = RequestReader()
    assert reader.feed((first + first)[:-1]) == [
        Request("POST", "/a?b=1", {b"host": b"x", b"x-request-id": b"7", b"content-length": b"2"}, b"hi", True)
    ]
    assert [each.body for each in reader.feed(b"i")] == [b"hi"]


def test_what_is_no_request_is_refused() -> None:
    with pytest.raises(BadHttp):
        RequestReader().feed(b"\x00\x01\x02\r\n\r\n")


@pytest.mark.parametrize(
    ("reader", "head"), [(ResponseReader(), b"HTTP/1.1 200 OK"), (RequestReader(), b"POST / HTTP/1.1")]
)
def test_a_body_without_end_is_not_kept_in_memory(reader: ResponseReader | RequestReader, head: bytes) -> None:
    reader.feed(head + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + bytes(2**20) + b"\r\n"
    with pytest.raises(BadHttp, match="longer than"):
        for _ in range(17):
            reader.feed(chunk)


def test_the_bound_is_of_one_answer_alone() -> None:
    reader = ResponseReader()
    answer = render_response(200, bytes(2**20))
    assert all(reader.feed(answer) is not None for _ in range(17))
