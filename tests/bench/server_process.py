"""Servers under test, each in a process of its own on a core of its own, with its CPU time and memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.request import urlopen

from models.encoder.find import read_encoder
from models.spec import FORMAT
from models.train import train
from router.policy.project import read_project, read_utterances
from tests.bench.report import RESULTS
from tests.bench.traffic import EXAMPLE
from tests.encoders import write_encoder

if TYPE_CHECKING:
    from types import TracebackType

SERVER_CORE, GENERATOR_CORE = 0, 1
_READY_WITHIN_S = 60.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
NO_QUEUES = {"TAKT__FILES__QUEUES": ""}
"""Decisions alone: what tasks cost is measured by benches of their own."""


class ServerProcess:
    """A server of `tests.bench.servers`. Linux only: CPU clocks and cores of other processes."""

    def __init__(self, kind: str, **environment: str) -> None:
        """Start it and wait until it tells its URL."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.servers", kind],
            stdout=subprocess.PIPE,
            env={**os.environ, "TAKT__SERVER__PORT": "0", **environment},
            cwd=RESULTS.parent,
        )
        self.pid = self._process.pid
        os.sched_setaffinity(self.pid, {SERVER_CORE} if (os.cpu_count() or 1) > 1 else {0})
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().strip()
        if not line.startswith("http"):
            raise RuntimeError(f"{kind} did not start: {line!r}")
        self.url = line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def cpu_ns(self) -> int:
        """CPU time of all its threads so far, user and system, to the nanosecond (clock_getcpuclockid(3))."""
        return time.clock_gettime_ns((~self.pid << 3) | 2)

    def rss_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES

    def stop(self) -> None:
        """SIGTERM and wait, as an operator does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(_READY_WITHIN_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def metrics(self) -> str:
        with urlopen(f"{self.url}/metrics", timeout=10) as page:
            text: str = page.read().decode()
        return text


def takt(log_path: Path, rungs: tuple[str, ...] = ("small",), kind: str = "takt") -> ServerProcess:
    """Takt with the example bank but without its queues, its log where the caller wants it."""
    return ServerProcess(kind, TAKT__MODELS__DIR=str(models_dir(rungs)), TAKT__LOG__PATH=str(log_path), **NO_QUEUES)


def models_dir(rungs: tuple[str, ...]) -> Path:
    """Models of the example bank, trained when they are missing.

    The encoder of `large` is tiny and random, so that it can be had everywhere: these benches ask what a rung on the
    executor does to the others, not what it is worth.
    """
    path = RESULTS / "models" / f"{FORMAT}-{'-'.join(rungs)}"
    if not (path / "manifest.json").exists():
        print(f"training {' and '.join(rungs)} once, into {path.relative_to(RESULTS.parent)}", flush=True)
        project = read_project(EXAMPLE / "routes.toml", EXAMPLE / "rules.toml")
        encoder = read_encoder(write_encoder(RESULTS / "models" / "encoder"), None) if "large" in rungs else None
        manifest = train(read_utterances(project), path, encoder=encoder)
        assert tuple(rung.name for rung in manifest.rungs) == rungs, manifest.notes
    return path


def pin_generator() -> None:
    """Keep this process off the server's core."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {GENERATOR_CORE})
