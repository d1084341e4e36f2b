"""`takt` as people run it: a process, its output, its signals."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import pytest

from router.cli import main
from tests.hurry import hurried

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
_PATIENCE_S = 60


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "shop"
    assert main(["init", str(folder)]) == 0
    with hurried():
        assert main(["train", "-c", str(folder / "takt.toml")]) == 0
    return folder


@contextmanager
def _takt(project: Path, *argv: str) -> Iterator[subprocess.Popen[str]]:
    """A command as a process; killed at the end if it is still there."""
    with subprocess.Popen(
        [sys.executable, "-m", "router.cli", *argv],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _run(project: Path, *argv: str) -> tuple[int, str, str]:
    with _takt(project, *argv) as process:
        out, err = process.communicate(timeout=_PATIENCE_S)
        return process.returncode, out, err


def _try_line(process: subprocess.Popen[str]) -> tuple[str, str, str]:
    """URL, content type and body of the curl line that the server prints."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    if not lines[0]:
        pytest.fail(process.communicate()[1])
    assert lines[3].startswith("Serves rung small alone: no rung `large`: no pretrained encoder was found")
    curl = shlex.split(lines[2])
    assert curl[:2] == ["curl", "-s"]
    assert curl[3:6] == ["-H", "Content-Type: application/json", "-d"]
    assert curl[2].startswith(lines[0].split()[-1])
    return curl[2], curl[4].partition(": ")[2], curl[6]


def _post(url: str, content_type: str, body: str) -> dict[str, object]:
    request = urllib.request.Request(url, body.encode(), {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=_PATIENCE_S) as response:
        answer: dict[str, object] = json.load(response)
        return answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_line_to_try_works_until_a_signal(project: Path, number: signal.Signals) -> None:
    with _takt(project, "serve", "--port", "0") as process:
        line = _try_line(process)
        for _ in range(20):  # its 50 ms are real, and so are other processes of a busy machine
            try:
                answer = _post(*line)
                break
            except HTTPError as late:
                late.close()
        assert answer["route"] == "order_status"
        code, told, _ = _run(project, "explain", str(answer["decision_id"]))  # beside the running server
        process.send_signal(number)
        _, err = process.communicate(timeout=_PATIENCE_S)
        assert process.returncode == 0, err
    assert code == 0
    assert "where is my parcel?" in told


def test_a_rung_that_is_missing_is_told_on_both_streams(project: Path) -> None:
    with _takt(project, "serve", "--port", "0") as process:
        _try_line(process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=_PATIENCE_S)
    loaded = next(json.loads(line) for line in err.splitlines() if '"model_loaded"' in line)
    assert loaded["rungs"] == "small"
    assert loaded["notes"].startswith("no rung `large`: no pretrained encoder was found")


def test_a_port_that_is_taken(project: Path) -> None:
    with _takt(project, "serve", "--port", "0") as process:
        url, _, _ = _try_line(process)
        port = re.findall(r":(\d+)/", url)[0]
        code, out, err = _run(project, "serve", "--port", port)
        process.terminate()
        process.communicate(timeout=_PATIENCE_S)
    assert (code, out) == (2, "")
    said = f"takt serve: server.port: {port} on 127.0.0.1 is in use; choose another with --port or TAKT__SERVER__PORT"
    assert any(line.startswith(said) for line in err.splitlines())


def test_a_host_that_is_not_here(project: Path) -> None:
    code, _, err = _run(project, "serve", "--host", "192.0.2.1")  # TEST-NET-1, RFC 5737
    assert code == 2
    assert "takt serve: server.host: '192.0.2.1' is no address of this machine" in err
    assert "Traceback" not in err


def test_a_reader_that_leaves_early(project: Path) -> None:
    with _takt(project, "check") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(_PATIENCE_S) == 141
