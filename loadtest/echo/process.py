"""An echo server beside us, as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.request import ProxyHandler, build_opener

import msgspec

from loadtest.echo.settings import EchoSettings
from loadtest.echo.truth import read_truth
from loadtest.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import numpy as np

_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class RunningEcho:
    """Where it is."""

    url: str
    pid: int

    def truth(self) -> np.ndarray:
        """truth.TRUTH[n], in the order of the answers. Blocks. Raises: OSError: it is gone."""
        opener = build_opener(ProxyHandler({}))  # whatever the environment says of proxies
        with opener.open(f"{self.url}/truth", timeout=_PATIENCE_S) as answer:
            return read_truth(answer.read())


@contextmanager
def start_echo(settings: EchoSettings, cores: Collection[int] = ()) -> Iterator[RunningEcho]:
    """Start one and stop it in the end.

    Args: cores: where it may run; none: anywhere. Linux only.
    Raises: Unreachable: it did not start.
    """
    with subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "loadtest.echo", msgspec.json.encode(settings).decode()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us
        text=True,
    ) as process:
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                raise Unreachable("the echo server did not start")
            if cores:
                os.sched_setaffinity(process.pid, cores)
            yield RunningEcho(url, process.pid)
        finally:
            process.send_signal(signal.SIGCONT)  # a frozen one would not hear the next
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
