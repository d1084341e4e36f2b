"""Graphs that were made elsewhere: what joins a version, what of it is measured, and what is refused by which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from msgspec.structs import replace
from tokenizers import Tokenizer

from models import canary, registry
from models.adopt import Foreign, adopt
from models.classifier import Prediction
from models.data import Example
from models.errors import BadOutput, DataError, QualityRefused
from models.features import Features
from models.graph import Graph
from models.spec import ColumnSpec, FeatureSpec, Manifest, read_manifest, write_manifest
from tests.encoders import write_encoder
from tests.graphs import text_graph

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("cards", "loans", "savings")
WORDS = ("my card", "a loan", "my savings")
ROWS = [(word, label) for word, label in zip(WORDS, LABELS, strict=True) for _ in range(10)]
TABLE = np.log(np.array([[8, 1, 1], [1, 8, 1], [1, 1, 8], [1, 1, 1]], np.float32) / [[10], [10], [10], [3]])


def own(folder: Path, table: Any = TABLE, **changes: Any) -> Foreign:
    """A graph that knows three texts, in a file of its own."""
    path = folder / "own.onnx"
    path.write_bytes(text_graph(np.asarray(table, np.float32), WORDS))
    return replace(Foreign(name="large", graph=path, labels=LABELS), **changes)


def written(folder: Path, graph: Graph, node: str, **changes: Any) -> Foreign:
    """One with inputs of another kind."""
    path = folder / "own.onnx"
    path.write_bytes(graph.finish({"logits": (node, ("texts", len(LABELS)))}))
    return replace(Foreign(name="large", graph=path, labels=LABELS), **changes)


@pytest.fixture
def out_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def _answer(folder: Path, text: str) -> Prediction:
    return registry.load(folder).rungs["large"].classifier.predict(text)


def test_a_graph_alone_is_a_version(tmp_path: Path, out_dir: Path) -> None:
    manifest = adopt(own(tmp_path), None, ROWS, out_dir)
    assert manifest == read_manifest(out_dir)
    (rung,) = manifest.rungs
    assert (manifest.labels, rung.labels, manifest.rows) == (LABELS, LABELS, 30)
    assert (rung.accuracy, rung.kept_share, rung.kept_accuracy) == (1.0, 1.0, 1.0)
    assert rung.p99_us > 0
    assert _answer(out_dir, "My  CARD").label == "cards"
    assert [row.route for row in canary.read(out_dir)] == [route for _, route in ROWS]
    assert manifest.notes == ("rung `large` was made elsewhere; its figures are of 30 rows that were given with it",)


def test_probabilities_are_calibrated_as_logits_are(tmp_path: Path, out_dir: Path) -> None:
    rows = [*ROWS, *((word, "savings") for word in WORDS[:2] * 5)]  # so "8 of 10" is too sure of two of the labels
    logits = adopt(own(tmp_path), None, rows, out_dir).rungs[0]
    found = adopt(own(tmp_path, np.exp(TABLE), output="probabilities"), None, rows, out_dir).rungs[0]
    assert found.temperature == pytest.approx(logits.temperature, rel=1e-3)
    assert found.temperature > 1
    assert found.accuracy == pytest.approx(0.75)
    assert 0.5 <= _answer(out_dir, "a loan").confidence < 0.8


def test_the_threshold_is_set_for_the_accuracy_asked(tmp_path: Path, out_dir: Path) -> None:
    rows = [*ROWS, *(("who knows", label) for label in LABELS)]
    strict, lax = (adopt(own(tmp_path), None, rows, out_dir, kept_accuracy=share).rungs[0] for share in (0.99, 0.9))
    assert (lax.threshold, lax.kept_share) == (0.0, 1.0)
    assert strict.threshold > 0.33
    assert strict.kept_share == pytest.approx(30 / 33)
    assert strict.kept_accuracy == 1.0


def test_it_joins_the_other_rungs(
    trained: Path, examples: list[tuple[str, str]], tmp_path: Path, out_dir: Path
) -> None:
    before = read_manifest(trained)
    write_manifest(trained, replace(before, notes=("no rung `large`: why", "no column `hour`: why")))
    table = np.array([[0, 0, 0, 9], [0, 0, 9, 0], [9, 0, 0, 0]], np.float32)
    path = tmp_path / "own.onnx"
    path.write_bytes(text_graph(table, ["make a transfer?", "top up the account?"]))
    rows = [
        ("make a transfer?", "transfer"),
        ("top up the account?", "top_up"),
        ("sing", "card_lost"),
        ("x", "oos"),
    ] * 3
    try:
        manifest = adopt(Foreign(name="large", graph=path), trained, rows, out_dir)
    finally:
        write_manifest(trained, before)
    small, large = manifest.rungs
    assert (small, large.name, large.labels) == (before.rungs[0], "large", None)
    assert (manifest.labels, manifest.rows, manifest.data_sha256) == (before.labels, before.rows, before.data_sha256)
    assert [note.partition(":")[0] for note in manifest.notes[:-1]] == ["no column `hour`"]
    loaded = registry.load(out_dir)
    assert list(loaded.rungs) == ["small", "large"]
    text, route = examples[0]
    assert loaded.rungs["small"].classifier.predict(text).label == route
    again = out_dir.with_name("again")
    again.mkdir()
    replaced = adopt(Foreign(name="large", graph=path), out_dir, rows, again)
    assert [rung.name for rung in replaced.rungs] == ["small", "large"]
    assert replaced.notes == manifest.notes


def test_it_may_read_n_grams(tmp_path: Path, out_dir: Path) -> None:
    graph, spec = Graph(), FeatureSpec(bits=10)
    table = np.zeros((spec.buckets, len(LABELS)), np.float32)
    for label, text in enumerate(WORDS):
        table[Features(spec).ids(text), label] += 1
    picked = graph.node("Gather", graph.constant(table), "ids", axis=0)
    member = graph.node("Cast", "member", to=1)
    logits = graph.node("Div", graph.node("MatMul", member, picked), "length")
    rung = adopt(written(tmp_path, graph, logits, ngrams=spec), None, ROWS, out_dir).rungs[0]
    assert (rung.features, rung.accuracy) == (spec, 1.0)


def test_it_may_read_word_pieces(tmp_path: Path, out_dir: Path) -> None:
    rung = adopt(_pieces(tmp_path, write_encoder(tmp_path / "tiny") / "tokenizer.json"), None, ROWS, out_dir).rungs[0]
    assert rung.pieces is not None
    assert (rung.pieces.file, rung.pieces.max_pieces) == ("large.tokenizer.json", 64)
    assert rung.accuracy == 1.0


def _pieces(folder: Path, tokenizer: Path | None) -> Foreign:
    """Tells the three texts apart by the sum of their pieces, with some distance to each."""
    graph = Graph()
    sums = [1.0, 2.0, 3.0]
    if tokenizer is not None:
        reader = Tokenizer.from_file(str(tokenizer))
        reader.no_padding()
        sums = [float(sum(reader.encode(word).ids)) for word in WORDS]
    masked = graph.node("Cast", graph.node("Mul", "input_ids", "attention_mask"), to=1)
    total = graph.node("ReduceSum", masked, graph.axes(1), keepdims=1)
    distance = graph.node("Abs", graph.node("Sub", total, graph.constant(np.array([sums], np.float32))))
    return written(folder, graph, graph.node("Neg", distance), tokenizer=tokenizer)


def _columns(folder: Path) -> Foreign:
    graph = Graph()
    return written(folder, graph, graph.node("MatMul", "columns", graph.constant(np.ones((1, 3), np.float32))))


def _ids(folder: Path) -> Foreign:
    graph = Graph()
    picked = graph.node("Gather", graph.constant(np.ones((16, 3), np.float32)), "ids", axis=0)
    return written(
        folder, graph, graph.node("Div", graph.node("MatMul", graph.node("Cast", "member", to=1), picked), "length")
    )


def _named(folder: Path, old: bytes, new: bytes) -> Foreign:
    foreign = own(folder)
    foreign.graph.write_bytes(foreign.graph.read_bytes().replace(old, new))
    return foreign


def _without(folder: Path) -> Foreign:
    foreign = own(folder)
    foreign.graph.unlink()
    return foreign


def _no_graph(folder: Path) -> Foreign:
    foreign = own(folder)
    foreign.graph.write_bytes(b"no graph")
    return foreign


def _no_tokenizer(folder: Path) -> Foreign:
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    return replace(own(folder), tokenizer=folder / "tokenizer.json", graph=_pieces(folder, None).graph)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_without, "own.onnx: cannot be read"),
        (_no_graph, "own.onnx: not a graph that can be run"),
        (lambda folder: _named(folder, b"text", b"TEXT"), "own.onnx: nothing feeds the input TEXT; those there may be"),
        (lambda folder: _pieces(folder, None), "the input input_ids reads word pieces: name their --tokenizer"),
        (_no_tokenizer, "tokenizer.json: not a tokenizer"),
        (_ids, "the input ids reads hashed n-grams: say how many buckets, --ngram-bits"),
        (_columns, "the input columns reads columns, and there is no version"),
        (lambda folder: own(folder, labels=("cards", "loans")), "own.onnx: answers 3 labels"),
        (lambda folder: own(folder, labels=None), "own.onnx: its labels are not known"),
        (lambda folder: own(folder, np.zeros(4)), "own.onnx: output 1 is not float32[texts, labels]"),
        (lambda folder: own(folder, labels=("cards", "loans", "homes")), "row 21: route 'savings' is none of the 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(tmp_path: Path, out_dir: Path, make: Any, says: str) -> None:
    with pytest.raises(DataError) as refused:
        adopt(make(tmp_path), None, ROWS, out_dir)
    assert says in str(refused.value)
    assert "takt train" not in str(refused.value)  # that would not mend it
    assert not (out_dir / "manifest.json").exists()


def test_answers_that_are_none_are_refused(tmp_path: Path, out_dir: Path) -> None:
    for table, output, says in (
        (np.full((4, 3), np.nan), "logits", "large: fails at warm-up"),
        ([*TABLE[:2], [np.nan] * 3, TABLE[3]], "logits", "logits are not finite"),
        (np.exp(TABLE), "logits", "its logits add up to 1; they are probabilities, so say so"),
        (np.exp(TABLE) * 2, "probabilities", "the probabilities of 'my card' add up to 2, not 1; are they logits?"),
    ):
        with pytest.raises(BadOutput) as refused:
            adopt(own(tmp_path, table, output=output), None, ROWS, out_dir)
        assert says in str(refused.value)


def test_a_graph_of_no_use_is_refused(tmp_path: Path, out_dir: Path) -> None:
    with pytest.raises(QualityRefused, match="to answer always"):
        adopt(own(tmp_path, np.roll(TABLE, 1, axis=1)), None, ROWS, out_dir)
    with pytest.raises(DataError, match="no row is in scope"):
        adopt(own(tmp_path), None, [("my card", "oos")] * 3, out_dir)


def test_a_version_that_read_columns_lends_them(tmp_path: Path, out_dir: Path) -> None:
    column = ColumnSpec(name="hour", mean=12, spread=6)
    base = tmp_path / "base"
    base.mkdir()
    manifest = adopt(own(tmp_path), None, ROWS, base)
    reading = replace(manifest.rungs[0], name="small", columns=(column,))
    with_columns = replace(manifest, rungs=(reading,))
    write_manifest(base, with_columns)
    graph = Graph()
    weights = graph.constant(np.array([[-5, 0, 5]], np.float32))
    rows = [("", label, (hour,)) for label, hour in zip(LABELS, (0.0, 12.0, 24.0), strict=True)] * 5
    bias = graph.constant(np.array([[0, 5, 0]], np.float32))
    foreign = written(tmp_path, graph, graph.node("Add", graph.node("MatMul", "columns", weights), bias), labels=None)
    adopted: Manifest = adopt(foreign, base, [Example(*row) for row in rows], out_dir)
    assert adopted.rungs[1].columns == (column,)
    assert adopted.rungs[1].accuracy == 1.0
