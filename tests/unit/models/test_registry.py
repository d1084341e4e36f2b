"""Loading: what is refused, and what is known after it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import numpy_helper

from models import registry
from models.errors import BadFile, ManifestError
from models.spec import read_manifest, write_manifest

if TYPE_CHECKING:
    from pathlib import Path


def test_a_loaded_rung_answers_and_knows_its_cost(trained: Path) -> None:
    loaded = registry.load(trained)
    assert loaded.manifest == read_manifest(trained)
    assert list(loaded.rungs) == ["small"]
    rung = loaded.rungs["small"]
    assert rung.classifier.predict("top up the account").label == "top_up"
    assert 0 < rung.p50_ns <= rung.p99_ns


def test_several_rungs_in_the_manifests_order(models_dir: Path) -> None:
    manifest = read_manifest(models_dir)
    (small,) = manifest.rungs
    write_manifest(models_dir, replace(manifest, rungs=(small, replace(small, name="large"))))
    assert list(registry.load(models_dir).rungs) == ["small", "large"]


def test_an_altered_file_is_refused(models_dir: Path) -> None:
    path = models_dir / "small.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadFile, match=r"small\.onnx: sha256 is .* train again with `takt train`"):
        registry.load(models_dir)


def test_what_was_verified_is_what_is_loaded(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def verify_then_swap(path: Path, sha256: str) -> bytes:
        content = verify(path, sha256)
        path.write_bytes(b"something else")
        return content

    verify = registry.verify
    monkeypatch.setattr(registry, "verify", verify_then_swap)
    assert registry.load(models_dir).rungs["small"].classifier.predict("top up the account").label == "top_up"


def test_a_missing_file_is_refused(models_dir: Path) -> None:
    (models_dir / "small.onnx").unlink()
    with pytest.raises(BadFile, match=r"small\.onnx: not found; train again"):
        registry.load(models_dir)


def test_the_float_file_is_not_needed_to_serve(models_dir: Path) -> None:
    (models_dir / "small.fp32.onnx").unlink()
    assert registry.load(models_dir).rungs


def test_a_model_that_answers_nan_is_refused(models_dir: Path) -> None:
    path = models_dir / "small.onnx"
    model = onnx.load(path)
    for weight in model.graph.initializer:
        if weight.name == "bias":
            weight.CopyFrom(numpy_helper.from_array(np.array([0, np.nan, 0, 0], np.float32), "bias"))
    onnx.save(model, path)
    manifest = read_manifest(models_dir)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    write_manifest(models_dir, replace(manifest, rungs=(replace(manifest.rungs[0], sha256=sha256),)))
    with pytest.raises(BadFile, match="fails at warm-up: small: logits are not finite"):
        registry.load(models_dir)


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="takt train"):
        registry.load(tmp_path)
