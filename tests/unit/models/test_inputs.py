"""What feeds a graph: one text and several alike, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.classifier import Classifier
from models.errors import BadFile
from models.features import Features
from models.inputs import (
    ColumnFeeder,
    NgramFeeder,
    PieceFeeder,
    Question,
    TextFeeder,
    feeders_for,
    padded,
)
from models.pieces import Pieces
from models.session import Port
from models.spec import ColumnSpec, FeatureSpec, PieceSpec
from tests.graphs import bare_rung, text_graph

if TYPE_CHECKING:
    from models.encoder.find import Encoder
    from models.inputs import Feeder, Feeds

_COLUMNS = (ColumnSpec(name="channel", words=("chat", "mail")), ColumnSpec(name="value", mean=10, spread=2))
_QUESTIONS = [
    Question("Send  money ABROAD", ("mail", 14.0)),
    Question("", (None, None)),
    Question("i lost my card, please help me now", ("chat", 10.0)),
    Question("überweisen 🎉", ()),
]
_NGRAMS = {
    "ids": Port("tensor(int32)", ("n",)),
    "member": Port("tensor(uint8)", ("texts", "n")),
    "length": Port("tensor(float)", ("texts", 1)),
}


@pytest.fixture(params=["ngrams", "pieces", "columns", "text"])
def feeder(request: pytest.FixtureRequest, encoder: Encoder) -> Feeder:
    feeders: dict[str, Feeder] = {
        "ngrams": NgramFeeder(Features(FeatureSpec())),
        "pieces": PieceFeeder(Pieces(Path("tokenizer.json"), encoder.tokenizer, 16)),
        "columns": ColumnFeeder(_COLUMNS),
        "text": TextFeeder(),
    }
    return feeders[request.param]


def _row(feeds: Feeds, at: int) -> Feeds:
    """One text's part of what several are fed, the filling left out."""
    if "ids" in feeds:
        own = feeds["member"][at].astype(bool)
        return {"ids": feeds["ids"][own], "member": feeds["member"][at : at + 1, own], "length": feeds["length"][[at]]}
    if "input_ids" in feeds:
        count = int(feeds["attention_mask"][at].sum())
        return {name: each[at : at + 1, :count] for name, each in feeds.items()}
    return {name: each[at : at + 1] for name, each in feeds.items()}


def test_many_texts_are_fed_what_each_is_fed_alone(feeder: Feeder) -> None:
    together = feeder.many(_QUESTIONS)
    for at, question in enumerate(_QUESTIONS):
        alone, part = feeder.one(question), _row(together, at)
        assert alone.keys() == part.keys() == feeder.ports.keys()
        for name, each in alone.items():
            assert each.tolist() == part[name].tolist()
            assert each.dtype == part[name].dtype == together[name].dtype


def test_what_is_fed_is_of_the_kind_that_is_announced(feeder: Feeder) -> None:
    kinds = {"int32": np.int32, "int64": np.int64, "uint8": np.uint8, "float": np.float32, "string": np.object_}
    for feeds in (feeder.one(_QUESTIONS[0]), feeder.many(_QUESTIONS)):
        for name, (kind, dimensions) in feeder.ports.items():
            assert feeds[name].dtype == kinds[kind.removeprefix("tensor(").removesuffix(")")]
            assert feeds[name].ndim == dimensions


def test_texts_are_normalised_however_they_are_fed(feeder: Feeder) -> None:
    raw, normal = (feeder.one(Question(text, ("mail", 1.0))) for text in ("  Send Money\tNOW", "send money now"))
    assert {name: each.tolist() for name, each in raw.items()} == {name: each.tolist() for name, each in normal.items()}


def test_every_id_of_a_call_is_one_texts() -> None:
    feeds = NgramFeeder(Features(FeatureSpec())).many(_QUESTIONS)
    assert (feeds["member"].sum(axis=0) == 1).all()
    assert feeds["length"][:, 0] == pytest.approx(np.sqrt(feeds["member"].sum(axis=1, dtype=np.float32)))


def test_the_longest_text_there_is_can_be_fed() -> None:
    spec = FeatureSpec(max_chars=4_096, max_words=4_096, min_gram=1, max_gram=8)
    text = "".join(chr(0x4E00 + number) for number in range(4_096))
    feeds = NgramFeeder(Features(spec)).one(Question(text))
    assert feeds["member"].shape == (1, len(feeds["ids"]))
    assert feeds["length"][0, 0] == pytest.approx(np.sqrt(len(feeds["ids"])))


def test_padded_by_hand() -> None:
    feeds = padded([[2, 7, 3], [2, 3], [2, 9, 8, 3]])
    assert feeds["input_ids"].tolist() == [[2, 7, 3, 0], [2, 3, 0, 0], [2, 9, 8, 3]]
    assert feeds["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    assert {each.dtype for each in feeds.values()} == {np.dtype(np.int64)}


def test_a_graph_is_fed_by_all_that_it_has_inputs_for() -> None:
    rung = bare_rung(features=FeatureSpec(), columns=_COLUMNS)
    ports = {**_NGRAMS, "columns": Port("tensor(float)", ("texts", 5)), "text": Port("tensor(string)", ("texts",))}
    assert [type(each) for each in feeders_for(rung, ports, Path())] == [NgramFeeder, ColumnFeeder, TextFeeder]
    assert [type(each) for each in feeders_for(rung, _NGRAMS, Path())] == [NgramFeeder]


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ({"x": Port("tensor(float)", (1, 2))}, r"other\.onnx: input 'x' is fed by nothing: see models/inputs\.py"),
        (_NGRAMS, "input 'ids' is fed by nothing: it needs `features` in the manifest"),
        ({"input_ids": Port("tensor(int64)", ("a", "b"))}, "input 'input_ids' .* needs `pieces` in the manifest"),
        ({"columns": Port("tensor(float)", ("a", 2))}, "input 'columns' .* needs `columns` in the manifest"),
        ({"text": Port("tensor(float)", ("texts",))}, r"input 'text' is tensor\(float\) of 1 dimensions, not"),
        ({"text": Port("tensor(string)", ("texts", 1))}, r"input 'text' is tensor\(string\) of 2 dimensions, not"),
    ],
)
def test_an_input_that_cannot_be_fed_is_named(ports: dict[str, Port], message: str) -> None:
    with pytest.raises(BadFile, match=message):
        feeders_for(bare_rung(), ports, Path())


@pytest.mark.parametrize("name", ["member", "length"])
def test_an_input_that_is_missing_is_named(name: str) -> None:
    ports = {other: port for other, port in _NGRAMS.items() if other != name}
    with pytest.raises(BadFile, match=rf"other\.onnx: has no input {name};"):
        feeders_for(bare_rung(features=FeatureSpec()), ports, Path())


@pytest.mark.parametrize(
    ("name", "port"),
    [
        ("ids", Port("tensor(int64)", ("n",))),
        ("member", Port("tensor(uint8)", ("n",))),
        ("length", Port("tensor(double)", ("texts", 1))),
    ],
)
def test_an_input_of_another_form_is_named(name: str, port: Port) -> None:
    with pytest.raises(BadFile, match=rf"input '{name}' is .* dimensions, not"):
        feeders_for(bare_rung(features=FeatureSpec()), {**_NGRAMS, name: port}, Path())


def test_a_graph_of_somebody_elses_reads_the_normalised_text(tmp_path: Path) -> None:
    table = np.array([[5, 0, 1], [0, 5, 1], [0, 1, 5]], np.float32)
    graph = text_graph(table, ["send money", "lost card"])
    classifier = Classifier(("send", "lost", "else"), bare_rung(graph=graph), tmp_path, graph)
    texts = ["  SEND   money", "Lost card", "hello", ""]
    assert [classifier.predict(text).label for text in texts] == ["send", "lost", "else", "else"]
    together = classifier.scores_many([Question(text) for text in texts])
    assert [scores.logits.tolist() for scores in together] == table[[0, 1, 2, 2]].tolist()


def test_a_missing_or_altered_tokenizer_is_refused(tmp_path: Path, encoder: Encoder) -> None:
    sha256 = hashlib.sha256(encoder.tokenizer).hexdigest()
    rung = bare_rung(pieces=PieceSpec(file="tokenizer.json", sha256=sha256))
    ports = {name: Port("tensor(int64)", ("texts", "m")) for name in ("input_ids", "attention_mask")}
    with pytest.raises(BadFile, match=r"tokenizer\.json: not found"):
        feeders_for(rung, ports, tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(encoder.tokenizer)
    assert [type(each) for each in feeders_for(rung, ports, tmp_path)] == [PieceFeeder]
    (tmp_path / "tokenizer.json").write_bytes(encoder.tokenizer + b" ")
    with pytest.raises(BadFile, match=r"tokenizer\.json: sha256 is"):
        feeders_for(rung, ports, tmp_path)
