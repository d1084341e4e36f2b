"""A `takt serve` with agents and one queue, in a process that can be killed; and a look at its journal from outside."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from budgets.clock import SystemClock
from router.assign.engine import Engine
from router.assign.policy import Policy
from router.desk.record import decode_command
from router.log import LogSettings, SqliteStore
from tests.http_project import train_models, write_project
from tests.simulation.assign_runner import Broken, Checked, Entry, compile_condition

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).parents[2]
MOST = 3
QUEUES = f"""\
[lease]
ttl_s = 600
[channels.chat]
wrap_s = 0
offer_s = 5
[queues.cards]
[queues.humans]
[queues.desk]
[queues.race]
parallel = {MOST}
cooldown_s = 0
max_missed = 100
target_s = 3600
most = 1000000
"""
_LOG = "var/takt.sqlite"


@cache
def models_dir() -> Path:
    """Models of the tests' project, trained once a process."""
    folder = Path(tempfile.mkdtemp(prefix="takt-models-")) / "models"
    train_models(folder)
    return folder


class Server:
    """Start it, kill it, start it again."""

    def __init__(self, folder: Path, queues: str = QUEUES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "queues.toml").write_text(queues, encoding="utf-8")
        write_project(folder, models_dir())
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Until it tells its port."""
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "router.cli",
                "serve",
                "-c",
                str(self.folder / "takt.toml"),
                "--port",
                str(self.port),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout is not None
        said = ""
        for line in self._process.stdout:
            said += line
            if (found := re.search(r"http://127\.0\.0\.1:(\d+)", line)) is not None:
                self.port = int(found[1])
                return
        raise RuntimeError(said)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        """SIGTERM, and wait."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
            self._process.communicate(timeout=60)

    def ask(self, method: str, path: str, value: Any = None) -> Any:
        """What has to be a 2xx."""
        body = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from None

    def sign_in(self, agents: int) -> list[str]:
        """Agents of the race, each with room for three."""
        names = [f"a{number}" for number in range(agents)]
        for name in names:
            wanted = {"queues": ["race"], "channels": {"chat": {"most": MOST}}, "capacity": MOST}
            self.ask("PUT", f"/v1/resources/{name}", wanted)
            self.ask("POST", f"/v1/resources/{name}/presence", {"presence": "available", "session": f"s-{name}"})
        return names


class Journaled(NamedTuple):
    """What the journal of a server that does not run says."""

    commands: int
    engine: Engine
    broken: str
    is_equal: bool
    """The last checkpoint with what came after gives the same as all commands from the first."""


def read_journal(folder: Path) -> Journaled:
    """Play the whole log again, with a look at the invariants after each command, and compare with a recovery."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name, "copy.sqlite")
        for suffix in ("", "-wal"):
            path = Path(f"{folder / _LOG}{suffix}")
            if path.exists():
                shutil.copy(path, f"{copy}{suffix}")
        store = SqliteStore(LogSettings(path=str(copy)), SystemClock())
        store.open()
        entries = list(store.commands.entries())
        recovered = store.commands.take_over()
        store.close()
    checked, broken = Checked(Policy(queues={}), every=2_000), ""
    try:
        for entry in entries:
            checked.do(Entry(entry.at_ns, decode_command(entry.command)))
        checked.look_at_all()
        if checked.refused or checked.engine.state.position != len(entries):
            broken = f"{checked.refused} commands of the log were refused"
    except Broken as found:
        broken = str(found)
    engine = Engine(compile_condition, Policy(queues={}))
    if recovered.rows:
        engine = Engine.restore(recovered.rows, compile_condition)
    for entry in recovered.entries:
        engine.step(decode_command(entry.command), entry.at_ns)
    return Journaled(len(entries), checked.engine, broken, engine.hash() == checked.engine.hash())
