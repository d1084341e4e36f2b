"""The echo server as a process: its delays are real, and its books are kept by the clock of the machine."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time

import pytest

from loadtest.echo.process import start_echo
from loadtest.echo.settings import EchoSettings
from loadtest.fault.exchange import exchange
from loadtest.quantity import MS
from tests.http_server import Wire, request

pytestmark = pytest.mark.integration


def test_delays_are_real_and_in_the_books() -> None:
    with start_echo(EchoSettings(delay="7ms")) as echo, Wire(int(echo.url.rpartition(":")[2])) as wire:
        seen_ns, between = [], []
        for row in range(40):
            body = b'{"id":"0badcafe-%09d","text":"x"}' % row
            before_ns = time.monotonic_ns()
            wire.send(request(body))
            reply = wire.reply()
            after_ns = time.monotonic_ns()
            assert (reply.status, reply.body) == (200, body)
            seen_ns.append(after_ns - before_ns)
            between.append((before_ns, after_ns))
        truth = echo.truth()
    assert truth["row"].tolist() == list(range(40))
    took_ns = truth["answered_ns"] - truth["received_ns"]
    assert took_ns.min() >= 7 * MS
    assert statistics.median(took_ns.tolist()) < 7.3 * MS
    assert statistics.median(seen_ns) >= 7 * MS
    for (before_ns, after_ns), (_, received_ns, answered_ns) in zip(between, truth.tolist(), strict=True):
        assert before_ns < received_ns < answered_ns < after_ns  # one clock


def test_one_at_a_time_means_that_others_wait() -> None:
    with start_echo(EchoSettings(delay="30ms", serial=True)) as echo:

        async def main() -> None:
            await asyncio.gather(*(exchange("POST", echo.url, b"{}") for _ in range(6)))

        asyncio.run(main())
        took_ns = sorted((echo.truth()["answered_ns"] - echo.truth()["received_ns"]).tolist())
    assert took_ns[0] >= 30 * MS
    assert took_ns[-1] > 5 * 25 * MS


def test_pipelined_requests_are_answered_in_their_order() -> None:
    bodies = [b'{"id":"0badcafe-%09d"}' % row for row in range(20)]
    with start_echo(EchoSettings(delay="uniform(1ms, 20ms)")) as echo, Wire(int(echo.url.rpartition(":")[2])) as wire:
        wire.send(b"".join(request(body) for body in bodies))
        assert [wire.reply().body for _ in bodies] == bodies


def test_errors_are_answers_too() -> None:
    with start_echo(EchoSettings(error_share=1.0)) as echo:
        assert asyncio.run(exchange("POST", echo.url, b"{}")).status == 500
        assert asyncio.run(exchange("GET", f"{echo.url}/readyz")).status == 200
        assert asyncio.run(exchange("GET", f"{echo.url}/else")).status == 404


def test_what_is_no_http_is_refused() -> None:
    with start_echo(EchoSettings()) as echo, Wire(int(echo.url.rpartition(":")[2])) as wire:
        wire.send(b"hello\r\n\r\n")
        assert wire.reply().status == 400
        assert wire.is_closed()


def test_a_terminated_server_ends_well() -> None:
    with subprocess.Popen([sys.executable, "-m", "loadtest.echo", "{}"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        process.terminate()
        assert process.wait(20) == 0
