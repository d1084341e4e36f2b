"""/v1/admin/models: versions that come into service while the server serves, and versions that do not."""

from __future__ import annotations

import errno
import gc
import json
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from models import store
from tests.cli_runs import takt
from tests.http_models import ALWAYS_OOS, MODELS, NAN, ROWS, Gate, activate, begin, folder_of, page, until
from tests.http_project import SURE_ROUTE, SURE_TEXT
from tests.http_server import pack, request, unpack
from tests.versions import add_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread, Running


@pytest.fixture
def served(loop_thread: LoopThread, make_config: MakeConfig) -> Iterator[Running]:
    """A server of its own; it starts with a directory that is itself a version."""
    with loop_thread.serving(make_config()) as running:
        yield running


def test_another_version_serves_and_the_one_before_again(served: Running, models_dir: Path) -> None:
    first, plan = page(served)["active"], served.app.point.plan.version
    second = add_version(folder_of(served), models_dir, 2.0, ROWS)
    done = activate(served, second[:6])
    assert done.status == 200
    found = done.json()
    assert (found["active"], found["previous"]) == (second, first)
    assert found["took_ms"] > 0
    canary = found["canary"]
    assert (canary["texts"], canary["rungs"]["small"]["agreement_share"]) == (20, 1.0)
    assert served.app.point.plan.version != plan
    assert served.ask("GET", "/readyz").json()["plan_version"] == served.app.point.plan.version
    assert served.decide(SURE_TEXT)["route"] == SURE_ROUTE
    listed = page(served)
    assert (listed["active"], listed["on_disk"], listed["previous"]) == (second, second, first)
    assert [each["version"] for each in listed["versions"] if each["is_active"]] == [second]
    back = served.post({}, path=f"{MODELS}/rollback").json()
    assert (back["active"], back["previous"]) == (first, second)
    assert served.app.point.plan.version == plan
    detail = served.post({}, path=f"{MODELS}/rollback").problem(404, "unknown-version")
    assert "no earlier version" in detail


def test_what_serves_already_is_not_loaded_again(served: Running) -> None:
    active, rungs = page(served)["active"], served.app.point.plan.rungs
    assert activate(served, active).json() == {
        "active": active,
        "previous": active,
        "took_ms": pytest.approx(0, abs=5e3),
        "canary": None,
    }
    assert served.app.point.plan.rungs is rungs


def test_the_bodies_may_be_messagepack(served: Running) -> None:
    version = unpack(served.ask("GET", MODELS, headers={"Accept": "application/msgpack"}).body)["active"]
    body = pack({"version": version})
    done = served.ask("POST", f"{MODELS}/activate", body, {"Content-Type": "application/msgpack"})
    assert unpack(done.body)["active"] == version


def _alter(version: Path) -> None:
    content = bytearray((version / "small.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    _replace(version / "small.onnx", bytes(content))


def _cut(version: Path) -> None:
    _replace(version / "small.onnx", (version / "small.onnx").read_bytes()[:1000])


def _replace(path: Path, content: bytes) -> None:
    path.unlink()  # it may be a link
    path.write_bytes(content)


def _empty_manifest(version: Path) -> None:
    _replace(version / "manifest.json", b"{}")


@pytest.mark.parametrize(
    ("changes", "damage", "code", "says"),
    [
        pytest.param({}, _alter, "model-unusable", "small.onnx: sha256 is", id="altered"),
        pytest.param({}, _cut, "model-unusable", "small.onnx: sha256 is", id="cut off"),
        pytest.param({}, _empty_manifest, "model-unusable", "manifest.json", id="manifest"),
        pytest.param({"bias": NAN}, None, "model-unusable", "logits are not finite", id="NaN"),
        pytest.param({"labels": ("a", "b", "c")}, None, "model-unusable", "4 labels", id="shape"),
        pytest.param({"bias": ALWAYS_OOS}, None, "model-less-accurate", "right on 0.0% of 20", id="worse"),
    ],
)
def test_a_bad_version_is_refused_and_the_old_one_serves_on(
    served: Running, models_dir: Path, changes: Any, damage: Callable[[Path], None] | None, code: str, says: str
) -> None:
    before, plan = page(served), served.app.point.plan
    bad = add_version(folder_of(served), models_dir, 2.0, ROWS, **changes)
    if damage is not None:
        damage(folder_of(served) / bad)
    assert says in activate(served, bad).problem(422, code)
    assert served.app.point.plan is plan
    assert page(served) | {"versions": []} == before | {"versions": []}
    assert store.read_active(folder_of(served)) is None
    assert served.decide(f"{SURE_TEXT} {code}")["rung"] == "small"
    assert served.app.metrics.model_swaps.child("refused").value == 1


def test_a_slow_version_is_refused(loop_thread: LoopThread, make_config: MakeConfig, models_dir: Path) -> None:
    with loop_thread.serving(make_config(models__inline_limit_ms="0.001")) as server:
        slow = add_version(folder_of(server), models_dir, 2.0, ROWS)
        detail = activate(server, slow, force=True).problem(422, "model-too-slow")
        assert "models.inline_limit_ms is 0.001" in detail


def test_a_worse_version_can_be_forced_and_left_again(served: Running, models_dir: Path) -> None:
    worse = add_version(folder_of(served), models_dir, 1.0, ROWS, bias=ALWAYS_OOS)
    assert activate(served, worse, force=True).json()["canary"]["rungs"]["small"]["accuracy"] == 0
    assert served.decide(SURE_TEXT)["reason"] == "unsure"
    assert served.post({}, path=f"{MODELS}/rollback").status == 200
    assert served.decide(SURE_TEXT)["route"] == SURE_ROUTE


@pytest.mark.parametrize("version", ["", "nothing", "..", "../models", "\x00", "x" * 3000])
def test_an_unknown_version_is_not_found(served: Running, version: str) -> None:
    activate(served, version).problem(404, "unknown-version")


@pytest.mark.parametrize("body", [{}, {"version": 1}, {"version": "a", "forced": True}, []])
def test_what_is_no_request_is_refused(served: Running, body: Any) -> None:
    served.post(body, path=f"{MODELS}/activate").problem(400, "malformed")


def test_one_at_a_time_and_decisions_meanwhile(
    served: Running, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, second = Gate(monkeypatch), add_version(folder_of(served), models_dir, 2.0, ROWS)
    with served.wire() as wire:
        wire.send(begin(served, second))
        assert gate.entered.wait(20)
        activate(served, second).problem(409, "activation-running")
        served.post({}, path=f"{MODELS}/rollback").problem(409, "activation-running")
        assert served.decide("add funds meanwhile")["rung"] == "small"
        gate.opened.set()
        assert wire.reply().json()["active"] == second


def test_who_leaves_does_not_stop_it(served: Running, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, second = Gate(monkeypatch), add_version(folder_of(served), models_dir, 2.0, ROWS)
    with served.wire() as wire:
        wire.send(begin(served, second))
        assert gate.entered.wait(20)
    gate.opened.set()
    until(lambda: bool(page(served)["active"] == second))
    assert store.resolve(folder_of(served)).id == second


def test_a_disk_that_is_full_changes_nothing(
    served: Running, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = page(served)["active"], add_version(folder_of(served), models_dir, 2.0, ROWS)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in activate(served, second).problem(503, "models-not-writable")
    assert page(served)["active"] == page(served)["on_disk"] == first


def test_before_the_models_are_there_there_is_nothing_to_change(
    loop_thread: LoopThread, make_config: MakeConfig
) -> None:
    with loop_thread.serving(make_config(), start=False) as server:
        listed = page(server)
        assert listed["active"] == listed["on_disk"]
        activate(server, listed["active"]).problem(409, "activation-running")


def test_the_command_line_asks_the_server(
    loop_thread: LoopThread,
    make_config: MakeConfig,
    models_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with loop_thread.serving(make_config(admin_token="s3cret")) as server:
        folder = folder_of(server)
        monkeypatch.chdir(folder.parent)
        url = ("--url", f"http://127.0.0.1:{server.port}/")
        first, second = store.resolve(folder).id, add_version(folder, models_dir, 2.0, ROWS)
        bad = add_version(folder, models_dir, 3.0, ROWS, bias=NAN)
        refused = takt(capsys, "models", "list", *url)
        assert refused.code == 2
        assert "server.admin_token (unauthorized)" in refused.err
        monkeypatch.setenv("TAKT__SERVER__ADMIN_TOKEN", "s3cret")  # as the project of the server has it
        done = takt(capsys, "models", "activate", second, *url)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"{second} is active; before: {first}.")
        assert "SIGHUP" not in done.out
        assert server.app.models.loaded is not None
        assert server.app.models.loaded.manifest.plan_version == second
        monkeypatch.delenv("TAKT__SERVER__ADMIN_TOKEN")
        token = (*url, "--token", "s3cret")
        listed = takt(capsys, "models", "list", *token).out
        assert {first, second, bad} <= set(listed.split())
        done = takt(capsys, "models", "activate", bad, *token)
        assert (done.code, done.out) == (1, "")
        assert "(model-unusable)" in done.err
        assert takt(capsys, "models", "rollback", *token).code == 0
        assert server.app.models.loaded.manifest.plan_version == first


def test_a_swap_leaves_nothing_behind(served: Running, models_dir: Path) -> None:
    """Neither the models before, though the garbage collector never looks at what was frozen, nor series of theirs."""
    versions = [add_version(folder_of(served), models_dir, heat, ROWS) for heat in (2.0, 3.0)]

    def series() -> int:
        return len(served.ask("GET", "/metrics").body.splitlines())

    session = served.app.point.plan.rungs[0].predict.__self__._session._session  # type: ignore[attr-defined]
    former = weakref.ref(session)
    del session
    activate(served, versions[0])
    lines = series()
    gc.disable()
    try:
        for number in range(1, 5):
            assert activate(served, versions[number % 2]).status == 200
            assert series() == lines
        assert former() is None
    finally:
        gc.enable()


def test_nothing_is_lost_while_versions_change(served: Running, models_dir: Path) -> None:
    versions = [add_version(folder_of(served), models_dir, heat, ROWS) for heat in (2.0, 3.0)]
    is_over = threading.Event()
    rungs: list[str] = []

    def ask() -> None:
        number = 0
        with served.wire() as wire:
            while not is_over.is_set():
                number += 1
                wire.send(
                    request(json.dumps({"text": f"add funds {number}"}).encode(), "Content-Type: application/json")
                )
                reply = wire.reply()
                rungs.append(reply.json()["rung"] if reply.status == 200 else str(reply.status))

    client = threading.Thread(target=ask)
    client.start()
    try:
        for number in range(6):
            assert activate(served, versions[number % 2]).status == 200
    finally:
        is_over.set()
        client.join()
    assert set(rungs) == {"small"}
