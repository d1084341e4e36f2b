"""Does a live server keep every invariant while it is overloaded? `python -m tests.bench.live_history [--scale N]`.

Starts `takt serve` with the example bank, faults allowed and its log in a temporary directory, plays
tests/bench/live_history.toml on it, and checks the history beside the log. The exit code is that of
`takt check-history`; where it is not 0, the directory stays, for `takt explain`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

import msgspec
import uvloop

from loadtest.conductor import Options, conduct
from loadtest.scenario.read import parse_scenario
from loadtest.view import view
from tests.bench.load_takt import scaled
from tests.bench.traffic import EXAMPLE

_SCENARIO = Path(__file__).with_suffix(".toml")
_ROOT = Path(__file__).parents[2]
_TAKT = [sys.executable, "-m", "router.cli"]
_CONFIG = ["-c", str(EXAMPLE / "takt.toml")]


def main() -> int:
    """Returns: the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--scale", type=float, default=1, help="of the scenario's times (default: 1)")
    scenario = scaled(parse_scenario(str(_SCENARIO)), arguments.parse_args().scale)
    os.chdir(_ROOT)
    folder = Path(mkdtemp(prefix="takt-history-"))
    log, out, port = folder / "takt.sqlite", folder / "run", _unused_port()
    os.environ["TAKT__LOG__PATH"] = str(log)
    start = shlex.join([*_TAKT, "serve", *_CONFIG, "--allow-faults", "--port", str(port)])
    target = msgspec.structs.replace(scenario.target, url=f"http://127.0.0.1:{port}", start=start)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        options = Options(out=out, command="make check-history")
        run = runner.run(conduct(msgspec.structs.replace(scenario, target=target), options))
    counts = ", ".join(f"{count:,} {name}" for name, count in view(run).counts().items() if count)
    print(f"{scenario.description}: {counts}\n", flush=True)
    done = subprocess.run([*_TAKT, "check-history", str(out), "--log", str(log), *_CONFIG], check=False)
    if done.returncode == 0:
        shutil.rmtree(folder)
    return done.returncode


def _unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
