"""Loading: what is refused, and what is known after it."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec.structs import replace

from models import registry
from models.classifier import Classifier
from models.errors import BadFile, BadOutput, ManifestError
from models.inputs import Question
from models.spec import RungManifest, read_manifest, verify, write_manifest
from tests.versions import add_bias

if TYPE_CHECKING:
    from pathlib import Path


def test_a_loaded_rung_answers_and_knows_its_cost(trained: Path) -> None:
    loaded = registry.load(trained)
    assert loaded.manifest == read_manifest(trained)
    assert list(loaded.rungs) == ["small"]
    rung = loaded.rungs["small"]
    assert rung.classifier.predict("top up the account").label == "top_up"
    assert 0 < rung.p50_ns <= rung.p99_ns


def test_a_loaded_rung_knows_what_calls_of_several_texts_cost(trained: Path) -> None:
    profile = registry.load(trained).rungs["small"].profile
    assert [texts for texts, _ in itertools.groupby(sample.texts for sample in profile)] == [1, 2, 4, 8]
    for texts in (1, 2, 4, 8):
        samples = [sample for sample in profile if sample.texts == texts]
        assert 2 <= len(samples) <= 7
        assert len({sample.longest for sample in samples}) > 1, "texts of several lengths"
        assert all(sample.cost_ns > 0 for sample in samples)


class Toiling:
    """A classifier whose calls cost so much a text, on a clock of its own."""

    def __init__(self, spec: RungManifest, text_ns: int, answer: object) -> None:
        self.spec, self.now_ns, self.text_ns, self.answer = spec, 0, text_ns, answer

    def clock(self) -> int:
        return self.now_ns

    def predict_many(self, questions: list[Question]) -> list[object]:
        self.now_ns += len(questions) * self.text_ns
        return [self.answer] * len(questions)


@pytest.mark.parametrize(
    ("text_ms", "sizes"), [(1, [1, 2, 4, 8]), (10, [1, 2, 4, 8]), (11, [1, 2, 4]), (30, [1, 2]), (41, [1])]
)
def test_a_rung_is_not_profiled_with_calls_that_take_all_day(
    trained: Path, monkeypatch: pytest.MonkeyPatch, text_ms: int, sizes: list[int]
) -> None:
    toiling = Toiling(read_manifest(trained).rungs[0], text_ms * 1_000_000, None)
    monkeypatch.setattr(registry, "perf_counter_ns", toiling.clock)
    profile = list(registry._profile(cast("Classifier", toiling), trained))
    assert [texts for texts, _ in itertools.groupby(sample.texts for sample in profile)] == sizes
    assert {sample.cost_ns for sample in profile} == {texts * text_ms * 1_000_000 for texts in sizes}


def test_a_rung_that_answers_several_with_nonsense_is_refused(trained: Path) -> None:
    toiling = Toiling(read_manifest(trained).rungs[0], 1, BadOutput("logits are not finite"))
    with pytest.raises(BadFile, match=r"small\.onnx: fails at warm-up: logits are not finite"):
        list(registry._profile(cast("Classifier", toiling), trained))


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
    add_bias(path, (0, float("nan"), 0, 0))
    manifest = read_manifest(models_dir)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    write_manifest(models_dir, replace(manifest, rungs=(replace(manifest.rungs[0], sha256=sha256),)))
    with pytest.raises(BadFile, match="fails at warm-up: small: logits are not finite"):
        registry.load(models_dir)


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="takt train"):
        registry.load(tmp_path)


def test_both_rungs_load_and_answer(trained_large: Path) -> None:
    rungs = registry.load(trained_large).rungs
    assert list(rungs) == ["small", "large"]
    for rung in rungs.values():
        assert rung.classifier.predict("top up the account").label == "top_up"


def test_every_file_that_a_rung_names_is_checked(trained_large: Path, tmp_path: Path) -> None:
    assert registry.check(trained_large) == read_manifest(trained_large)
    names = [file for rung in read_manifest(trained_large).rungs for file, _ in registry.files_of(rung)]
    assert names == ["small.onnx", "small.fp32.onnx", "large.onnx", "large.fp32.onnx", "tokenizer.json"]
    for name in names:
        copy = tmp_path / name.replace(".", "_")
        shutil.copytree(trained_large, copy)
        (copy / name).write_bytes((copy / name).read_bytes() + b" ")
        with pytest.raises(BadFile, match=rf"{name}: sha256 is"):
            registry.check(copy)


def test_a_rung_without_its_tokenizer_is_refused(trained_large: Path, tmp_path: Path) -> None:
    copy = tmp_path / "models"
    shutil.copytree(trained_large, copy)
    (copy / "tokenizer.json").unlink()
    with pytest.raises(BadFile, match=r"tokenizer\.json: not found; train again"):
        registry.load(copy)


def test_files_that_are_named(trained: Path) -> None:
    (small,) = read_manifest(trained).rungs
    assert [file for file, _ in registry.files_of(replace(small, fp32_file=None))] == ["small.onnx"]


def test_rungs_run_on_the_providers_asked_for(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def build(labels: tuple[str, ...], spec: RungManifest, folder: Path, graph: bytes, providers: Any) -> Classifier:
        asked.append(providers)
        return Classifier(labels, spec, folder, graph)

    monkeypatch.setattr(registry, "Classifier", build)
    registry.load(trained, ("FirstProvider", "CPUExecutionProvider"))
    assert asked == [("FirstProvider", "CPUExecutionProvider")]
