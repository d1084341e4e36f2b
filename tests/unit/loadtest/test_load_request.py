from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from loadtest.payload import Payload
from loadtest.request import Requests
from loadtest.run import Run, RunRecord
from loadtest.sample import NOT_SAID, PLANNED, empty
from loadtest.scenario.spec import PayloadSpec, TargetSpec
from loadtest.wire import RequestReader
from tests.fabricated import MS, scenario


def requests(*bodies: dict[str, object], fresh: bool = False, criticality: int = NOT_SAID) -> Requests:
    planned = np.zeros(4, PLANNED)
    planned["payload"] = np.arange(4) % len(bodies)
    planned["budget_ns"] = [50 * MS, 12_500_000, 50 * MS, 50 * MS]
    planned["criticality"] = criticality
    target = TargetSpec(url="http://router:8080", headers={"X-Tenant": "a", "Host": "ignored"})
    record = RunRecord(
        id="0badcafe",
        scenario=scenario(payload=PayloadSpec(fresh=fresh), target=target),
        engine="raw",
        command="",
        started_at="",
        channels=("chat",),
        criticalities=("critical",),
    )
    payloads = tuple(Payload(body) for body in bodies)
    return Requests(Run(Path(), record, planned, empty(4), payloads))


def test_a_request_is_http_with_its_budget_and_its_id() -> None:
    [read] = RequestReader().feed(requests({"text": 'say "hi" — ok', "id": "not mine"}).http(1))
    assert (read.method, read.path) == ("POST", "/v1/interactions")
    assert read.headers[b"host"] == b"router:8080"
    assert read.headers[b"x-tenant"] == b"a"
    assert read.headers[b"x-request-timeout-ms"] == b"12.5"
    assert msgspec.json.decode(read.body) == {"id": "0badcafe-000000001", "channel": "chat", "text": 'say "hi" — ok'}


def test_rows_differ_in_their_ids_alone() -> None:
    made = requests({"text": "hello"})
    bodies = [made.fields(row) for row in range(4)]
    assert len({body.pop("id") for body in bodies}) == 4
    assert all(body == bodies[0] for body in bodies)


def test_a_fresh_word_is_another_one_each_time() -> None:
    made = requests({"text": "where\x00is it"}, fresh=True)
    texts = [made.fields(row)["text"] for row in range(4)]
    assert len(set(texts)) == 4
    assert all(text.startswith("whereis it ref") for text in texts)


def test_a_body_without_a_text_stays_as_it_is() -> None:
    body = requests({"point": "offer", "actions": [{"id": "a"}]}, fresh=True).fields(0)
    assert body["actions"] == [{"id": "a"}]
    assert "text" not in body


def test_criticality_is_sent_where_it_is_said() -> None:
    assert requests({"text": "a"}, criticality=0).fields(0)["criticality"] == "critical"
    assert "criticality" not in requests({"text": "a"}).fields(0)


def test_a_payload_may_name_its_own_channel() -> None:
    assert requests({"text": "a", "channel": "voice"}).fields(0)["channel"] == "voice"
