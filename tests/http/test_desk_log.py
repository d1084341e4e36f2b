"""Tasks while the log can't be written: refused in time, nothing half done, and on again when it is back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from router.http import submission
from tests.http_desk import QUEUES, Floor
from tests.http_server import PATIENCE_S

if TYPE_CHECKING:
    from itertools import count

    import pytest

    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread

FAULTS = "/v1/admin/faults"


def test_what_cannot_be_logged_is_not_done(
    loop_thread: LoopThread, make_config: MakeConfig, line_numbers: count[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "_PATIENCE_S", 0.3)
    config = make_config()
    (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")
    with loop_thread.serving(config, allow_faults=True) as running:
        floor = Floor(running, line_numbers)
        floor.task(id="before")
        floor.do("PUT", FAULTS, {"store": {"down": True}})
        key = {"Idempotency-Key": "again"}
        replies = [floor.ask("POST", "/v1/tasks", {"queue": floor.line, "id": "during"}, key) for _ in range(2)]
        for reply in replies:
            assert (reply.status, reply.json()["code"]) == (503, "log-unavailable"), reply.body
            assert reply.json()["fallback"] == "help_desk"
            assert reply.headers["Retry-After"] == "1"
        floor.do("PUT", FAULTS, {})
        give_up_s = time.monotonic() + PATIENCE_S
        while (reply := floor.ask("POST", "/v1/tasks", {"queue": floor.line, "id": "during"}, key)).status == 503:
            assert time.monotonic() < give_up_s
            time.sleep(0.02)  # the log tries again by itself
        assert reply.status in {200, 201}
        listed = floor.do("GET", f"/v1/tasks?queue={floor.line}")["tasks"]
        assert [each["id"] for each in listed] == ["before", "during"]
