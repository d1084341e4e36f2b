"""Scores, by hand where they can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from msgspec.structs import replace

from models import evaluate
from models.errors import BadFile, DataError
from models.spec import Manifest, read_manifest, write_manifest
from tests.graphs import bare_rung, text_graph

if TYPE_CHECKING:
    from pathlib import Path

_LABELS = ("a", "b", "oos")


def _logits(*rows: tuple[float, float, float]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.log(np.array(rows, np.float32))


def test_score_by_hand() -> None:
    logits = _logits((0.8, 0.1, 0.1), (0.6, 0.3, 0.1), (0.2, 0.2, 0.6), (0.1, 0.25, 0.65), (0.7, 0.2, 0.1))
    truth = np.array([0, 1, 0, 2, 2])
    score = evaluate.score(logits, truth, _LABELS, 1)
    assert score.accuracy == pytest.approx(1 / 3)  # the third is in scope and answered out of scope
    assert score.auroc_oos == pytest.approx((2 + 1 + 0) / 6)  # .8 .6 .2 against .25 .7
    assert score.coverage90_accuracy == pytest.approx(1 / 3)


def test_coverage_leaves_out_the_least_sure() -> None:
    logits = _logits(*[(0.9, 0.05, 0.05)] * 9, (0.5, 0.4, 0.1))
    score = evaluate.score(logits, np.array([0] * 9 + [1]), _LABELS, 1)
    assert score.accuracy == pytest.approx(0.9)
    assert score.coverage90_accuracy == 1
    assert score.auroc_oos is None


def test_rows_out_of_scope_need_no_label_of_their_own() -> None:
    truth = evaluate.truth_of(["b", "oos", "a"], ("a", "b"))
    assert truth.tolist() == [1, -1, 0]
    logits = np.log(np.array([(0.1, 0.9), (0.5, 0.5), (0.8, 0.2)], np.float32))
    score = evaluate.score(logits, truth, ("a", "b"), 1)
    assert score.accuracy == 1
    assert score.auroc_oos == 1


def test_an_unknown_route_is_named() -> None:
    with pytest.raises(DataError, match="row 2: route 'c' is none of the 2 the models know"):
        evaluate.truth_of(["a", "c"], ("a", "b"))


def test_nothing_in_scope() -> None:
    with pytest.raises(DataError, match="no row is in scope"):
        evaluate.score(_logits((0.8, 0.1, 0.1)), np.array([2]), _LABELS, 1)


def test_auroc_against_all_pairs() -> None:
    rng = np.random.default_rng(1)
    above, below = (rng.integers(0, 20, 50).astype(np.float32) for _ in range(2))
    pairs = above[:, None] - below[None, :]
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert evaluate.auroc(above, below) == pytest.approx(expected)


def test_a_directory_is_scored(trained: Path, examples: list[tuple[str, str]]) -> None:
    report = evaluate.evaluate(trained, examples)
    assert report.n == len(examples)
    small = report.rungs["small"]
    assert small.accuracy == 1
    assert small.accuracy_fp32 == 1
    assert small.auroc_oos is not None
    assert small.auroc_oos > 0.9
    assert small.bytes == (trained / "small.onnx").stat().st_size
    assert 0 < small.p50_us <= small.p99_us


def test_swapped_labels_score_badly(trained: Path, examples: list[tuple[str, str]]) -> None:
    other = {"card_lost": "transfer", "transfer": "top_up", "top_up": "card_lost", "oos": "oos"}
    report = evaluate.evaluate(trained, [(text, other[route]) for text, route in examples])
    assert report.rungs["small"].accuracy == 0


def test_the_float_file_is_checked(models_dir: Path, examples: list[tuple[str, str]]) -> None:
    (models_dir / "small.fp32.onnx").write_bytes(b"")
    with pytest.raises(BadFile, match=r"small\.fp32\.onnx: sha256"):
        evaluate.evaluate(models_dir, examples)


def test_what_is_out_of_scope_is_told_by_familiarity_where_it_is_known() -> None:
    logits = _logits((0.8, 0.1, 0.1), (0.1, 0.6, 0.3), (0.9, 0.05, 0.05))
    truth = np.array([0, 1, 2])
    by_share = evaluate.score(logits, truth, _LABELS, 1)
    by_cosine = evaluate.score(logits, truth, _LABELS, 1, np.array([0.9, 0.8, 0.1], np.float32))
    assert (by_share.auroc_oos, by_cosine.auroc_oos) == (0, 1)
    assert by_share.accuracy == by_cosine.accuracy == 1


def test_every_rung_is_scored(trained_large: Path, examples: list[tuple[str, str]]) -> None:
    report = evaluate.evaluate(trained_large, examples)
    assert list(report.rungs) == ["small", "large"]
    for rung in report.rungs.values():
        assert rung.accuracy > 0.9
        assert rung.accuracy_fp32 is not None
        assert rung.auroc_oos is not None


def test_a_rung_made_elsewhere_has_labels_of_its_own_and_no_float32(
    models_dir: Path, examples: list[tuple[str, str]]
) -> None:
    manifest = read_manifest(models_dir)
    labels = ("top_up", "transfer", "card_lost")
    graph = text_graph(np.eye(3, dtype=np.float32), ["add funds now!", "make a transfer?"])
    (models_dir / "other.onnx").write_bytes(graph)
    write_manifest(models_dir, replace(manifest, rungs=(*manifest.rungs, bare_rung(graph=graph, labels=labels))))
    rows = [("add funds now!", "top_up"), ("make a transfer?", "transfer"), ("hi", "transfer"), ("lost", "card_lost")]
    report = evaluate.evaluate(models_dir, rows)
    assert report.rungs["other"].accuracy == 0.75
    assert report.rungs["other"].accuracy_fp32 is None
    assert report.rungs["small"].accuracy_fp32 is not None


def test_a_rung_is_wrong_where_it_lacks_the_route(tmp_path: Path) -> None:
    graph = text_graph(np.array([[2.0, 0.0], [0.0, 2.0]], np.float32), ["one"])
    (tmp_path / "small.onnx").write_bytes(graph)
    rung = bare_rung("small", graph, labels=("a", "b"))
    manifest = Manifest(labels=("a", "b", "c"), rungs=(rung,), seed=0, created_at="", rows=3, data_sha256="")
    write_manifest(tmp_path, manifest)
    report = evaluate.evaluate(tmp_path, [("one", "a"), ("two", "c"), ("two", "b"), ("three", "oos")])
    assert report.rungs["small"].accuracy == pytest.approx(2 / 3)
