"""What watching a run costs it: `python -m tests.bench.load_live [--rate 4000] [--json]`.

`takt loadtest run` in turns with `--live off`, `lines` and `tui`, at the same rate against the load tester's own echo.
Its stderr is a terminal that this process reads, so that the view is really painted. The generator has a core of its
own and the server the other; whoever paints is put where the system likes, as it is for people.
"""

from __future__ import annotations

import os
import pty
import statistics
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec

from loadtest.echo.process import start_echo
from loadtest.echo.settings import EchoSettings
from loadtest.run import open_run
from tests.bench import report
from tests.bench.load_measure import Measured, read, write_payload
from tests.bench.server_process import GENERATOR_CORE, SERVER_CORE

_MODES = ("off", "lines", "tui")
_MOST_CHANGE = 0.02  # G16
_CHUNK_BYTES = 65_536
_SHOWN = ("cpu_us", "lag_p50_us", "lag_p99_us")


class Watched(NamedTuple):
    """A run, and how much was painted meanwhile."""

    numbers: Measured
    painted_bytes: int


def watch(url: str, mode: str, rate: float, seconds: float) -> Watched:
    """One run of the command. Raises: RuntimeError: it measured nothing."""
    with TemporaryDirectory() as folder:
        out = Path(folder, "run")
        command = [sys.executable, "-m", "router.cli", "loadtest", "run", "steady", "--target", url, "--answers", "any",
                   "--arrivals", "constant", "--rate", f"{rate:g}", "--duration", f"{seconds:g}s", "--warmup", "1s",
                   "--connections", "256", "--payload", str(write_payload(Path(folder))), "--out", str(out),
                   "--pin", str(GENERATOR_CORE), "--live", mode]  # fmt: skip
        master, slave = pty.openpty()
        painted: list[bytes] = []
        reader = threading.Thread(target=_drain, args=(master, painted))
        reader.start()
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.DEVNULL,
                stderr=slave,
                env=_terminal(),
                cwd=report.RESULTS.parent,
                check=False,
            )
        finally:
            os.close(slave)
            reader.join()
            os.close(master)
        if not (out / "run.json").exists():
            raise RuntimeError(f"status {done.returncode}: {b''.join(painted).decode(errors='replace')}")
        return Watched(read(open_run(out)).numbers, sum(map(len, painted)))


def _drain(terminal: int, painted: list[bytes]) -> None:
    while True:
        try:
            data = os.read(terminal, _CHUNK_BYTES)
        except OSError:  # Linux says so when the other side is closed
            return
        if not data:
            return
        painted.append(data)


def _terminal() -> dict[str, str]:
    """An environment in which the view is welcome."""
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "NO_COLOR"}}
    return {**kept, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", "COLUMNS": "120", "LINES": "40"}


def main() -> None:
    """A row for each mode, then the goal."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--rate", type=float, default=4_000)
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--repeats", type=int, default=5)
    given = arguments.parse_args()
    found: dict[str, list[Watched]] = {mode: [] for mode in _MODES}
    with start_echo(EchoSettings(), (SERVER_CORE,)) as echo:
        for at in range(given.repeats):
            for mode in _MODES if at % 2 == 0 else reversed(_MODES):  # what drifts meets all alike
                found[mode].append(watch(echo.url, mode, given.rate, given.seconds))
    rows: list[tuple[object, ...]] = []
    changes = {}
    for mode, runs in found.items():
        numbers = [each.numbers for each in runs]
        ratios = [mine.cpu_us / off.numbers.cpu_us for mine, off in zip(numbers, found["off"], strict=True)]
        changes[mode] = statistics.median(ratios) - 1
        rows.append((
            mode,
            *(statistics.median(getattr(each, name) for each in numbers) for name in _SHOWN),
            f"{changes[mode]:+.1%} [{min(ratios) - 1:+.1%}, {max(ratios) - 1:+.1%}]",
            f"{sum(each.valid for each in numbers)} of {len(numbers)}",
            f"{statistics.median(each.painted_bytes for each in runs) / 1e3:,.1f}",
        ))  # fmt: skip
    report.table(
        ("live", "CPU µs a request", "lag p50 µs", "lag p99 µs", "change of CPU [range]", "valid", "kB painted"), rows
    )
    report.verdict(
        f"the live view changes the generator's cost of a request by less than {_MOST_CHANGE:.0%}",
        is_met=all(change < _MOST_CHANGE for change in changes.values()),
    )
    result = {mode: [msgspec.to_builtins(each) for each in runs] for mode, runs in found.items()}
    report.write_json("load_live", given, result)


if __name__ == "__main__":
    main()
