"""Reading logits, and the whole way from a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from models import registry
from models.calibrate import softmax
from models.classifier import Classifier, Prediction, Scores
from models.errors import BadFile, BadOutput, RunFailed
from models.inputs import Question
from models.session import Session
from models.spec import OUT_OF_SCOPE, read_manifest
from tests.graphs import answering

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def _scores(*logits: float, familiarity: float | None = None) -> Scores:
    return Scores(np.array(logits, np.float32), familiarity)


@pytest.fixture(scope="module")
def classifier(trained: Path) -> Classifier:
    manifest = read_manifest(trained)
    return Classifier(manifest.labels, manifest.rungs[0], trained, (trained / "small.onnx").read_bytes())


def test_predict_knows_what_it_was_taught(classifier: Classifier) -> None:
    prediction = classifier.predict("Hello, I lost my card yesterday")
    assert prediction.label == "card_lost"
    assert prediction.confidence > 0.5


def test_interpret_orders_and_calibrates(classifier: Classifier) -> None:
    scores = _scores(1, 4, 2, 3)
    shares = softmax(scores.logits, classifier.spec.temperature)
    prediction = classifier.interpret(scores)
    names = classifier.labels
    assert prediction.label == names[1]
    assert prediction.confidence == pytest.approx(shares[1], rel=1e-5)
    assert [label for label, _ in prediction.alternatives] == [names[3], names[2], names[0]]
    assert [share for _, share in prediction.alternatives] == pytest.approx(shares[[3, 2, 0]].tolist(), rel=1e-4)


def test_the_temperature_makes_it_less_sure(classifier: Classifier, trained: Path) -> None:
    cool = replace(classifier.spec, temperature=classifier.spec.temperature * 10)
    scores = classifier.scores("lost my card")
    graph = (trained / "small.onnx").read_bytes()
    modest = Classifier(classifier.labels, cool, trained, graph).interpret(scores)
    assert modest.label == classifier.interpret(scores).label
    assert modest.confidence < classifier.interpret(scores).confidence


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_interpret_refuses_what_is_no_number(classifier: Classifier, value: float) -> None:
    with pytest.raises(BadOutput, match="small: logits are not finite"):
        classifier.interpret(_scores(1, 2, value, 3))


@pytest.mark.parametrize("shape", [(3,), (5,), (1, 4), ()])
def test_interpret_refuses_another_shape(classifier: Classifier, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadOutput, match="shape"):
        classifier.interpret(Scores(np.zeros(shape, np.float32), None))


@pytest.mark.parametrize(
    "text", ["", " ", "🎉🎉", "Überweisung nach Österreich?", "转账", "\x00", "x" * 1_000_000, "a " * 500_000]
)
def test_every_text_has_an_answer(classifier: Classifier, text: str) -> None:
    prediction = classifier.predict(text)
    assert 1 / 4 <= prediction.confidence <= 1
    assert len(prediction.alternatives) == 3


def test_umlauts_reach_the_model(classifier: Classifier) -> None:
    assert classifier.predict("GELD U\u0308BERWEISEN bitte").label == "transfer"


def test_the_same_text_has_the_same_logits_after_others(classifier: Classifier) -> None:
    first = classifier.scores("send money abroad").logits.tolist()
    classifier.predict("something else")
    assert classifier.scores("send money abroad").logits.tolist() == first


def test_a_graph_for_other_labels_is_refused(classifier: Classifier, trained: Path) -> None:
    with pytest.raises(BadFile, match="answers 4 labels, the manifest has 2"):
        Classifier(("a", "b"), classifier.spec, trained, (trained / "small.onnx").read_bytes())


def test_several_texts_in_one_call_have_the_answers_of_one_at_a_time(trained_large: Path) -> None:
    texts = ("", "send money abroad", "🎉", "how tall is the tower, and who built it? " * 9, "hi", "Karte verloren")
    for loaded in registry.load(trained_large).rungs.values():
        classifier = loaded.classifier
        together = classifier.scores_many([Question(text) for text in texts])
        for text, scores in zip(texts, together, strict=True):
            alone = classifier.scores(text)
            assert scores.logits == pytest.approx(alone.logits, abs=1e-5)
            assert scores.familiarity == pytest.approx(alone.familiarity, abs=1e-5)


def test_many_questions_have_the_predictions_of_one_at_a_time(trained_large: Path) -> None:
    texts = ("", "send money abroad", "how tall is the tower, and who built it? " * 9, "Karte verloren")
    for loaded in registry.load(trained_large).rungs.values():
        classifier = loaded.classifier
        for size in range(1, len(texts) + 1):
            together = classifier.predict_many([Question(text) for text in texts[:size]])
            assert len(together) == size
            for text, prediction in zip(texts, together, strict=False):
                alone = classifier.predict(text)
                assert isinstance(prediction, Prediction)
                assert prediction.label == alone.label
                assert prediction.confidence == pytest.approx(alone.confidence, abs=1e-4)


def test_of_many_answers_one_that_is_none_is_that_ones_error(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = [_scores(1, 4, 2, 3), _scores(1, np.nan, 2, 3), _scores(9, 1, 2, 3)]
    monkeypatch.setattr(Classifier, "scores_many", lambda *_: scores)
    first, second, third = classifier.predict_many([Question("a")] * 3)
    assert (first, third) == (classifier.interpret(scores[0]), classifier.interpret(scores[2]))
    assert isinstance(second, BadOutput)
    monkeypatch.setattr(Classifier, "scores", lambda *_: scores[1])
    (alone,) = classifier.predict_many([Question("a")])
    assert isinstance(alone, BadOutput)


def test_a_runtime_that_fails_fails_for_all(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[Scores]:
        raise RunFailed("no memory")

    monkeypatch.setattr(Classifier, "scores_many", fail)
    with pytest.raises(RunFailed):
        classifier.predict_many([Question("a")] * 2)


def test_many_questions_are_one_call_of_the_runtime(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, really_run = [], Session.run

    def run(session: Session, feeds: Any) -> Any:
        runs.append(feeds)
        return really_run(session, feeds)

    monkeypatch.setattr(Session, "run", run)
    assert len(classifier.predict_many([Question("a")] * 5)) == 5
    assert len(runs) == 1


@pytest.mark.parametrize("familiarity", [0.39, -1.0, float("nan")])
def test_what_is_like_no_route_is_out_of_scope(classifier: Classifier, trained: Path, familiarity: float) -> None:
    asked = _asked(classifier, trained, 0.4)
    known = asked.interpret(_scores(1, 4, 2, 3, familiarity=0.4))
    unknown = asked.interpret(_scores(1, 4, 2, 3, familiarity=familiarity))
    assert known == classifier.interpret(_scores(1, 4, 2, 3))
    assert unknown.label == OUT_OF_SCOPE
    assert unknown.confidence == known.confidence
    assert unknown.alternatives == ((known.label, known.confidence), *known.alternatives[:2])


def test_familiarity_that_is_not_there_cannot_be_asked(classifier: Classifier, trained: Path) -> None:
    spec = replace(classifier.spec, familiarity=0.4)
    with pytest.raises(BadFile, match=r"output 2 is not float32\[texts\]; it has \['logits'\]"):
        Classifier(classifier.labels, spec, trained, (trained / "small.onnx").read_bytes())


def test_labels_of_a_rung_come_before_those_of_the_manifest(classifier: Classifier, trained: Path) -> None:
    spec = replace(classifier.spec, labels=("a", "b", "c", "d"))
    renamed = Classifier(("x",), spec, trained, (trained / "small.onnx").read_bytes())
    assert renamed.labels == ("a", "b", "c", "d")
    place = classifier.labels.index("transfer")
    assert renamed.predict("send money abroad").label == "abcd"[place]


def _asked(classifier: Classifier, trained: Path, limit: float) -> Classifier:
    """The same, with a second output that is asked."""
    path = trained / "small.onnx"
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("ReduceMax", ["logits"], ["familiarity"], keepdims=0))
    model.graph.node[-1].input.append("last")
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), "last"))
    model.graph.output.append(helper.make_tensor_value_info("familiarity", TensorProto.FLOAT, ["texts"]))
    return Classifier(
        classifier.labels, replace(classifier.spec, familiarity=limit), trained, model.SerializeToString()
    )


def test_probabilities_become_logits_that_have_them_as_their_shares(tmp_path: Path) -> None:
    shares = np.array([0.7, 0.2, 0.1], np.float32)
    classifier = answering(tmp_path, shares, output="probabilities")
    assert classifier.scores("hi").logits == pytest.approx(np.log(shares), abs=1e-6)
    prediction = classifier.predict("hi")
    assert prediction.label == "a"
    assert prediction.confidence == pytest.approx(0.7, abs=1e-6)
    assert dict(prediction.alternatives) == pytest.approx({"b": 0.2, "c": 0.1}, abs=1e-6)


def test_a_probability_of_nothing_is_no_infinity_and_nan_stays(tmp_path: Path) -> None:
    sure = answering(tmp_path, np.array([0, 1, 0], np.float32), output="probabilities").predict("hi")
    assert sure.label == "b"
    assert sure.confidence == pytest.approx(1)
    with pytest.raises(BadOutput, match="not finite"):
        answering(tmp_path, np.array([0, np.nan, 1], np.float32), output="probabilities").predict("hi")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros((2, 3), np.float32), r"output 1 is not float32\[texts, labels\]; it has \['y'\]"),
        (np.zeros(3, np.int64), r"output 1 is not float32\[texts, labels\]; it has \['y'\]"),
        (np.zeros(4, np.float32), "answers 4 labels, the manifest has 3"),
    ],
)
def test_outputs_that_cannot_be_read_are_refused(tmp_path: Path, answer: NDArray[Any], message: str) -> None:
    with pytest.raises(BadFile, match=message):
        answering(tmp_path, answer)
