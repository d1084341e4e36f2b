"""`takt models list|activate|rollback`, and what `takt train` leaves."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from models import store
from router.http.errors import Problem
from tests.cli_runs import takt
from tests.http_project import SURE_ROUTE, SURE_TEXT, train_models, write_project
from tests.versions import add_version

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = [(SURE_TEXT, SURE_ROUTE), ("i want to add funds", "top_up")] * 10
ALWAYS_OOS = (0, 99, 0, 0)  # labels are sorted: card_lost, oos, top_up, transfer


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("trained") / "models"
    train_models(out_dir)
    return out_dir


@pytest.fixture
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a project in the current directory, without any models."""
    write_project(tmp_path, None, {})
    monkeypatch.chdir(tmp_path)
    return tmp_path / "models"


@contextmanager
def _answering(reply: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that says `reply` to whoever comes first: its address, and what it was asked."""
    asked: list[bytes] = []

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(65_536))
            with suppress(OSError):  # who came has left
                connection.sendall(reply)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):  # closing on what is unread would reset the connection
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        if not asked:  # nobody came; let it end
            socket.create_connection(listener.getsockname()).close()
        thread.join()


def _http(status: str, body: bytes, *, promised: int | None = None) -> bytes:
    length = len(body) if promised is None else promised
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode() + body


def _serves(capsys: pytest.CaptureFixture[str]) -> int:
    return takt(capsys, "route", SURE_TEXT).code


def test_versions_are_listed_the_newest_first(
    models_dir: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert takt(capsys, "models", "list").err == "takt models: models: no models yet; train them with `takt train`\n"
    first, second = add_version(models_dir, trained, 1.0), add_version(models_dir, trained, 2.0)
    (models_dir / first / "manifest.json").write_text("{}", encoding="utf-8")
    store.activate(models_dir, second)
    done = takt(capsys, "models", "list")
    assert (done.code, done.err) == (0, "")
    lines = {line.split()[0]: line for line in done.out.splitlines()}
    assert lines[second].split()[1] == "active"
    assert "small 9" in lines[second] or "small 100" in lines[second]
    assert "manifest.json" in lines[first]
    page = json.loads(takt(capsys, "models", "list", "--json").out)
    assert (page["active"], page["on_disk"], page["previous"]) == (second, second, None)
    assert {each["version"]: each["is_active"] for each in page["versions"]} == {second: True, first: False}


def test_activate_and_go_back(models_dir: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (add_version(models_dir, trained, heat, ROWS) for heat in (1.0, 2.0))
    done = takt(capsys, "models", "activate", first[:8])
    assert (done.code, done.err) == (0, "")
    assert f"{first} is active; before: none" in done.out
    assert "Canary: nothing to compare with" in done.out
    assert _serves(capsys) == 0
    done = takt(capsys, "models", "activate", second)
    assert f"{second} is active; before: {first}" in done.out
    assert "On 20 canary texts." in done.out
    assert "SIGHUP" in done.out
    back = json.loads(takt(capsys, "models", "rollback", "--json").out)
    assert (back["active"], back["previous"], back["canary"]["texts"]) == (first, second, 20)
    assert store.resolve(models_dir).id == first
    done = takt(capsys, "models", "rollback")
    assert (done.code, done.out) == (2, "")
    assert "no earlier version to go back to" in done.err


def test_a_bad_version_is_refused_and_the_old_one_stays(
    models_dir: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = add_version(models_dir, trained, 1.0, ROWS)
    store.activate(models_dir, good)
    altered = add_version(models_dir, trained, 2.0, ROWS)
    (models_dir / altered / "small.onnx").unlink()
    (models_dir / altered / "small.onnx").write_bytes(b"other")
    worse = add_version(models_dir, trained, 1.0, ROWS, bias=ALWAYS_OOS)
    for version, says in ((altered, "sha256 is"), (worse, "right on 0.0% of 20 canary texts")):
        done = takt(capsys, "models", "activate", version)
        assert (done.code, done.out) == (1, "")
        assert f"takt models: {version} is not activated: " in done.err
        assert says in done.err
        assert store.resolve(models_dir).id == good
    assert takt(capsys, "models", "activate", worse, "--force").code == 0
    assert takt(capsys, "models", "rollback").code == 0
    assert takt(capsys, "models", "activate", "nothing").code == 2


def test_a_damaged_active_version_does_not_keep_others_out(
    models_dir: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, good = (add_version(models_dir, trained, heat, ROWS) for heat in (1.0, 2.0))
    store.activate(models_dir, broken)
    (models_dir / broken / "small.onnx").unlink()
    done = takt(capsys, "models", "activate", good)
    assert done.code == 0
    assert "the active version cannot be compared with: " in done.err
    assert _serves(capsys) == 0


def test_a_manifest_that_was_altered_is_refused(
    models_dir: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = add_version(models_dir, trained, 1.0)
    store.activate(models_dir, version)
    path = models_dir / version / "manifest.json"
    text = path.read_text(encoding="utf-8")
    assert '"threshold":' in text
    path.write_text(text.replace('"temperature": 1.0', '"temperature": 9.0'), encoding="utf-8")
    done = takt(capsys, "route", SURE_TEXT)
    assert (done.code, done.out) == (2, "")
    assert f"not {version}: altered" in done.err


def test_training_can_leave_the_active_version_alone(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{word} {number},{word}\n" for word in ("top_up", "transfer") for number in range(8))
    Path("own.csv").write_text(f"text,route\n{rows}", encoding="utf-8")
    train = ("train", "-c", "takt.toml", "--utterances", "own.csv")
    assert takt(capsys, *train, "--no-activate").code == 0
    (first,) = store.versions(models_dir)
    assert store.read_active(models_dir) is None
    assert "no version is active; choose one with `takt models activate`" in takt(capsys, "route", "hello").err
    done = takt(capsys, *train, "--no-activate", "--seed", "1")
    second = next(iter(store.versions(models_dir)))
    assert done.out.endswith(f"Next: takt models activate {second}\n")
    assert takt(capsys, "models", "activate", first).code == 0
    assert takt(capsys, *train, "--seed", "2").code == 0
    assert store.former(models_dir).id == first


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("list", "--url", "file:///etc/passwd"), "an http:// or https:// address is needed"),
        (("list", "--url", "http://127.0.0.1:1"), "does the server run?"),
        (("list", "--url", "http://["), "--url http://[: Invalid IPv6 URL"),
        (("list", "--url", "http://h:abc"), "--url http://h:abc: nonnumeric port: 'abc'"),
        (("list", "--url", "http://a b"), "--url http://a b: URL can't contain control characters"),
        (("list", "--url", "http://127.0.0.1:1", "--token", "s3\ncret"), "--token, or server.admin_token: printable"),
        (("activate",), "VERSION"),
        ((), "ACTION"),
    ],
)
@pytest.mark.usefixtures("models_dir")
def test_usage(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], says: str) -> None:
    done = takt(capsys, "models", *argv)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert "cret" not in done.err


@pytest.mark.parametrize(
    ("reply", "code", "says"),
    [
        (b"220 ready\r\n", 2, r"not an answer of Takt's: BadStatusLine('220 ready\r\n')"),
        (_http("200 OK", b'{"act', promised=100), 2, "not an answer of Takt's: IncompleteRead"),
        (_http("500 Oh", b'{"tit', promised=100), 2, "not an answer of Takt's: IncompleteRead"),
        (_http("200 OK", b"<html>"), 2, "200 and not an answer of Takt's: "),
        (_http("200 OK", b'"\xff"'), 2, "200 and not an answer of Takt's: "),
        (_http("502 Bad Gateway", b"<html>"), 2, "502 and not an answer of Takt's: "),
        (b"", 2, "does the server run?"),
        (
            _http("404 -", msgspec.json.encode(Problem(title="-", status=404, code="unknown-version", detail="none"))),
            2,
            "takt models: none (unknown-version)",
        ),
        (
            _http("422 -", msgspec.json.encode(Problem(title="-", status=422, code="model-too-slow", detail="5 ms"))),
            1,
            "takt models: 5 ms (model-too-slow)",
        ),
    ],
)
@pytest.mark.usefixtures("models_dir")
def test_what_a_server_answers_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], reply: bytes, code: int, says: str
) -> None:
    with _answering(reply) as (url, asked):
        done = takt(capsys, "models", "activate", "3f2a", "--url", url)
    assert asked[0].startswith(b"POST /v1/admin/models/activate HTTP/1.1\r\n")
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert done.err.count("\n") == 1


@pytest.mark.usefixtures("models_dir")
def test_a_proxy_never_sees_the_token(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    with _answering(_http("502 Bad Gateway", b"")) as (proxy, asked):
        monkeypatch.setenv("http_proxy", proxy)
        done = takt(capsys, "models", "list", "--url", "http://127.0.0.1:1", "--token", "s3cret")
        assert asked == []
    assert done.code == 2
    assert "does the server run?" in done.err


@pytest.mark.usefixtures("models_dir")
def test_no_other_server_is_told_the_token(capsys: pytest.CaptureFixture[str]) -> None:
    with _answering(_http("200 OK", b"{}")) as (elsewhere, told):
        moved = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        with _answering(moved.encode()) as (url, _):
            done = takt(capsys, "models", "list", "--url", url, "--token", "s3cret")
        assert told == []
    assert done.code == 2
    assert "302 and not an answer of Takt's" in done.err


def test_activating_what_is_active_changes_nothing(
    models_dir: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, active = (add_version(models_dir, trained, heat, ROWS) for heat in (1.0, 2.0))
    for version in (before, active):
        store.activate(models_dir, version)
    done = takt(capsys, "models", "activate", active)
    assert (done.code, done.err) == (0, "")
    assert "Nothing has changed: it was active already." in done.out
    assert json.loads(takt(capsys, "models", "activate", active, "--json").out)["canary"] is None
    assert store.former(models_dir).id == before
    (models_dir / active / "small.onnx").unlink()
    done = takt(capsys, "models", "activate", active)
    assert (done.code, done.out) == (1, "")  # what cannot serve is not called active


def test_old_versions_are_removed_after_a_training(
    models_dir: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("takt.toml").write_text("[models]\nkeep_versions = 3\n", encoding="utf-8")
    names = [add_version(models_dir, trained, 1.0 + heat) for heat in range(4)]
    store.activate(models_dir, names[0])
    Path("own.csv").write_text("text,route\n" + "a,top_up\nb,transfer\n" * 4, encoding="utf-8")
    assert takt(capsys, "train", "-c", "takt.toml", "--utterances", "own.csv").code == 0
    left = set(store.versions(models_dir))
    assert len(left) == 3
    assert {store.resolve(models_dir).id, names[0]} < left
