"""Whole runs against servers that are frozen, killed, or not there: nothing is lost, and what is told is true."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from loadtest.conductor import Options, conduct
from loadtest.echo.process import RunningEcho, start_echo
from loadtest.echo.settings import EchoSettings
from loadtest.errors import Interrupted, Unreachable
from loadtest.health import check
from loadtest.quantity import Ns
from loadtest.run import Run, open_run
from loadtest.scenario.spec import PhaseSpec, QualitySpec, Scenario, TargetSpec, ValiditySpec
from loadtest.view import view

pytestmark = [pytest.mark.integration, pytest.mark.slow]
S = 1_000_000_000
# These machines stall by themselves; what is asked here is not whether the generator kept to its schedule.
TOLERANT = ValiditySpec(lag_p99=Ns(2 * S), send_rate=0.0, max_generator_cpu=1.0)


@pytest.fixture
def echo() -> Iterator[RunningEcho]:
    with start_echo(EchoSettings(delay="1ms")) as running:
        yield running


def scenario(url: str, *, rate: float = 200, seconds: float = 2, **fields: object) -> Scenario:
    phases = [PhaseSpec(name="steady", arrivals="constant", rate=rate, for_=Ns(seconds * S))]
    target = TargetSpec(url=url, answers="any", connections=16, timeout=Ns(3 * S))
    return Scenario(**{"name": "t", "target": target, "phases": phases, "validity": TOLERANT, **fields})  # type: ignore[arg-type]


def perform(made: Scenario, out: Path, **options: object) -> Run:
    run = asyncio.run(conduct(made, Options(out=out, **options)))  # type: ignore[arg-type]
    assert_nothing_is_lost(run)
    return run


def assert_nothing_is_lost(run: Run) -> None:
    """Every scheduled request is one thing, and what the workers counted is what was written."""
    seen = view(run)
    assert sum(seen.counts().values()) == len(run.planned) == len(seen)
    if all(worker.ended != "killed" for worker in run.record.workers):
        found = check(run, seen)
        assert found.counted == found.written


@pytest.mark.parametrize("procs", [1, 3])
def test_a_quiet_run_is_answered_whole(echo: RunningEcho, tmp_path: Path, procs: int) -> None:
    run = perform(scenario(echo.url, seconds=0.5), tmp_path / "run", procs=procs)
    assert view(run).counts()["unfinished"] == view(run).counts()["unsent"] == view(run).counts()["error"] == 0
    assert run.record.status == "complete"
    assert len(run.record.workers) == procs


def test_a_server_that_dies_loses_no_request(echo: RunningEcho, tmp_path: Path) -> None:
    target = TargetSpec(url=echo.url, answers="any", connections=16, timeout=Ns(S))

    async def main() -> Run:
        running = asyncio.create_task(conduct(scenario(echo.url, target=target), Options(out=tmp_path / "run")))
        await wait_until_sent(tmp_path / "run", 200)
        os.kill(echo.pid, signal.SIGKILL)
        return await running

    run = asyncio.run(main())
    assert_nothing_is_lost(run)
    counts = view(run).counts()
    assert run.record.status == "complete"
    assert counts["ok"] >= 100
    assert counts["error"] >= 50  # of 400: the rest had nobody to go to


async def wait_until_sent(path: Path, count: int) -> None:
    """Until so many requests of a run have been written to a connection."""
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(0.05)
            is_there = (path / "samples.npy").exists() and (path / "run.json").exists()
            if is_there and (open_run(path).samples["sent_ns"] >= 0).sum() >= count:
                return


def test_a_worker_that_is_killed_keeps_what_it_wrote(echo: RunningEcho, tmp_path: Path) -> None:
    async def main() -> Run:
        running = asyncio.create_task(conduct(scenario(echo.url), Options(out=tmp_path / "run", procs=2)))
        await wait_until_sent(tmp_path / "run", 200)
        killing = await asyncio.create_subprocess_exec("pkill", "-9", "-f", f"loadtest.worker {tmp_path / 'run'} 1 ")
        assert await killing.wait() == 0
        return await running

    run = asyncio.run(main())
    assert_nothing_is_lost(run)
    assert [worker.ended for worker in run.record.workers] == ["done", "killed"]
    found = check(run, view(run))
    assert not found.valid
    assert any("worker 1 was killed" in reason for reason in found.reasons)
    counts = view(run).counts()
    assert counts["ok"] >= 200
    assert counts["unsent"] > 0


def test_nobody_there_is_told(tmp_path: Path) -> None:
    """And the same directory will do, once somebody is."""
    with pytest.raises(Unreachable, match="could not be opened"):
        perform(scenario("http://127.0.0.1:9"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Cli:
    """`takt loadtest run` as a user starts it."""

    def __init__(self, path: Path) -> None:
        self.out = path / "run"
        self._path = path

    def start(self, made: str, *arguments: str) -> subprocess.Popen[str]:
        file = self._path / "scenario.toml"
        file.write_text(made)
        return subprocess.Popen(
            [sys.executable, "-m", "router.cli", "loadtest", "run", str(file), "--out", str(self.out), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "CI": "true"},
        )

    def run(self, made: str, *arguments: str) -> tuple[int, str, str]:
        with self.start(made, *arguments) as process:
            out, err = process.communicate(timeout=100)
        return process.returncode, out, err


def toml(url: str, *, gate: str = "attainment(5s) >= 0.5", extra: str = "", rate: int = 200) -> str:
    return f"""
name = "t"
target = {{ url = "{url}", answers = "any", connections = 16 }}
budget = {{ deadline = "5s" }}
phases = [{{ name = "steady", arrivals = "constant", rate = {rate}, for = "500ms" }}]
gates = [{{ expr = "{gate}" }}]
validity = {{ lag_p99 = "2s", send_rate = 0.0, max_generator_cpu = 1.0 }}
{extra}
"""


@pytest.mark.parametrize(
    ("gate", "arguments", "code", "told"),
    [
        ("attainment(5s) >= 0.5", (), 0, "PASS"),
        ("p50 <= 100us", (), 1, "FAIL"),
        ("attainment(5s) >= 0.9999", (), 3, "INCONCLUSIVE"),
        ("attainment(5s) >= maybe", (), 2, "attainment(5s) >= maybe"),
        ("attainment(5s) >= 0.5", ("--rate", "-1"), 2, "--rate: "),
    ],
)
def test_the_exit_code_says_what_the_gates_say(
    echo: RunningEcho, tmp_path: Path, gate: str, arguments: tuple[str, ...], code: int, told: str
) -> None:
    found, out, err = Cli(tmp_path).run(toml(echo.url, gate=gate), *arguments)
    assert found == code, out + err
    assert told in out + err
    assert (f"run: {tmp_path / 'run'}" in err) == (code != 2)


def test_a_generator_that_was_late_makes_the_run_invalid(echo: RunningEcho, tmp_path: Path) -> None:
    made = toml(echo.url).replace('lag_p99 = "2s"', 'lag_p99 = "1ns"')
    code, out, err = Cli(tmp_path).run(made, "--junit", str(tmp_path / "gates.xml"))
    assert code == 4, out + err
    assert "generator was late" in out
    assert "<error" in (tmp_path / "gates.xml").read_text()


def test_no_server_is_an_exit_code_of_its_own(tmp_path: Path) -> None:
    code, _, err = Cli(tmp_path).run(toml("http://127.0.0.1:9"))
    assert code == 5
    assert "127.0.0.1:9" in err


def test_ctrl_c_leaves_a_report_of_what_there_is(echo: RunningEcho, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    made = toml(echo.url).replace('for = "500ms"', 'for = "100s"')
    with cli.start(made, "--html") as process:
        asyncio.run(wait_until_sent(cli.out, 200))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    run = open_run(cli.out)
    assert_nothing_is_lost(run)
    assert run.record.status == "interrupted"
    assert view(run).counts()["unsent"] >= 15_000
    assert "interrupted" in (cli.out / "report.html").read_text().lower()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_was_started_is_stopped_whatever_ends_us(tmp_path: Path, number: signal.Signals) -> None:
    """It is never ready, so this is before the run. It leads a group of its own: no signal to ours reaches it."""
    noted = tmp_path / "pid"
    program = f"import os, time; open({str(noted)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    cli = Cli(tmp_path)
    with cli.start(toml("http://127.0.0.1:9"), "--start", shlex.join([sys.executable, "-c", program])) as process:
        while not (noted.exists() and noted.read_text()):
            assert process.poll() is None
            asyncio.run(asyncio.sleep(0.02))
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted; nothing was measured" in err
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text()), 0)
    assert not cli.out.exists()


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_who_is_interrupted_while_answers_are_asked_for_again_keeps_the_run(
    echo: RunningEcho, tmp_path: Path, runner: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    monkeypatch.setattr("loadtest.conductor.replay", never)
    before = signal.getsignal(signal.SIGINT)
    made = scenario(echo.url, seconds=0.3, quality=QualitySpec(replay=1))
    with pytest.raises(Interrupted, match="takt loadtest report"):
        runner(conduct(made, Options(out=tmp_path / "run")))
    assert open_run(tmp_path / "run").record.status == "complete"
    assert signal.getsignal(signal.SIGINT) is before
