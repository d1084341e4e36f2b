"""Faults on real sockets and processes."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from budgets.clock import SystemClock
from loadtest.echo.process import start_echo
from loadtest.echo.settings import EchoSettings
from loadtest.errors import ScenarioError, Unreachable
from loadtest.fault.actor import FaultFailed, Freeze, ProxyFaults, ServerFaults
from loadtest.fault.exchange import exchange
from loadtest.fault.subject import Subject
from loadtest.quantity import Ns, S
from loadtest.scenario.spec import FaultSpec, TargetSpec
from loadtest.stage import Stage
from tests.fabricated import scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.echo.process import RunningEcho

pytestmark = pytest.mark.integration
_ECHO = [sys.executable, "-m", "loadtest.echo"]


@pytest.fixture(scope="module")
def echo() -> Iterator[RunningEcho]:
    with start_echo(EchoSettings()) as running:
        yield running


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


async def _took_s(url: str, body: bytes = b"{}", timeout_s: float = 10.0) -> float:
    before_s = time.monotonic()
    assert (await exchange("POST", url, body, timeout_s=timeout_s)).body == body
    return time.monotonic() - before_s


def test_the_proxy_delays_both_directions_and_is_cleared(echo: RunningEcho) -> None:
    async def main() -> None:
        async with ProxyFaults(echo.url) as proxy:
            await proxy.apply({"latency_ms": 150})
            assert 0.3 <= await _took_s(proxy.url) < 2
            await proxy.apply(None)
            assert min([await _took_s(proxy.url) for _ in range(5)]) < 0.15

    asyncio.run(main())


def test_the_proxy_keeps_every_byte_in_order(echo: RunningEcho) -> None:
    body = os.urandom(1_000_000)

    async def main() -> None:
        async with ProxyFaults(echo.url) as proxy:
            await _took_s(proxy.url, body)
            await proxy.apply({"latency_ms": 5, "jitter_ms": 30})
            await _took_s(proxy.url, body)
            await proxy.apply({"bandwidth_kb_s": 2_000})
            assert await _took_s(proxy.url, body) > 0.5  # 0.5 s each way, which overlap

    asyncio.run(main())


def test_a_stall_holds_answers_and_bounds_what_it_holds(echo: RunningEcho) -> None:
    async def main() -> None:
        async with ProxyFaults(echo.url) as proxy:
            await proxy.apply({"stall": True})
            held = asyncio.create_task(_took_s(proxy.url))
            _, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
            writer.write(bytes(64_000_000))  # more than sockets and the link hold together
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.4):
                    await writer.drain()
            writer.transport.abort()
            assert not held.done()
            await proxy.apply(None)
            assert await held > 0.4

    asyncio.run(main())


def test_a_reset_is_a_reset(echo: RunningEcho) -> None:
    async def main() -> None:
        async with ProxyFaults(echo.url) as proxy:
            await proxy.apply({"reset_share": 1.0})
            with pytest.raises(ConnectionResetError, match="by peer"):
                await _took_s(proxy.url)
            await proxy.apply(None)
            await _took_s(proxy.url)

    asyncio.run(main())


def test_the_proxy_of_a_dead_server_resets() -> None:
    async def main() -> None:
        async with ProxyFaults("http://127.0.0.1:1") as proxy:
            with pytest.raises(ConnectionResetError):
                await _took_s(proxy.url)

    asyncio.run(main())


def test_the_proxy_says_what_it_does_not_know(echo: RunningEcho) -> None:
    async def main() -> None:
        async with ProxyFaults(echo.url) as proxy:
            with pytest.raises(FaultFailed, match="latency"):
                await proxy.apply({"latency": 5})
            await proxy.apply({"latency_ms": 5})

    asyncio.run(main())


def test_the_proxy_speaks_to_plain_servers_only() -> None:
    async def main() -> None:
        with pytest.raises(Unreachable, match="http://"):
            await ProxyFaults("https://127.0.0.1").__aenter__()

    asyncio.run(main())


def test_a_frozen_server_answers_nothing_until_it_is_thawed(echo: RunningEcho) -> None:
    async def main() -> None:
        freeze = Freeze(echo.pid)
        await freeze.apply({})
        try:
            with pytest.raises(TimeoutError):
                await _took_s(echo.url, timeout_s=0.3)
        finally:
            await freeze.apply(None)
        await _took_s(echo.url)

    asyncio.run(main())


def test_a_process_that_is_gone_cannot_be_frozen() -> None:
    with pytest.raises(FaultFailed, match="No such process"):
        asyncio.run(Freeze(2**22 + 1).apply({}))


def test_a_server_without_faults_says_how_to_allow_them(echo: RunningEcho) -> None:
    with pytest.raises(FaultFailed, match="--allow-faults"):
        asyncio.run(ServerFaults(echo.url, {}).apply({"store": {"down": True}}))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "401; give the admin's token"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "403; give the admin's token"),
        (b'HTTP/1.1 422 No\r\nContent-Length: 16\r\n\r\n{"detail":"sto"}', "422 .*sto"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "closed before the answer was whole"),
        (b"220 smtp.example\r\n\r\n", "Expected HTTP"),
        (b"", "closed before the answer was whole"),
    ],
)
def test_a_refused_fault_says_why(answer: bytes, message: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
            url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
            with pytest.raises(FaultFailed, match=f"PUT /v1/admin/faults: {message}|{message}"):
                await ServerFaults(url, {"Authorization": "Bearer t"}).apply({"store": {"down": True}})

    asyncio.run(main())


def test_a_server_that_is_gone_is_a_failed_fault() -> None:
    with pytest.raises(FaultFailed, match="PUT /v1/admin/faults"):
        asyncio.run(ServerFaults("http://127.0.0.1:1", {}).apply(None))


def _start(port: int) -> str:
    return shlex.join([*_ECHO, f'{{"port":{port}}}'])


def test_a_subject_is_started_waited_for_and_stopped(unused_port: int) -> None:
    url = f"http://127.0.0.1:{unused_port}"

    async def main() -> None:
        async with Subject(_start(unused_port), f"{url}/readyz") as subject:
            await _took_s(url)
            os.killpg(subject.pid, signal.SIGSTOP)  # stopping it works all the same
        with pytest.raises(OSError):
            await _took_s(url)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"{sys.executable} -c 'import sys; sys.exit(\"no model here\")'", "no model here"),
        ("no-such-command --at-all", "No such file"),
        ("'", "No closing quotation"),
        ("", "cannot be run"),
    ],
)
def test_a_subject_that_dies_tells_why(command: str, message: str, unused_port: int) -> None:
    async def main() -> None:
        with pytest.raises(Unreachable, match=message):
            await Subject(command, f"http://127.0.0.1:{unused_port}/readyz").__aenter__()

    asyncio.run(main())


def test_a_subject_that_is_never_ready_is_stopped(unused_port: int, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"

    async def main() -> None:
        with pytest.raises(Unreachable, match="within 1 s"):
            await Subject(
                shlex.join([sys.executable, "-c", program]), f"http://127.0.0.1:{unused_port}/readyz", ready_s=1
            ).__aenter__()

    asyncio.run(main())
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_a_subject_is_not_started_where_somebody_answers(echo: RunningEcho) -> None:
    async def main() -> None:
        with pytest.raises(Unreachable, match="already"):
            await Subject("true", f"{echo.url}/readyz").__aenter__()

    asyncio.run(main())


def _fault(at_s: float, for_s: float, kind: str, **what: object) -> FaultSpec:
    return FaultSpec(at=Ns(round(at_s * S)), for_=Ns(round(for_s * S)), kind=kind, set=what)  # type: ignore[arg-type]


def test_a_stage_starts_the_server_and_breaks_it_on_time(unused_port: int) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    of = scenario(
        target=TargetSpec(url=url, start=_start(unused_port)),
        faults=[_fault(0.1, 0.4, "sigstop"), _fault(0.8, 0.1, "server", store={"down": True})],
    )

    async def main() -> None:
        async with Stage(of) as stage:
            assert stage.url == url
            playing = asyncio.create_task(stage.play(SystemClock(), time.monotonic_ns(), asyncio.Event()))
            await asyncio.sleep(0.2)
            assert await _took_s(url) > 0.1
            frozen, refused = await playing
            assert 0.1 * S <= frozen.begin_ns < frozen.end_ns
            assert frozen.end_ns - frozen.begin_ns > 0.2 * S
            assert not frozen.error
            assert "--allow-faults" in refused.error

    asyncio.run(main())


def test_a_stage_puts_a_proxy_before_the_server_and_mends_it_when_told_to_stop(echo: RunningEcho) -> None:
    of = scenario(target=TargetSpec(url=echo.url), faults=[_fault(0, 60, "proxy", stall=True)])

    async def main() -> None:
        stop = asyncio.Event()
        async with Stage(of) as stage:
            assert stage.url != echo.url
            playing = asyncio.create_task(stage.play(SystemClock(), time.monotonic_ns(), stop))
            await asyncio.sleep(0.2)
            held = asyncio.create_task(_took_s(stage.url))
            await _took_s(echo.url)
            assert not held.done()
            stop.set()
            (record,) = await playing
            await held
            assert record.what == "stall=True"
            assert 0.1 * S < record.end_ns - record.begin_ns < 10 * S

    asyncio.run(main())


def test_a_stage_needs_to_know_whom_to_freeze(echo: RunningEcho) -> None:
    with pytest.raises(ScenarioError, match=r"target\.start"):
        Stage(scenario(target=TargetSpec(url=echo.url), faults=[_fault(0, 1, "sigstop")]))


def test_a_stage_that_is_cancelled_leaves_nothing_broken(echo: RunningEcho) -> None:
    of = scenario(target=TargetSpec(url=echo.url, answers="any"), faults=[_fault(0, 60, "sigstop")])

    async def main() -> None:
        async with Stage(of, echo.pid) as stage:
            playing = asyncio.create_task(stage.play(SystemClock(), time.monotonic_ns(), asyncio.Event()))
            await asyncio.sleep(0.2)
            playing.cancel()
            await asyncio.wait({playing})
            await _took_s(echo.url, timeout_s=5)

    asyncio.run(main())
