"""A real server, overloaded for three seconds with four criticalities: its history holds, and a forged log does not."""

from __future__ import annotations

import asyncio
import json
import shlex
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvloop

from loadtest.conductor import Options, conduct
from loadtest.quantity import Ns
from loadtest.run import METRICS_AFTER, METRICS_BEFORE
from loadtest.scenario.spec import BudgetSpec, FaultSpec, PayloadSpec, PhaseSpec, Scenario, TargetSpec
from loadtest.view import view
from models.encoder.find import read_encoder
from tests.cli_runs import takt
from tests.encoders import write_encoder
from tests.http_project import train_models, write_project

if TYPE_CHECKING:
    from loadtest.run import Run

pytestmark = pytest.mark.integration
_ROOT = Path(__file__).parents[2]
_S = 1_000_000_000
_CRITICALITIES = {"critical-plus": 1.0, "critical": 4.0, "sheddable-plus": 2.0, "sheddable": 3.0}


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_models(folder / "models", read_encoder(write_encoder(folder / "encoder"), None))
    return folder / "models"


def _scenario(project: Path) -> Scenario:
    """`large` is made slow by a fault that lasts, so that a small machine is overrun by 300 a second."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    start = [sys.executable, "-m", "router.cli", "serve", "-c", str(project / "takt.toml"), "--port", str(port)]
    return Scenario(
        name="history",
        target=TargetSpec(url=f"http://127.0.0.1:{port}", start=shlex.join([*start, "--allow-faults"]), connections=64),
        payload=PayloadSpec(fresh=True),
        budget=BudgetSpec(deadline="2ms:5,50ms:60,150ms:35"),
        criticality=_CRITICALITIES,
        phases=[PhaseSpec(name="overload", rate=300.0, for_=Ns(3 * _S))],
        faults=[FaultSpec(at=Ns(_S // 5), for_=Ns(2 * _S), kind="server", set={"large": {"delay_ms": 8}})],
    )


@pytest.fixture
def project(tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(_ROOT))
    write_project(tmp_path / "project", models_dir)
    return tmp_path / "project"


def _perform(project: Path) -> Run:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(conduct(_scenario(project), Options(out=project / "run")))


@pytest.mark.parametrize("mode", ["enforce", "dark"])
def test_a_live_history_holds_and_a_forged_log_does_not(
    project: Path, mode: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAKT__OVERLOAD__MODE", mode)
    run = _perform(project)
    assert (run.path / METRICS_BEFORE).exists()
    assert (run.path / METRICS_AFTER).exists()
    command = "check-history", run.path, "-c", project / "takt.toml"
    found = takt(capsys, *command)
    assert found.code == 0, found.out
    checked = {each["rule"]: each["checked"] for each in json.loads(takt(capsys, *command, "--json").out)["findings"]}
    assert checked["I1"] == len(view(run))
    assert all(checked[rule] > 20 for rule in ("I2", "I4", "I14", "I15", "G14")), checked

    with closing(sqlite3.connect(project / "var" / "takt.sqlite", isolation_level=None)) as log:
        (forged,) = log.execute("SELECT decision_id FROM decisions ORDER BY seq LIMIT 1 OFFSET 100").fetchone()
        log.execute("DELETE FROM decisions WHERE decision_id = ?", (forged,))
    found = takt(capsys, *command)
    assert (found.code, forged in found.out) == (1, True), found.out
