"""Versions that are taken up by a signal, and changes that a drain meets."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from models import store
from tests.http_models import ALWAYS_OOS, MODELS, NAN, ROWS, Gate, activate, begin, folder_of, page, signal, stop, until
from tests.versions import add_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread, Running


@pytest.fixture
def served(loop_thread: LoopThread, make_config: MakeConfig) -> Iterator[Running]:
    """A server of its own."""
    with loop_thread.serving(make_config()) as running:
        yield running


def test_a_signal_takes_up_what_was_trained_and_waits_for_its_turn(
    served: Running, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, folder = Gate(monkeypatch), folder_of(served)
    second, third = (add_version(folder, models_dir, heat, ROWS) for heat in (2.0, 3.0))
    store.activate(folder, second)
    assert page(served)["active"] != page(served)["on_disk"] == second
    signal(served)
    assert gate.entered.wait(20)
    store.activate(folder, third)
    for _ in range(3):
        signal(served)
    gate.opened.set()
    until(lambda: bool(page(served)["active"] == third))
    assert served.app.metrics.model_swaps.child("activated").value == 2


def test_a_refused_signal_leaves_the_old_version(
    served: Running, models_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = page(served)["active"]
    bad = add_version(folder_of(served), models_dir, 2.0, bias=NAN)
    store.activate(folder_of(served), bad)
    signal(served)
    until(lambda: served.app.metrics.model_swaps.child("refused").value == 1)
    until(lambda: "model_refused" in caplog.messages)
    effect = vars(next(record for record in caplog.records if record.msg == "model_refused"))["effect"]
    assert effect.startswith("the version before serves on, until a restart: `takt models rollback`")
    assert page(served)["active"] == first
    assert activate(served, first).json()["previous"] == first
    assert store.resolve(folder_of(served)).id == first


def test_a_signal_takes_up_what_was_forced_or_gone_back_to_however_right(served: Running, models_dir: Path) -> None:
    folder, first = folder_of(served), page(served)["active"]
    worse = add_version(folder, models_dir, 1.0, ROWS, bias=ALWAYS_OOS)
    better = add_version(folder, models_dir, 2.0, ROWS)
    store.activate(folder, worse, forced=True)
    signal(served)
    until(lambda: bool(page(served)["active"] == worse))
    assert activate(served, better).status == 200
    store.rollback(folder, worse)
    signal(served)
    until(lambda: bool(page(served)["active"] == worse))
    assert page(served)["previous"] == first


def test_after_a_signal_the_way_back_leads_to_what_was_served(served: Running, models_dir: Path) -> None:
    folder, first = folder_of(served), page(served)["active"]
    for heat in (2.0, 3.0):
        newest = add_version(folder, models_dir, heat, ROWS)
        store.activate(folder, newest)
    signal(served)
    until(lambda: bool(page(served)["active"] == newest))
    assert page(served)["previous"] == first
    assert served.post({}, path=f"{MODELS}/rollback").json()["active"] == first


def test_a_drain_gives_up_a_change_that_is_under_way(
    served: Running, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, second = Gate(monkeypatch), add_version(folder_of(served), models_dir, 2.0, ROWS)
    first = page(served)["active"]
    with served.wire() as wire:
        wire.send(begin(served, second))
        assert gate.entered.wait(20)
        stop(served)
        assert "draining" in wire.reply().problem(503, "unavailable")
    gate.opened.set()
    served.run(served.app.models.close())
    signal(served)
    assert page(served)["active"] == page(served)["on_disk"] == first


def test_a_drain_leaves_a_change_alone_that_the_disk_has(
    served: Running, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = add_version(folder_of(served), models_dir, 2.0, ROWS)
    recorded, opened = threading.Event(), threading.Event()
    make_active = store.activate

    def held(*args: Any, **keys: Any) -> store.Active:
        active = make_active(*args, **keys)
        recorded.set()
        assert opened.wait(20)
        return active

    monkeypatch.setattr(store, "activate", held)
    with served.wire() as wire:
        wire.send(begin(served, second))
        assert recorded.wait(20)
        stop(served)
        opened.set()
        assert wire.reply().json()["active"] == second
    assert page(served)["active"] == page(served)["on_disk"] == second


def test_a_server_that_drains_takes_up_nothing(served: Running) -> None:
    stop(served)
    for path in ("activate", "rollback"):
        served.post({"version": "a"}, path=f"{MODELS}/{path}").problem(503, "unavailable")
