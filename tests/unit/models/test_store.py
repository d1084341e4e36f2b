"""A directory of versions: what appears in it, what is active, and what a crash leaves."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from models import store
from models.errors import ManifestError, StoreFailed, UnknownVersion
from models.spec import read_manifest
from tests.versions import add_version

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _commit(folder: Path, trained: Path) -> str:
    with store.stage(folder) as staging:
        shutil.copytree(trained, staging, dirs_exist_ok=True)
        return store.commit(folder, staging).id


def test_a_version_is_named_by_its_content(folder: Path, trained: Path) -> None:
    name = _commit(folder, trained)
    assert name == read_manifest(trained).plan_version
    assert _names(folder) == {name}
    assert store.find(folder, name).path == folder / name


def test_the_same_training_twice_is_one_version(folder: Path, trained: Path) -> None:
    name = _commit(folder, trained)
    before = (folder / name).stat().st_ino
    assert _commit(folder, trained) == name
    assert _names(folder) == {name}
    assert (folder / name).stat().st_ino == before


def test_training_a_version_again_makes_it_the_newest(folder: Path, trained: Path) -> None:
    name = _commit(folder, trained)
    os.utime(folder / name / "manifest.json", (0, 0))
    others = [add_version(folder, trained, heat) for heat in (2.0, 3.0)]
    store.activate(folder, others[0])
    assert _commit(folder, trained) == name
    assert store.prune(folder, 2) == [others[1]]


@pytest.mark.parametrize("file", ["small.onnx", "manifest.json"])
def test_training_again_mends_a_damaged_version(folder: Path, trained: Path, file: str) -> None:
    name = _commit(folder, trained)
    (folder / name / file).write_bytes(b"{}")
    assert _commit(folder, trained) == name
    assert (folder / name / file).read_bytes() == (trained / file).read_bytes()
    assert _names(folder) == {name}


def test_what_is_active_and_the_way_back(folder: Path, trained: Path) -> None:
    first, second, third = (add_version(folder, trained, heat) for heat in (1.0, 2.0, 3.0))
    for name in (first, second, second, third):
        store.activate(folder, name)
        assert store.resolve(folder).id == name
    for name in (second, first):
        former = store.former(folder)
        assert former.id == name
        store.rollback(folder, former.id)
        assert store.resolve(folder).id == name
    with pytest.raises(UnknownVersion, match="no earlier version to go back to"):
        store.former(folder)


def test_back_and_forth_does_not_grow_without_end(folder: Path, trained: Path) -> None:
    names = [add_version(folder, trained, heat) for heat in (1.0, 2.0)]
    for number in range(30):
        store.activate(folder, names[number % 2])
    assert store.read_active(folder) == store.Active(active=names[1], previous=(names[0],))


def test_the_way_back_leads_to_what_was_served_not_to_what_was_only_trained(folder: Path, trained: Path) -> None:
    served, trained_since, wanted = (add_version(folder, trained, heat) for heat in (1.0, 2.0, 3.0))
    store.activate(folder, served)
    store.activate(folder, trained_since)
    store.activate(folder, wanted, serving=served)
    assert store.former(folder).id == served


def test_who_took_over_says_what_was_served_before(folder: Path, trained: Path) -> None:
    served, trained_since, wanted = (add_version(folder, trained, heat) for heat in (1.0, 2.0, 3.0))
    for name in (served, trained_since, wanted):
        store.activate(folder, name, forced=name == wanted)
    store.take_over(folder, wanted, served)
    known = store.Active(active=wanted, previous=(served, trained_since), forced=True)
    assert store.read_active(folder) == known
    store.take_over(folder, trained_since, served)  # something else is active by now
    assert store.read_active(folder) == known
    store.rollback(folder, served)
    store.take_over(folder, served, wanted)  # a rollback has left it, and leads further back, not there again
    assert store.former(folder).id == trained_since


def test_a_version_that_is_gone_is_no_way_back(folder: Path, trained: Path) -> None:
    first, second, third = (add_version(folder, trained, heat) for heat in (1.0, 2.0, 3.0))
    for name in (first, second, third):
        store.activate(folder, name)
    shutil.rmtree(folder / second)
    assert store.former(folder).id == first
    store.rollback(folder, first)
    assert store.read_active(folder) == store.Active(active=first, forced=True)


def test_a_directory_that_is_itself_a_version(models_dir: Path, trained: Path) -> None:
    own = read_manifest(models_dir).plan_version
    assert store.resolve(models_dir) == store.find(models_dir, own) == store.Version(own, models_dir)
    other = add_version(models_dir, trained, 2.0)
    assert store.resolve(models_dir).id == own
    store.activate(models_dir, other)
    assert store.resolve(models_dir) == store.Version(other, models_dir / other)
    assert store.former(models_dir).path == models_dir


def test_a_directory_of_an_older_format_is_no_version_and_keeps_none_out(folder: Path, trained: Path) -> None:
    folder.mkdir()
    (folder / "manifest.json").write_text('{"format": 1}', encoding="utf-8")
    with pytest.raises(ManifestError, match=r"manifest\.json: "):
        store.resolve(folder)
    name = _commit(folder, trained)
    with pytest.raises(UnknownVersion, match="no version is active"):
        store.resolve(folder)
    store.activate(folder, name)
    assert store.prune(folder, 2) == []
    assert store.resolve(folder).id == name
    assert list(store.versions(folder)) == [name]
    with pytest.raises(UnknownVersion, match="no earlier version"):
        store.former(folder)


def test_a_version_that_is_removed_while_they_are_listed(
    folder: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {add_version(folder, trained, heat) for heat in (1.0, 2.0)}
    stat = Path.stat

    def stat_and_lose(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = stat(path, follow_symlinks=follow_symlinks)
        if path.name == "manifest.json":
            shutil.rmtree(path.parent)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", stat_and_lose)
        assert set(store.versions(folder)) == names
    assert store.versions(folder) == {}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        pytest.param(lambda one, _: one[:11], None, id="a beginning"),
        pytest.param(lambda one, _: one, None, id="the whole"),
        pytest.param(lambda *_: "", r"no version ''; there are ", id="nothing"),
        pytest.param(lambda *_: "x", r"no version 'x'; there are ", id="unknown"),
        pytest.param(lambda *_: "../store", r"no version '\.\./store'", id="a path"),
    ],
)
def test_versions_are_found_by_what_they_begin_with(
    folder: Path, trained: Path, asked: Callable[[str, str], str], says: str | None
) -> None:
    one, other = add_version(folder, trained, 1.0), add_version(folder, trained, 2.0)
    if says is None:
        assert store.find(folder, asked(one, other)).id == one
        return
    with pytest.raises(UnknownVersion, match=says):
        store.find(folder, asked(one, other))


def test_a_beginning_of_two_is_refused(folder: Path) -> None:
    for name in ("abc000000000", "abd000000000"):
        (folder / name).mkdir(parents=True)
        (folder / name / "manifest.json").touch()
    assert store.find(folder, "abd").id == "abd000000000"
    with pytest.raises(UnknownVersion, match=r"'ab' may be ab.000000000 or ab.000000000; add a character"):
        store.find(folder, "ab")


def test_nothing_there_and_nothing_active(folder: Path, trained: Path) -> None:
    with pytest.raises(ManifestError, match="takt train"):
        store.resolve(folder)
    with pytest.raises(UnknownVersion, match="there is none; make one with `takt train`"):
        store.find(folder, "abc")
    add_version(folder, trained, 1.0)
    with pytest.raises(UnknownVersion, match="no version is active; choose one with `takt models activate`"):
        store.resolve(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"active": 1}', b'{"active": "a", "x": 1}', b"[]", b'{"active": "\xff"}']
)
def test_an_unreadable_active_json_is_named(folder: Path, trained: Path, content: bytes) -> None:
    add_version(folder, trained, 1.0)
    (folder / store.ACTIVE_FILE).write_bytes(content)
    with pytest.raises(ManifestError, match=r"active\.json: cannot be read"):
        store.resolve(folder)


def test_a_full_disk_leaves_what_was_active(folder: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = add_version(folder, trained, 1.0), add_version(folder, trained, 2.0)
    store.activate(folder, first)
    names = _names(folder)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFailed, match=r"active\.json: cannot be written \(No space left"):
        store.activate(folder, second)
    assert store.resolve(folder).id == first
    assert _names(folder) == names


def test_a_training_that_fails_leaves_nothing(folder: Path, trained: Path) -> None:
    with pytest.raises(KeyboardInterrupt), store.stage(folder) as staging:
        (staging / "half").touch()
        raise KeyboardInterrupt
    assert not folder.exists()
    name = _commit(folder, trained)
    with pytest.raises(KeyboardInterrupt), store.stage(folder) as staging:
        raise KeyboardInterrupt
    assert _names(folder) == {name}


_KILLED = """
import os, signal, sys
from pathlib import Path
from models import store
with store.stage(Path(sys.argv[1])) as staging:
    (staging / "small.onnx").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_training_left_is_removed_by_the_next(folder: Path, trained: Path) -> None:
    name = add_version(folder, trained, 1.0)
    store.activate(folder, name)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    killed = subprocess.run([sys.executable, "-c", _KILLED, folder], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(_names(folder)) == 3
    assert store.resolve(folder).id == name
    with store.stage(folder) as theirs, store.stage(folder) as ours:
        (ours / "x").touch()
        assert _names(folder) == {name, store.ACTIVE_FILE, theirs.name, ours.name}


def test_the_oldest_are_removed_but_not_those_in_use(folder: Path, trained: Path) -> None:
    names = [add_version(folder, trained, 1.0 + age) for age in range(6)]
    for age, name in enumerate(names):
        os.utime(folder / name / "manifest.json", (age, age))
    assert store.prune(folder, 3) == []  # nothing is active: who knows which is needed
    store.activate(folder, names[1])
    store.activate(folder, names[0])
    assert store.prune(folder, 6) == []
    assert store.prune(folder, 4) == [names[3], names[2]]
    assert list(store.versions(folder)) == [names[5], names[4], names[1], names[0]]
    assert store.prune(folder, 1) == [names[5], names[4]]
    assert _names(folder) == {names[0], names[1], store.ACTIVE_FILE}


def test_what_is_not_a_version_is_left_alone(models_dir: Path, trained: Path) -> None:
    (models_dir / "notes").mkdir()
    (models_dir / "README").touch()
    for heat in (2.0, 3.0, 4.0):
        store.activate(models_dir, add_version(models_dir, trained, heat))
    before = _names(models_dir)
    assert len(store.versions(models_dir)) == 4
    store.prune(models_dir, 3)
    assert _names(models_dir) == before
