"""A directory of versions of models: which there are, which one is active, and the way back.

```
DIR/<version>/     manifest.json, *.onnx, ...   never changed once it has its name
DIR/active.json    {"active": "<version>", "previous": ["<version>", ...], "forced": false}, the latest first
DIR/.training-*    being written, or being removed; its writer holds a lock on it
```
A directory that holds manifest.json itself is a version too, and the active one while there is no active.json.
A version's name is its manifest's `plan_version`. Everything appears by a rename, after it has reached the disk: a
crash leaves what was active before. Who changes a directory locks it, so commands and servers may share one.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from models import errors, registry
from models.spec import MANIFEST_FILE, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

ACTIVE_FILE = "active.json"
_STAGING = ".training-"
_NAME = re.compile(r"[0-9a-f]{12}")
_MOST_PREVIOUS = 10


class Version(Struct, frozen=True):
    """A version and where its files are."""

    id: str
    path: Path


class Active(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What active.json says. `previous` are the versions to go back to, one after the other.

    `forced`: somebody wants it even if it is right less often than what serves.
    """

    active: str
    previous: tuple[str, ...] = ()
    forced: bool = False


def versions(models_dir: Path) -> dict[str, Version]:
    """All versions by name, the newest first. A directory that is a version this Takt cannot read is none."""
    found: list[tuple[int, Version]] = []
    for folder in models_dir.iterdir() if models_dir.is_dir() else ():
        if _NAME.fullmatch(folder.name):
            with suppress(FileNotFoundError, NotADirectoryError):  # no version, or it was removed just now
                found.append((_made_ns(folder), Version(folder.name, folder)))
    with suppress(FileNotFoundError, errors.ManifestError):
        found.append((_made_ns(models_dir), Version(read_manifest(models_dir).plan_version, models_dir)))
    found.sort(key=itemgetter(0), reverse=True)
    return {version.id: version for _, version in found}


def resolve(models_dir: Path) -> Version:
    """The active version. Raises: ManifestError, UnknownVersion: there is none, and what to do about it."""
    active = read_active(models_dir)
    if active is not None:
        return find(models_dir, active.active)
    try:
        return Version(read_manifest(models_dir).plan_version, models_dir)
    except errors.ManifestError:
        if not versions(models_dir):
            raise
    raise errors.UnknownVersion(f"{models_dir}: no version is active; choose one with `takt models activate`")


def find(models_dir: Path, asked: str) -> Version:
    """The version of that name, or the only one whose name begins like that. Raises: UnknownVersion."""
    known = versions(models_dir)
    found = [asked] if asked in known else [name for name in known if asked and name.startswith(asked)]
    if len(found) == 1:
        return known[found[0]]
    if found:
        raise errors.UnknownVersion(f"{models_dir}: {asked!r} may be {' or '.join(found)}; add a character")
    there = f"there are {', '.join(known)}" if known else "there is none; make one with `takt train`"
    raise errors.UnknownVersion(f"{models_dir}: no version {asked!r}; {there}")


def read_active(models_dir: Path) -> Active | None:
    """What active.json says; None where there is none. Raises: ManifestError: it cannot be read."""
    path = models_dir / ACTIVE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Active)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.ManifestError(path, f"cannot be read ({error}); remove it and activate a version") from error


def activate(models_dir: Path, version: str, serving: str | None = None, *, forced: bool = False) -> Active:
    """Make `version` active on disk; what was `serving` (by default the active one) is where a rollback leads.

    Args: forced: a server shall take it up even if it is right less often.
    Raises: StoreFailed: the disk said no; what was active is active still.
    """
    with _locked(models_dir):
        before = _before(models_dir)
        former = serving or (before.active if before else None)
        earlier = () if before is None else before.previous
        if former is not None and former != version:
            earlier = (former, *earlier)
        kept = dict.fromkeys(each for each in earlier if each != version)
        return _write(models_dir, Active(active=version, previous=tuple(kept)[:_MOST_PREVIOUS], forced=forced))


def take_over(models_dir: Path, version: str, serving: str | None) -> None:
    """Let a rollback from `version` lead to what was `serving`, not to what was active in between and never served.

    Leaves alone what was made active since, and a way back from which `serving` was taken by a rollback.
    Raises: StoreFailed.
    """
    with _locked(models_dir):
        active = read_active(models_dir)
        if serving and active and active.active == version and serving in active.previous[1:]:
            previous = tuple(dict.fromkeys((serving, *active.previous)))
            _write(models_dir, msgspec.structs.replace(active, previous=previous))


def rollback(models_dir: Path, version: str) -> Active:
    """Make active on disk again what `former` found; the next `former` is one further back. Raises: StoreFailed."""
    with _locked(models_dir):
        before = read_active(models_dir)
        earlier = () if before is None or version not in before.previous else before.previous
        rest = earlier[earlier.index(version) + 1 :] if earlier else ()
        return _write(models_dir, Active(active=version, previous=rest, forced=True))


def former(models_dir: Path) -> Version:
    """What a rollback leads to: the latest of the earlier versions that is still there. Raises: UnknownVersion."""
    known, active = versions(models_dir), read_active(models_dir)
    for name in () if active is None else active.previous:
        if name in known:
            return known[name]
    raise errors.UnknownVersion(f"{models_dir}: there is no earlier version to go back to")


@contextmanager
def stage(models_dir: Path) -> Iterator[Path]:
    """A folder to write a version into; gone at the end, unless `commit` has made it one. Removes left-over ones."""
    models_dir.mkdir(parents=True, exist_ok=True)
    with _locked(models_dir):
        for folder in models_dir.glob(f"{_STAGING}*"):
            if _is_left_over(folder):
                shutil.rmtree(folder, ignore_errors=True)
        staging = _unused(models_dir)
        staging.mkdir()
        held = os.open(staging, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield staging
    finally:
        os.close(held)
        shutil.rmtree(staging, ignore_errors=True)
        with suppress(OSError):  # there are versions in it
            models_dir.rmdir()


def commit(models_dir: Path, staging: Path) -> Version:
    """Give what is in `staging` its name. The same training twice is one version; a damaged one is replaced.

    Raises: ManifestError; OSError: the disk said no.
    """
    name = read_manifest(staging).plan_version
    target = Version(name, models_dir / name)
    for path in (*staging.iterdir(), staging):
        _sync(path)
    with _locked(models_dir):
        if target.path.exists():
            if _is_whole(target):
                os.utime(target.path / MANIFEST_FILE)  # or the next `prune` would take it for an old one
                return target
            _remove(models_dir, target)
        staging.rename(target.path)
        _sync(models_dir)
    return target


def prune(models_dir: Path, keep: int) -> list[str]:
    """Remove the oldest versions above `keep`, but not the active one nor the one a rollback leads to."""
    with _locked(models_dir):
        active = read_active(models_dir)
        if active is None:
            return []
        known = [version for version in versions(models_dir).values() if version.path != models_dir]
        needed = {active.active, *active.previous[:1]}
        free = [version for version in known if version.id not in needed]
        surplus = free[max(0, keep - (len(known) - len(free))) :]
        for version in surplus:
            _remove(models_dir, version)
        return [version.id for version in surplus]


def _before(models_dir: Path) -> Active | None:
    """What is active now; a directory that is a version itself is active without saying so."""
    active = read_active(models_dir)
    if active is None:
        with suppress(errors.ManifestError):  # there is none, or it is of another format
            return Active(active=read_manifest(models_dir).plan_version)
    return active


def _made_ns(version_dir: Path) -> int:
    """When it was made. Raises: FileNotFoundError: it is no version."""
    return (version_dir / MANIFEST_FILE).stat().st_mtime_ns


def _is_whole(version: Version) -> bool:
    """Whether the version's files are those of its manifest, and its manifest is its own."""
    try:
        registry.check(version.path)
        return read_manifest(version.path).plan_version == version.id
    except errors.ModelError:
        return False


def _remove(models_dir: Path, version: Version) -> None:
    """Take its name from it first: half a version must not look like one."""
    doomed = _unused(models_dir)
    version.path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _unused(models_dir: Path) -> Path:
    return models_dir / f"{_STAGING}{secrets.token_hex(4)}"


def _is_left_over(staging: Path) -> bool:
    """Whether nobody holds it: its writer has died."""
    try:
        held = os.open(staging, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(held)
    return True


@contextmanager
def _locked(models_dir: Path) -> Iterator[None]:
    """Only one process or thread at a time. Raises: StoreFailed: there is no such directory."""
    try:
        held = os.open(models_dir, os.O_RDONLY)
    except OSError as error:
        raise errors.StoreFailed(models_dir, error) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _write(models_dir: Path, active: Active) -> Active:
    path = models_dir / ACTIVE_FILE
    partial = path.with_suffix(".partial")
    try:
        partial.write_bytes(msgspec.json.encode(active) + b"\n")
        _sync(partial)
        partial.replace(path)
        _sync(models_dir)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise errors.StoreFailed(path, error) from error
    return active


def _sync(path: Path) -> None:
    """Wait until the disk has it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
