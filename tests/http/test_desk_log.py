"""Tasks while the log can't be written: refused in time, nothing half done, and on again when it is back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from router.http import submission
from router.http.socket import TRY_AGAIN
from tests.http_desk import QUEUES, Floor, connected
from tests.http_server import PATIENCE_S

if TYPE_CHECKING:
    from itertools import count

    import pytest

    from tests.http.conftest import Blunders, MakeConfig
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


def test_a_server_whose_tasks_another_has_taken_over_refuses_them_and_wants_no_traffic(
    loop_thread: LoopThread, make_config: MakeConfig, line_numbers: count[int], blunders: Blunders
) -> None:
    config = make_config()
    (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")
    with loop_thread.serving(config) as old:
        stale = Floor(old, line_numbers)
        stale.task(id="before")
        with loop_thread.serving(config) as new:
            assert Floor(new, line_numbers).do("GET", "/v1/tasks/before")["state"] == "queued"
            for _ in range(2):
                reply = stale.ask("POST", "/v1/tasks", {"queue": stale.line})
                assert (reply.status, reply.json()["code"]) == (503, "log-fenced"), reply.body
            assert "another process" in old.ask("GET", "/readyz").problem(503, "unavailable")
            assert b"takt_ready 0" in old.ask("GET", "/metrics").body
            assert new.ask("GET", "/readyz").status == 200
    assert [line for line in blunders.seen if "log_fenced" not in line] == []
    blunders.seen.clear()


def test_a_stream_that_cannot_be_answered_for_is_asked_to_come_again(
    loop_thread: LoopThread, make_config: MakeConfig, line_numbers: count[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would be told first is not in the log yet."""
    monkeypatch.setattr(submission, "_PATIENCE_S", 0.3)
    config = make_config()
    (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")

    async def close_code(path: str) -> int | None:
        async with connected(floor.running, path) as stream:
            return await stream.closed()

    with loop_thread.serving(config, allow_faults=True) as running:
        floor = Floor(running, line_numbers)
        ana = floor.agent("ana")
        floor.do("PUT", FAULTS, {"store": {"down": True}})
        assert floor.ask("POST", "/v1/tasks", {"queue": floor.line}).status == 503
        for path in (f"/v1/agents/{ana}/stream", "/v1/supervisor/stream", "/v1/supervisor/stream?cursor=1-0"):
            assert asyncio.run(close_code(path)) == TRY_AGAIN
        floor.do("PUT", FAULTS, {})
