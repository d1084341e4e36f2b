"""The manifest: round trip, version, errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from models.errors import BadFile, ManifestError
from models.spec import MANIFEST_FILE, ColumnSpec, PieceSpec, read_manifest, verify, write_manifest

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
    stranger = replace(manifest, rungs=(replace(rung, familiarity=0.5),))
    shorter = replace(manifest, rungs=(replace(rung, pieces=PieceSpec(file="t", sha256="0", max_pieces=8)),))
    wider = replace(manifest, rungs=(replace(rung, columns=(ColumnSpec(name="hour", mean=12),)),))
    shares = replace(manifest, rungs=(replace(rung, output="probabilities"),))
    assert same.plan_version == manifest.plan_version
    plans = (manifest, hotter, other, renamed, stranger, shorter, wider, shares)
    assert len({plan.plan_version for plan in plans}) == len(plans)


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


def _other_output(content: dict[str, Any]) -> None:
    content["rungs"][0]["output"] = "votes"


def _flat(content: dict[str, Any]) -> None:
    content["rungs"][0]["columns"] = [{"name": "hour", "spread": 0}]


def _no_room(content: dict[str, Any]) -> None:
    content["rungs"][0]["pieces"] = {"file": "tokenizer.json", "sha256": "0", "max_pieces": 2}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_seed, "`seed`"),
        (_hot, r"\$\.rungs\[0\]\.temperature"),
        (_newer, "key format: this version reads 2, not 99"),
        (_extra, "`speed`"),
        (_empty, "at least one"),
        (_other_output, r"\$\.rungs\[0\]\.output"),
        (_flat, r"\$\.rungs\[0\]\.columns\[0\]\.spread"),
        (_no_room, r"\$\.rungs\[0\]\.pieces\.max_pieces"),
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


@pytest.mark.parametrize("content", [b"\x00", b'{"created_at": "\xff"}'])
def test_no_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(ManifestError, match=r"manifest.json: "):
        read_manifest(tmp_path)


def test_a_file_of_another_kind_than_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"cannot be read \(Is a directory\)"):
        verify(tmp_path, "0" * 64)


@pytest.mark.parametrize(("words", "width"), [(None, 1), ((), 1), (("chat", "mail"), 3)])
def test_a_column_is_as_wide_as_its_kind_needs(words: tuple[str, ...] | None, width: int) -> None:
    assert ColumnSpec(name="channel", words=words).width == width
