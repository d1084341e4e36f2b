"""`takt audit` beside a server that decides, and after it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from router.cli import main
from tests.http_project import SURE_TEXT, train_models, write_project

pytestmark = pytest.mark.integration
_PATIENCE_S = 60


def _post(url: str, body: dict[str, object]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{url}/v1/interactions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_PATIENCE_S) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if (found := re.search(r"http://127\.0\.0\.1:\d+", line)) is not None:
            return found[0]
    pytest.fail("the server did not start")


def test_a_log_is_audited_while_it_is_written_and_after(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With durability = commit an answer comes when its record is on the disk, so each audit has them all."""
    train_models(tmp_path / "trained")
    write_project(tmp_path, tmp_path / "trained")
    config = str(tmp_path / "takt.toml")

    def audit() -> dict[str, Any]:
        capsys.readouterr()
        assert main(["audit", "-c", config, "--json", "--slo", "0"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "TAKT__LOG__DURABILITY": "commit"}
    with subprocess.Popen(
        [sys.executable, "-m", "router.cli", "serve", "-c", config, "--port", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            url = _url(process)
            answers = [_post(url, {"text": f"{SURE_TEXT} {number}", "budget_ms": 5000}) for number in range(20)]
            beside = audit()
            process.send_signal(signal.SIGTERM)
            assert process.wait(_PATIENCE_S) == 0
        finally:
            process.kill()
    after = audit()
    assert after == beside
    assert after["decisions"] == 20
    assert {each["name"]: each["total"] for each in after["rungs"]} == Counter(each["rung"] for each in answers)
    assert {each["name"]: each["total"] for each in after["degraded"]} == Counter(each["degraded"] for each in answers)
    assert after["total"]["budget_p50_ms"] == 5000.0
    assert {"parse", "admit", "infer"} <= {each["name"] for each in after["stages"]}
    assert sum(each["share"] for each in after["stages"]) == pytest.approx(1)
    assert after["bottleneck"]["sentence"]
