"""The manifest: round trip, version, errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from models.errors import ManifestError
from models.spec import MANIFEST_FILE, read_manifest, write_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_round_trip(trained: Path, tmp_path: Path) -> None:
    manifest = read_manifest(trained)
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST_FILE]


def test_the_version_tells_plans_apart_by_what_decides_answers(trained: Path) -> None:
    manifest = read_manifest(trained)
    rung = manifest.rungs[0]
    same = replace(manifest, created_at="1999", rungs=(replace(rung, p50_us=1e6),))
    hotter = replace(manifest, rungs=(replace(rung, temperature=rung.temperature + 1),))
    other = replace(manifest, rungs=(replace(rung, sha256="0" * 64),))
    renamed = replace(manifest, labels=("x", *manifest.labels[1:]))
    assert same.plan_version == manifest.plan_version
    assert len({plan.plan_version for plan in (manifest, hotter, other, renamed)}) == 4


def _without_seed(content: dict[str, Any]) -> None:
    del content["seed"]


def _hot(content: dict[str, Any]) -> None:
    content["rungs"][0]["temperature"] = 0


def _newer(content: dict[str, Any]) -> None:
    content["format"] = 99


def _extra(content: dict[str, Any]) -> None:
    content["speed"] = "fast"


def _empty(content: dict[str, Any]) -> None:
    content["rungs"] = []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_seed, "`seed`"),
        (_hot, r"\$\.rungs\[0\]\.temperature"),
        (_newer, "key format: this version reads 1, not 99"),
        (_extra, "`speed`"),
        (_empty, "at least one"),
    ],
)
def test_errors_name_file_and_key(models_dir: Path, damage: Callable[[dict[str, Any]], None], message: str) -> None:
    path = models_dir / MANIFEST_FILE
    content = json.loads(path.read_bytes())
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(models_dir)
    assert str(path) in str(caught.value)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest.json: not found; make one with `takt train"):
        read_manifest(tmp_path)


def test_no_json(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_FILE).write_bytes(b"\x00")
    with pytest.raises(ManifestError, match=r"manifest.json: "):
        read_manifest(tmp_path)
