"""The load tester against servers whose every delay is known. Never tighter than a busy machine of two cores."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from loadtest.calibrate import join
from loadtest.conductor import Options, conduct
from loadtest.echo.process import start_echo
from loadtest.echo.settings import EchoSettings
from loadtest.quantity import MS, Ns, S
from loadtest.scenario.spec import FaultSpec, PhaseSpec, TargetSpec
from loadtest.view import quantile_ns, view
from tests.fabricated import scenario

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.view import View

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def load(path: Path, url: str, seconds: float, *, engine: str, arrivals: str = "poisson", **fields: Any) -> View:
    """A run of 200/s."""
    phase = PhaseSpec(name="steady", arrivals=arrivals, rate=200.0, for_=Ns(round(seconds * S)))
    pid = fields.pop("pid", None)
    of = scenario(target=TargetSpec(url=url, answers="any"), phases=[phase], **fields)
    return view(asyncio.run(conduct(of, Options(out=path, engine=engine, pid=pid)))).on("all")


@pytest.mark.parametrize("engine", ["raw", "aiohttp"])
def test_no_request_is_faster_than_the_server_was_and_none_is_lost(engine: str, tmp_path: Path) -> None:
    with start_echo(EchoSettings(delay="5ms:80,30ms:20")) as echo:
        seen = load(tmp_path / "run", echo.url, 0.8, engine=engine)
        joined = join(seen, echo.truth())
    assert len(joined.client_ns) == len(seen) > 100
    assert joined.lost == 0
    error_ns = joined.client_ns - joined.server_ns
    assert error_ns.min() > 0
    assert np.median(error_ns) < 25 * MS


@pytest.mark.parametrize("engine", ["raw", "aiohttp"])
def test_a_frozen_server_is_seen_by_everyone_who_should_have_been_served(engine: str, tmp_path: Path) -> None:
    """Share of requests that waited longer than x: (S - x) / T. A tool that omits them sees a p99 near nothing."""
    freeze = FaultSpec(at=Ns(S // 2), for_=Ns(S // 2), kind="sigstop")
    with start_echo(EchoSettings()) as echo:
        seen = load(tmp_path / "run", echo.url, 1.5, engine=engine, arrivals="constant", faults=[freeze], pid=echo.pid)
    (fault,) = seen.record.faults
    assert not fault.error
    assert (len(seen), int(seen.is_answered.sum())) == (300, 300), (seen.counts(), seen.record.workers)
    expected_ns = fault.end_ns - fault.begin_ns - 1.5 * S / 100
    assert expected_ns > 0.4 * S
    assert quantile_ns(seen.latency_ns, 0.99) == pytest.approx(expected_ns, abs=0.1 * S)


def _takt(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "router.cli", "loadtest", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_serve_echo_serves_until_it_is_interrupted() -> None:
    with _takt("serve-echo", "--port", "0", "--delay", "1ms") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            assert connection.recv(1_000).startswith(b"HTTP/1.1 200 ")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--delay", "5 apples"], "5 apples"),
        (["--error-share", "2"], "error_share"),
        (["--port", "70000"], "port"),
    ],
)
def test_serve_echo_names_what_cannot_be(arguments: list[str], message: str) -> None:
    with _takt("serve-echo", *arguments) as process:
        said = process.communicate(timeout=60)[1]
        assert (process.returncode, message in said, said.count("\n")) == (2, True, 1), said


def test_serve_echo_says_that_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _takt("serve-echo", "--port", str(port)) as process:
            said = process.communicate(timeout=60)[1]
            assert (process.returncode, "--port" in said) == (5, True), said


def test_calibrate_measures_judges_and_says_so(tmp_path: Path) -> None:
    arguments = ["--rate", "100", "--duration", "2s", "--target-latency", "const:5ms", "--json"]
    with _takt("calibrate", *arguments, "--target-latency", "stall") as process:
        said, noted = process.communicate(timeout=110)
    assert process.returncode in (0, 4), noted
    result = json.loads(said)
    measured = result["measurements"]
    assert [each["delay"] for each in measured] == ["0ms", "5ms", "stall"]
    assert all(each["requests"] > 100 and each["lost"] == 0 for each in measured)
    assert measured[1]["p50_ns"] >= 5 * MS
    fine = all(each["valid"] and each["accurate"] for each in measured)
    assert process.returncode == (0 if fine else 4)
    assert result["highest_valid_rate"] == (100 if all(each["valid"] for each in measured) else 0)


def test_an_interrupted_calibration_leaves_nothing_behind(tmp_path: Path) -> None:
    with _takt("calibrate", "--rate", "100", "--duration", "30s") as process:
        assert process.stderr is not None
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        while True:
            with open(children) as file:  # noqa: PTH123 - a file of the kernel's
                found = [int(pid) for pid in file.read().split()]
            if len(found) == 2:  # the echo server and the generator
                break
            assert process.poll() is None
        asyncio.run(asyncio.sleep(1))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        for pid in found:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
