"""A server as a process: signals under load, and why it refuses to start."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from models import store
from tests.cli_runs import takt
from tests.http_project import SURE_ROUTE, SURE_TEXT, train_models, write_project
from tests.http_server import PATIENCE_S, Wire, request
from tests.versions import add_version

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
_BODY = json.dumps({"text": SURE_TEXT}).encode()
_KEPT_OPEN, _RECONNECTING, _PIPELINING = 4, 2, 2


class Load(NamedTuple):
    """What became of the requests: ids of decisions, refusals with a complete answer, requests without one."""

    decided: list[str]
    refused: list[int]
    lost: list[str]


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("trained") / "models"
    train_models(out_dir)
    return out_dir


@contextmanager
def _takt_serve(folder: Path, stdin: int | None = None, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`takt serve`, killed at the end if it is still there."""
    with subprocess.Popen(
        [sys.executable, "-m", "router.cli", "serve", "-c", str(folder / "takt.toml")],
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if (found := re.search(r"http://127\.0\.0\.1:(\d+)", line)) is not None:
            return int(found[1])
    pytest.fail(said)


async def _answer(reader: asyncio.StreamReader, load: Load) -> bool:
    """Read one answer; false when the server will close the connection. Raises: IncompleteReadError, OSError."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    body = json.loads(await reader.readexactly(length))
    if status == 200:
        load.decided.append(body["decision_id"])
    else:
        load.refused.append(status)
    return "connection: close" not in head


async def _client(port: int, load: Load, *, in_flight: int, keep: bool) -> None:
    """Ask on and on, until no connection is accepted any more."""
    once = request(_BODY, "Content-Type: application/json") * in_flight
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        writer.write(once)
        owed, is_open = in_flight, True
        try:
            while owed:
                is_open = await _answer(reader, load)
                owed -= 1
                if not owed and is_open and keep:
                    writer.write(once)
                    owed = in_flight
        except (asyncio.IncompleteReadError, OSError) as error:
            load.lost.append(f"{owed} of {in_flight}, keep={keep}: {error!r}")
        writer.close()


async def _load(port: int, load: Load, process: subprocess.Popen[str], signals: int) -> None:
    kinds = [(1, True)] * _KEPT_OPEN + [(1, False)] * _RECONNECTING + [(3, True)] * _PIPELINING
    clients = [asyncio.ensure_future(_client(port, load, in_flight=in_flight, keep=keep)) for in_flight, keep in kinds]
    while len(load.decided) < 300:
        await asyncio.sleep(0.005)
        assert process.poll() is None
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.01)
    await asyncio.wait_for(asyncio.gather(*clients), PATIENCE_S)


def _logged(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[0] for row in connection.execute("SELECT decision_id FROM decisions")}


@pytest.mark.parametrize("signals", [1, 2])
def test_sigterm_loses_no_request_and_no_record(tmp_path: Path, models_dir: Path, signals: int) -> None:
    write_project(tmp_path, models_dir)
    load = Load([], [], [])
    with _takt_serve(tmp_path) as process:
        asyncio.run(_load(_port(process), load, process, signals))
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert load.lost == []
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert set(load.decided) <= _logged(tmp_path / "var" / "takt.sqlite")
    assert len(set(load.decided)) == len(load.decided) >= 300
    assert set(load.refused) <= {503}


def test_a_lame_duck_takes_new_connections_until_it_is_told_again(tmp_path: Path, models_dir: Path) -> None:
    write_project(tmp_path, models_dir)
    ready = request(b"", method="GET", path="/readyz")
    with _takt_serve(tmp_path, TAKT__SERVER__LAME_DUCK_MS="600000") as process:
        port = _port(process)
        process.send_signal(signal.SIGTERM)
        status, deadline = 200, time.monotonic() + PATIENCE_S
        while status == 200 and time.monotonic() < deadline:
            with Wire(port) as wire:
                wire.send(ready)
                status = wire.reply("GET").status
        with Wire(port) as wire:
            wire.send(request(_BODY, "Content-Type: application/json"))
            assert (status, wire.reply().status) == (503, 200)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert not _is_open(port)


async def _change_versions(port: int, load: Load, process: subprocess.Popen[str], models_dir: Path) -> list[str]:
    """SIGHUP under load, once for each version; returns what each made of /readyz."""
    clients = [asyncio.ensure_future(_client(port, load, in_flight=1, keep=True)) for _ in range(2)]
    plans = [await asyncio.to_thread(_plan, port)]
    for version in list(store.versions(models_dir))[1:]:
        store.activate(models_dir, version)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)  # twice is as good as once
        deadline = time.monotonic() + PATIENCE_S
        while (plan := await asyncio.to_thread(_plan, port)) == plans[-1] and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        plans.append(plan)
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(asyncio.gather(*clients), PATIENCE_S)
    return plans


def _plan(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE_S) as page:
        return str(json.load(page)["plan_version"])


def test_sighup_takes_up_what_is_active_on_disk_and_loses_no_request(tmp_path: Path, models_dir: Path) -> None:
    write_project(tmp_path, None)
    folder = tmp_path / "models"
    first, *_ = [add_version(folder, models_dir, heat) for heat in (3.0, 2.0, 1.0)]
    store.activate(folder, first)
    (folder / first / "manifest.json").touch()  # the newest is the first of the versions
    load = Load([], [], [])
    with _takt_serve(tmp_path) as process:
        port = _port(process)
        plans = asyncio.run(_change_versions(port, load, process, folder))
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, load.lost) == (0, [])
    assert set(load.refused) <= {503}
    assert len(set(plans)) == 3, said
    assert said.count('"model_activated"') == 2
    assert set(load.decided) <= _logged(tmp_path / "var" / "takt.sqlite")


def test_sigterm_during_an_activation_answers_and_ends_in_good_order(tmp_path: Path, models_dir: Path) -> None:
    write_project(tmp_path, None)
    folder = tmp_path / "models"
    first, second = (add_version(folder, models_dir, heat, [(SURE_TEXT, SURE_ROUTE)] * 50_000) for heat in (1.0, 2.0))
    store.activate(folder, first)
    body, path = json.dumps({"version": second}).encode(), "/v1/admin/models/activate"
    asked = request(body, "Content-Type: application/json", path=path)
    with _takt_serve(tmp_path) as process:
        port = _port(process)
        with Wire(port) as wire, Wire(port) as other:
            wire.send(asked)
            deadline = time.monotonic() + PATIENCE_S
            status = 0
            while status != 409 and time.monotonic() < deadline:  # until the first is under way
                other.send(request(b'{"version": "x"}', "Content-Type: application/json", path=path))
                status = other.reply().status
            process.send_signal(signal.SIGTERM)
            assert "draining" in wire.reply().problem(503, "unavailable")
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert store.resolve(folder).id == first


def test_a_terminal_that_goes_away_ends_the_server(tmp_path: Path, models_dir: Path) -> None:
    write_project(tmp_path, models_dir)
    terminal, stdin = os.openpty()
    try:
        with _takt_serve(tmp_path, stdin) as process:
            _port(process)
            process.send_signal(signal.SIGHUP)
            said, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        os.close(terminal)
        os.close(stdin)
    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_a_signal_while_the_models_are_being_loaded_ends_it_in_good_order(tmp_path: Path, models_dir: Path) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    write_project(tmp_path, models_dir)
    with _takt_serve(tmp_path, TAKT__SERVER__PORT=str(port)) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not _is_open(port) and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert "Traceback" not in said


def _is_open(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("file", "written", "environment", "named"),
    [
        ("takt.toml", "[server]\nprot = 1\n", {}, ["takt.toml", "server", "prot", "allowed", "port"]),
        ("takt.toml", "[server]\nworkers = 2\n", {}, ["takt.toml", "server.workers", "<= 1"]),
        ("takt.toml", "[server\n", {}, ["takt.toml", "line 1"]),
        (None, "", {"TAKT__BUDGET__MAX_MS": "-5"}, ["TAKT__BUDGET__MAX_MS", "budget.max_ms"]),
        ("routes.toml", 'default = "x"\nunsure = "x"\n[routes]\n', {}, ["routes.toml", "default", "'x'"]),
        ("rules.toml", '[[guards]]\nname = "g"\nroute = "top_up"\nwhen = "text =="\n', {}, ["guards", "g", "CEL"]),
        ("models/manifest.json", "{}", {}, ["manifest.json"]),
        ("models/small.onnx", "x", {}, ["small.onnx", "sha256"]),
        ("var/takt.sqlite", "no database " * 100, {}, ["log.path", "takt.sqlite"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_served(
    tmp_path: Path,
    models_dir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    file: str | None,
    written: str,
    environment: dict[str, str],
    named: list[str],
) -> None:
    """In this process: to start one takes a second."""
    write_project(tmp_path, models_dir)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if file is not None:
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)  # models are links
        path.write_text(written, encoding="utf-8")
    code, out, err = takt(capsys, "serve", "-c", tmp_path / "takt.toml")
    assert code == 2, out + err
    words = " ".join((out + err).split())
    assert [name for name in named if name not in words] == [], words
