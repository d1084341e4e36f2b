"""Training as a whole: what comes out, what is refused, and that it can be repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models import quantize, registry, train
from models.errors import DataError, QualityRefused
from models.spec import read_manifest
from models.table import Table

if TYPE_CHECKING:
    from pathlib import Path


def _hashes(out_dir: Path) -> list[str]:
    return [rung.sha256 for rung in read_manifest(out_dir).rungs]


def test_the_same_seed_gives_the_same_files(trained: Path, examples: list[tuple[str, str]], tmp_path: Path) -> None:
    again = train.train(examples, tmp_path / "again", seed=1)
    other = train.train(examples, tmp_path / "other", seed=2, validation=examples)
    first = read_manifest(trained)
    assert _hashes(tmp_path / "again") == _hashes(trained)
    assert again.plan_version == first.plan_version
    assert other.rungs[0].sha256 != first.rungs[0].sha256


def test_what_the_manifest_says(trained: Path, examples: list[tuple[str, str]]) -> None:
    manifest = read_manifest(trained)
    rung = manifest.rungs[0]
    assert manifest.labels == ("card_lost", "oos", "top_up", "transfer")
    assert (manifest.seed, manifest.rows) == (1, len(examples))
    assert rung.accuracy > 0.9
    assert rung.auroc_oos is not None
    assert 0 <= rung.threshold < 1
    assert rung.bytes < 10_000_000


def test_five_examples_of_two_routes_are_enough(tmp_path: Path) -> None:
    lost = [(f"{text} card", "lost") for text in ("lost my", "missing", "stolen", "can't find the", "where is my")]
    sent = [(f"{text} money", "send") for text in ("transfer", "send", "wire the", "pay some", "move my")]
    manifest = train.train(lost + sent, tmp_path, seed=0)
    small = registry.load(tmp_path).rungs["small"].classifier
    assert small.predict("someone took my card").label == "lost"
    assert small.predict("send a friend money").label == "send"
    assert manifest.rungs[0].threshold < 1


def test_rows_given_to_validate_on_are_used(examples: list[tuple[str, str]], tmp_path: Path) -> None:
    wrong = {"card_lost": "transfer", "transfer": "top_up", "top_up": "card_lost", "oos": "oos"}
    swapped = [(text, wrong[route]) for text, route in examples]
    assert train.train(examples, tmp_path, validation=examples).rungs[0].accuracy == 1
    with pytest.raises(QualityRefused, match=r"small: right on 0\.0 % of 72 held-out rows; .*'card_lost'.* 33\.3 %"):
        train.train(examples, tmp_path, validation=swapped)


def test_a_second_rung(examples: list[tuple[str, str]], tmp_path: Path) -> None:
    manifest = train.train(examples, tmp_path, rungs=("small", "large"), validation=examples)
    assert [rung.name for rung in manifest.rungs] == ["small", "large"]
    assert manifest.rungs[1].bytes > manifest.rungs[0].bytes
    assert list(registry.load(tmp_path).rungs) == ["small", "large"]


def test_progress_is_told(examples: list[tuple[str, str]], tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    train.train(examples, tmp_path, progress=lambda *call: calls.append(call), validation=examples)
    assert [done for _, done, _ in calls] == list(range(1, len(calls) + 1))
    assert {(stage, total) for stage, _, total in calls} == {("train small", len(calls))}


def test_progress_over_all_folds_runs_once_from_nothing_to_all(examples: list[tuple[str, str]], tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    train.train(examples, tmp_path, progress=lambda *call: calls.append(call))
    checks = [(done, total) for stage, done, total in calls if stage == "check small"]
    assert [done for done, _ in checks] == list(range(1, len(checks) + 1))
    assert {total for _, total in checks} == {len(checks)}


def test_texts_that_tell_nothing_of_their_routes_are_refused(tmp_path: Path) -> None:
    rows = [("the same words for everyone", route) for route in ("a", "a", "b") for _ in range(20)]
    with pytest.raises(QualityRefused, match="always 'a'"):
        train.train(rows, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_graph_that_computes_something_else_is_refused(
    examples: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = quantize.write_int8

    def write_wrong(table: Table, path: Path) -> None:
        write(Table(rows=table.rows, head=table.head, bias=np.roll(table.bias + 0.1, 1)), path)

    monkeypatch.setattr(quantize, "write_int8", write_wrong)
    with pytest.raises(QualityRefused, match=r"small\.onnx: .* other logits than the trained table"):
        train.train(examples, tmp_path, validation=examples)
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "two routes or more are needed to train on; found: none"),
        ([("a", "only"), ("b", "only")], "found: only"),
        ([("a", "only"), ("b", "only"), ("c", "oos"), ("d", "oos")], "found: only"),
        ([("a", "x"), ("b", "x"), ("c", "y")], "2 examples or more are needed of each route; add some of: y"),
    ],
)
def test_too_little_to_learn_from(rows: list[tuple[str, str]], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        train.train(rows, tmp_path)


@pytest.mark.parametrize("count", [30, 3_000])
def test_folds_hold_out_the_same_share_of_each_label(count: int) -> None:
    truth = np.repeat(np.arange(3), count // 3)
    folds = list(train._folds(truth, np.random.default_rng(0)))
    assert len(folds) == (5 if count == 30 else 1)
    for held in folds:
        assert np.ptp(np.bincount(truth[held], minlength=3)) == 0
    if count == 30:
        assert (np.sum(folds, axis=0) == 1).all()
    else:
        assert folds[0].sum() == 300
