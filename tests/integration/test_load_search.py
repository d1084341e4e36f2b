"""Search and comparison with real servers, small: that the parts fit, not what the machine can do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.echo.process import start_echo
from loadtest.echo.settings import EchoSettings

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SCENARIO = """
schema = "loadtest/1"
name = "small"
target = { answers = "any" }
validity = { lag_p99 = "2s", send_rate = 0.0, max_generator_cpu = 1.0 }
phases = [{ name = "steady", arrivals = "constant", rate = 400, for = "500ms" }]
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SCENARIO)
    return path


def loadtest(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "router.cli", "loadtest", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def test_a_queue_that_serves_five_hundred_a_second_is_bracketed(scenario: Path, tmp_path: Path) -> None:
    """Service takes 2 ms, one at a time: 1,000/s is a second behind after one, and 250/s holds half a second."""
    words = ["--slo", "p90 <= 500ms", "--from", "250", "--to", "1000", "--precision", "100%", "--step", "1s"]
    with start_echo(EchoSettings(delay="2ms", serial=True)) as echo:
        done = loadtest(
            "search", scenario, "--target", echo.url, *words, "--confirm", "1s", "--cooldown", "100ms",
            "--out", tmp_path / "out", "--json",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == json.loads((tmp_path / "out" / "search.json").read_text())
    result = told["result"]
    assert 250 <= result["highest_pass"] <= 550
    assert 353 <= result["lowest_fail"] <= 1_000
    assert all((Path(made["path"]) / "run.json").exists() for made in told["runs"])


def test_two_servers_are_compared_by_turns(scenario: Path, tmp_path: Path) -> None:
    """Twenty times as slow, and with 800 requests a side more than a verdict of the median takes."""
    with start_echo(EchoSettings(delay="5ms")) as old, start_echo(EchoSettings(delay="100ms")) as new:
        done = loadtest("compare", old.url, new.url, "--scenario", scenario, "--repeat", "4", "--out", tmp_path / "out")
        assert done.returncode == 1, done.stdout + done.stderr
    assert "verdict: worse" in done.stdout
    again = loadtest("compare", tmp_path / "out" / "base", tmp_path / "out" / "new", "--json")
    assert again.returncode == 1, again.stderr
    assert json.loads(again.stdout)["pairs"] == 4
