"""An event on the wire: CloudEvents 1.0, signed; the same each time but for the attempt's time."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from router.webhooks.message import Webhook, rfc3339
from router.webhooks.settings import WebhookSettings
from tests.hooks import AT_NS, OTHER_SECRET, SECRET, event, verify

NOW_NS = AT_NS + 60_000_000_000


def make(*types: str, **keys: str) -> Webhook:
    return Webhook(
        WebhookSettings(url="https://crm.example/hook", secrets=(SECRET, OTHER_SECRET), types=types or ("*",), **keys)  # type: ignore[arg-type]
    )


def test_the_whole_request() -> None:
    call = make(source="https://takt.example/a").call(event(7, "t9", "task.assigned", 3, resource_id="eva"), NOW_NS)
    assert call.url == "https://crm.example/hook"
    assert json.loads(call.body) == {
        "specversion": "1.0",
        "id": "7-0",
        "source": "https://takt.example/a",
        "type": "task.assigned",
        "subject": "t9",
        "time": "2025-11-22T08:26:40.123456Z",
        "datacontenttype": "application/json",
        "seq": 3,
        "data": {"resource_id": "eva"},
    }
    assert call.headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    for secret in (SECRET, OTHER_SECRET):
        assert verify(call.headers, call.body, secret, NOW_NS // 10**9)


def test_a_later_attempt_differs_in_time_and_signature_only() -> None:
    first, second = (make().call(event(7), now_ns) for now_ns in (NOW_NS, NOW_NS + 10**9))
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 1
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_ids_are_free_of_full_stops_and_differ_between_logs() -> None:
    one = make().call(event(7), NOW_NS).headers["webhook-id"]
    other = event(7)
    assert "." not in one
    moved = type(other)(**{**{f: getattr(other, f) for f in other.__struct_fields__}, "at_ns": AT_NS + 5})
    assert make().call(moved, NOW_NS).headers["webhook-id"] != one


@pytest.mark.parametrize(
    ("types", "kind", "wanted"),
    [
        (("*",), "queue.closed", True),
        (("task.*",), "task.queued", True),
        (("task.*",), "offer.issued", False),
        (("task.*",), "taskforce.queued", False),
        (("task.assigned", "offer.*"), "task.assigned", True),
        (("task.assigned", "offer.*"), "task.queued", False),
        (("task.assigned", "offer.*"), "offer.expired", True),
    ],
)
def test_only_the_types_that_were_asked_for(types: tuple[str, ...], kind: str, wanted: bool) -> None:
    assert make(*types).wants(event(1, kind=kind)) is wanted


def test_times_are_utc_to_the_microsecond() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert rfc3339(AT_NS) == "2025-11-22T08:26:40.123456Z"


def test_the_program_of_the_manual_verifies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    manual = (Path(__file__).parents[4] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", manual, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    call = make().call(event(7), NOW_NS)
    monkeypatch.setattr(time, "time", lambda: NOW_NS / 1e9)
    for secret in (SECRET, OTHER_SECRET):
        assert names["verify"](call.headers, call.body, secret)
    assert not names["verify"](call.headers, call.body + b" ", SECRET)
    assert not names["verify"](call.headers, call.body, "whsec_" + "A" * 32)
    monkeypatch.setattr(time, "time", lambda: NOW_NS / 1e9 + 302)
    assert not names["verify"](call.headers, call.body, SECRET)
