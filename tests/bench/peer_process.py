"""semantic-router's process and its environment; `peer_semantic_router` is what runs there."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.report import RESULTS

_DIRECTORY = RESULTS / "peers" / "semantic-router"
_PACKAGES = ("torch==2.13.0", "transformers==5.23.0", "semantic-router==1.1.1")


class Answer(msgspec.Struct, frozen=True):
    """What `peer_semantic_router` prints for a job."""

    answers: list[str]
    confidences: list[float]
    train_s: float
    costs_ns: list[int]
    version: str


class Peer:
    """A running `peer_semantic_router`, on one thread as a rung is; it ends with this process."""

    def __init__(self, encoder: Path) -> None:
        self._process = subprocess.Popen(
            [_python(), Path(__file__).with_name("peer_semantic_router.py"), encoder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"},
        )

    def ask(self, job: dict[str, Any]) -> Answer:
        """Raises: RuntimeError: the process has ended; it has said why on stderr."""
        source, sink = self._process.stdin, self._process.stdout
        assert source is not None
        assert sink is not None
        source.write(msgspec.json.encode(job) + b"\n")
        source.flush()
        line = sink.readline()
        if not line:
            raise RuntimeError(f"peer_semantic_router has ended with status {self._process.wait()}")
        return msgspec.json.decode(line, type=Answer)


@cache
def start(encoder: Path) -> Peer:
    return Peer(encoder)


def _python() -> Path:
    """The interpreter of the peer's environment; makes it once, as it needs packages that nothing here should have."""
    python, done = _DIRECTORY / "bin" / "python", _DIRECTORY / "installed.txt"
    wanted = "\n".join(_PACKAGES)
    if not done.exists() or done.read_text() != wanted:
        print(f"installing {', '.join(_PACKAGES)} into {_DIRECTORY} (some 1.5 GB)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", _DIRECTORY], check=True)
        for package in _PACKAGES:  # torch first, or the others choose one
            subprocess.run([python, "-m", "pip", "install", "-qq", package], check=True)
        done.write_text(wanted)
    return python
