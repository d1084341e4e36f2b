"""What the command line says of tasks: `takt route` beside a server that has them, and `takt explain`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from router.assembly import build_app
from router.assign.command import CreateTask
from router.cli import main
from router.commands import explain
from router.config import load_config
from tests.audit_records import without_large
from tests.cli_runs import takt
from tests.hurry import hurried

if TYPE_CHECKING:
    from pathlib import Path

BUSY = """
[[guards]]
name = "busy"
when = "queues.service.ewt_s > 60.0"
route = "account"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that sends everything to the bot while the wait is long."""
    folder = tmp_path / "shop"
    assert main(["init", str(folder)]) == 0
    (folder / "rules.toml").write_text(BUSY, encoding="utf-8")
    with hurried():
        assert main(["train", "-c", str(folder / "takt.toml")]) == 0
    return folder


def test_the_task_of_a_decision_is_told() -> None:
    told = dict(explain._facts(replace(without_large("budget"), task_id="t-1")))
    assert told["task"].startswith("t-1: GET /v1/tasks/t-1/explain")
    assert "task" not in dict(explain._facts(without_large("budget")))


def test_one_decision_without_a_server_leaves_the_tasks_to_the_server(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = project / "takt.toml"

    async def scenario() -> None:
        app = build_app(load_config(config, {}))
        await app.start()
        assert app.desk is not None
        done = await asyncio.to_thread(takt, capsys, "route", "-c", config, "give me a real person", "--json")
        answer = json.loads(done.out)
        assert (answer["route"], answer["rung"]) == ("account", "guard"), "nobody is there, so the wait has no end"
        assert answer["task"] is None
        stepped = await app.desk.submit(CreateTask(id="t-1", queue="service"))
        assert stepped.subject == "t-1", "the server goes on"
        await app.close()

    asyncio.run(scenario())
