"""/v1/policies/assignment: versions of queues.toml are kept, activated, taken back, and outlive a restart."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from router import policy_book
from tests.http_desk import Floor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from itertools import count

    from router.config import Config
    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread

PATH = "/v1/policies/assignment"
BASE = "[queues.cards]\n[queues.desk]\n[queues.humans]\n"


class Desk:
    """A project of the test's own; a new server each time."""

    def __init__(self, loop_thread: LoopThread, config: Config, numbers: count[int]) -> None:
        self._loop_thread, self._numbers = loop_thread, numbers
        self.config = config

    @contextmanager
    def serving(self, queues: str | None = None) -> Iterator[Floor]:
        if queues is not None:
            (self.config.folder / "queues.toml").write_text(queues, encoding="utf-8")
        with self._loop_thread.serving(self.config) as running:
            yield Floor(running, self._numbers)


@pytest.fixture
def desk(loop_thread: LoopThread, make_config: MakeConfig, line_numbers: count[int]) -> Desk:
    return Desk(loop_thread, make_config(), line_numbers)


def _keep(floor: Floor, toml: str) -> str:
    return str(floor.post(f"{PATH}/versions", {"toml": toml})["version"])


def _activate(floor: Floor, version: str) -> Any:
    return floor.post(f"{PATH}/versions/{version}/activate")


def _target_of(floor: Floor) -> float:
    return float(floor.do("GET", "/v1/queues/desk")["target_s"])


def _with_target(seconds: int) -> str:
    return f"[queues.cards]\n[queues.desk]\ntarget_s = {seconds}\n[queues.humans]\n"


def test_a_version_whose_condition_never_holds_is_not_kept(desk: Desk) -> None:
    with desk.serving(_with_target(30)) as floor:
        toml = f"""{_with_target(40)}steps = [{{ when = "resource.attribute.tier == 'a'" }}]\n"""
        detail = floor.ask("POST", f"{PATH}/versions", {"toml": toml}).problem(400, "malformed")
        assert "queues.humans.steps[0].when: " in detail
        assert "names resource.attribute; the fields of resource are attributes, capacity" in detail


def test_a_version_is_kept_and_put_in_force_and_taken_back(desk: Desk) -> None:
    with desk.serving(_with_target(30)) as floor:
        first = floor.do("GET", f"{PATH}/versions")
        (version,) = first["versions"]
        assert (version["version"], version["is_active"], version["by"]) == (first["active"], True, "queues.toml")
        assert (first["previous"], version["activated_at"] is None) == (None, False)
        floor.ask("POST", f"{PATH}/rollback", {}).problem(409, "conflict")
        reply = floor.ask("POST", f"{PATH}/versions", {"toml": _with_target(40)})
        kept = reply.json()
        assert (reply.status, kept["is_active"], kept["by"], kept["activated_at"]) == (201, False, "supervisor", None)
        assert reply.headers["Location"] == f"{PATH}/versions/{kept['version']}"
        assert floor.do("GET", reply.headers["Location"]) == kept
        assert floor.ask("POST", f"{PATH}/versions", {"policy": kept["policy"]}).status == 200  # it says the same
        assert _target_of(floor) == 30
        active = _activate(floor, kept["version"])
        assert (active["version"], active["is_active"], _target_of(floor)) == (kept["version"], True, 40)
        listed = floor.do("GET", f"{PATH}/versions")
        assert [each["version"] for each in listed["versions"]] == [kept["version"], first["active"]]
        assert (listed["active"], listed["previous"]) == (kept["version"], first["active"])
        assert floor.post(f"{PATH}/rollback")["version"] == first["active"]
        assert _target_of(floor) == 30
        assert floor.post(f"{PATH}/rollback")["version"] == kept["version"]


def test_a_restart_goes_on_with_what_is_in_force_until_the_file_changes(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with desk.serving(_with_target(30)) as floor:
        other = _keep(floor, _with_target(40))
        _activate(floor, other)
    with caplog.at_level(logging.INFO, "takt.assign"), desk.serving() as floor:
        assert _target_of(floor) == 40
        (line,) = (record for record in caplog.records if record.message == "policy_kept")
        assert line.__dict__["version"] == other
    with desk.serving("# the same, in other words\n" + _with_target(30)) as floor:
        assert _target_of(floor) == 40
    with desk.serving(_with_target(50)) as floor:
        assert _target_of(floor) == 50
        assert floor.do("GET", f"{PATH}/versions")["previous"] == other
        _activate(floor, other)
    caplog.clear()
    with caplog.at_level(logging.INFO, "takt.assign"), desk.serving(_with_target(30)) as floor:
        assert _target_of(floor) == 30
        assert len(floor.do("GET", f"{PATH}/versions")["versions"]) == 3
        assert "policy_kept" not in {record.message for record in caplog.records}


def test_what_was_activated_is_known_though_the_book_was_not_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.serving(_with_target(30)) as floor:
        other = _keep(floor, _with_target(40))
        with monkeypatch.context() as patch:
            patch.setattr(policy_book.PolicyBook, "save", _nothing)  # as if the process had died here
            _activate(floor, other)
    with desk.serving() as floor:
        listed = floor.do("GET", f"{PATH}/versions")
        assert (listed["active"], _target_of(floor)) == (other, 40)
        assert floor.post(f"{PATH}/rollback")["is_active"]
        assert _target_of(floor) == 30


async def _nothing(_: object) -> None:
    return


def test_the_oldest_make_room_but_not_those_in_use(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_book, "MOST_VERSIONS", 3)
    with desk.serving(_with_target(30)) as floor:
        first = floor.do("GET", f"{PATH}/versions")["active"]
        gone, last = [_keep(floor, _with_target(seconds)) for seconds in (31, 32, 33)][0::2]
    with desk.serving() as floor:
        versions = [each["version"] for each in floor.do("GET", f"{PATH}/versions")["versions"]]
        assert (len(versions), versions[0], versions[-1], gone in versions) == (3, last, first, False)
        detail = floor.ask("POST", f"{PATH}/versions/{gone}/activate", {}).problem(404, "unknown-version")
        assert last in detail


def test_one_that_could_not_take_effect_is_not_kept(desk: Desk) -> None:
    with desk.serving(BASE) as floor:
        for toml, named in (
            ("[queues.desk]\nmost = 0\n", "most"),
            (f"{BASE}escalate_to = 'nowhere'\n", "escalate_to"),
        ):
            detail = floor.ask("POST", f"{PATH}/versions", {"toml": toml}).problem(400, "malformed")
            assert named in detail
        left_out = floor.ask("POST", f"{PATH}/versions", {"toml": "[queues.desk]\n[queues.humans]\n"})
        assert "cards" in left_out.problem(409, "conflict")  # a route leads there
        assert len(floor.do("GET", f"{PATH}/versions")["versions"]) == 1


def test_a_queue_that_came_into_use_cannot_be_left_out(desk: Desk) -> None:
    with desk.serving(f"{BASE}[queues.extra]\n") as floor:
        version = _keep(floor, BASE)
        floor.post("/v1/tasks", {"queue": "extra"})
        detail = floor.ask("POST", f"{PATH}/versions/{version}/activate", {}).problem(409, "conflict")
        assert "extra" in detail
        assert not floor.do("GET", f"{PATH}/versions/{version}")["is_active"]


def test_a_key_makes_a_rollback_one(desk: Desk) -> None:
    with desk.serving(_with_target(30)) as floor:
        first = floor.do("GET", f"{PATH}/versions")["active"]
        other = _keep(floor, _with_target(40))
        _activate(floor, other)
        replies = [floor.ask("POST", f"{PATH}/rollback", {}, {"Idempotency-Key": "once"}) for _ in range(2)]
        assert [reply.json()["version"] for reply in replies] == [first, first]
        assert replies[1].headers["Idempotent-Replay"] == "true"
        reused = floor.ask("POST", f"{PATH}/versions/{other}/activate", {}, {"Idempotency-Key": "once"})
        reused.problem(422, "idempotency-key-reused")
        assert _target_of(floor) == 30


def test_metrics_know_the_queues_of_the_version_in_force(desk: Desk) -> None:
    with desk.serving(BASE) as floor:
        _activate(floor, _keep(floor, f"{BASE}[queues.extra]\n"))
        floor.post("/v1/tasks", {"queue": "extra"})
        assert 'takt_queue_waiting{queue="extra"} 1' in floor.ask("GET", "/metrics").body.decode()
