"""The client of webhooks against a real receiver: what each answer, and each lack of one, is told as."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from budgets.clock import SystemClock
from router.webhooks.client import Client
from router.webhooks.delivery import Outcome
from router.webhooks.message import Call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

S = 10**9


def exchange(handler: Handler, *, timeout_s: float = 5.0, times: int = 1) -> tuple[list[Outcome], int]:
    """Post to a receiver, one after the other; returns what became of it, and how many connections it took."""

    async def main() -> tuple[list[Outcome], int]:
        peers = set()

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            assert request.transport is not None
            peers.add(request.transport.get_extra_info("peername"))
            return await handler(request)

        server = web.Server(handle, access_log=None, handler_cancellation=True)
        listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        client = Client(SystemClock())
        client.start()
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        found = [await client.post(Call(url, {"a": "b"}, b"{}"), timeout_s) for _ in range(times)]
        await client.close()
        listener.close()
        await server.shutdown(0)
        return found, len(peers)

    return asyncio.run(main())


def test_a_connection_is_used_again() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert (request.method, request.headers["a"], await request.read()) == ("POST", "b", b"{}")
        assert "Cookie" not in request.headers
        return web.Response(text="thanks", headers={"Set-Cookie": "a=b"})

    assert exchange(handler, times=3) == ([Outcome(200)] * 3, 1)


def test_a_refusal_with_its_retry_after() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=503, headers={"Retry-After": "7"})

    assert exchange(handler)[0] == [Outcome(503, "answered 503", 7 * S)]


def test_silence_is_a_failure_after_the_timeout() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    assert exchange(handler, timeout_s=0.1)[0] == [Outcome(error="no answer within 0.1 s")]


def test_an_answer_without_end_is_cut_off() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    assert exchange(handler)[0] == [Outcome(200)]


def test_an_answer_that_trickles_is_a_failure_after_the_timeout() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.02)

    assert exchange(handler, timeout_s=0.2)[0] == [Outcome(error="no answer within 0.2 s")]


def test_a_connection_that_breaks_off_is_a_failure() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    (outcome,), _ = exchange(handler)
    assert outcome.status == 0
    assert "Disconnected" in outcome.error


def test_nobody_there_is_a_failure() -> None:
    async def main() -> Outcome:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        client = Client(SystemClock())
        client.start()
        outcome = await client.post(Call(f"http://127.0.0.1:{port}/", {}, b""), 5.0)
        await client.close()
        return outcome

    outcome = asyncio.run(main())
    assert outcome.status == 0
    assert "Connect" in outcome.error
