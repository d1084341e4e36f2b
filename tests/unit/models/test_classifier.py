"""Reading logits, and the whole way from a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from msgspec.structs import replace

from models.calibrate import softmax
from models.classifier import Classifier
from models.errors import BadFile, BadOutput
from models.spec import read_manifest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def classifier(trained: Path) -> Classifier:
    manifest = read_manifest(trained)
    return Classifier(manifest.labels, manifest.rungs[0], trained, (trained / "small.onnx").read_bytes())


def test_predict_knows_what_it_was_taught(classifier: Classifier) -> None:
    prediction = classifier.predict("Hello, I lost my card yesterday")
    assert prediction.label == "card_lost"
    assert prediction.confidence > 0.5


def test_interpret_orders_and_calibrates(classifier: Classifier) -> None:
    logits = np.array([1, 4, 2, 3], np.float32)
    shares = softmax(logits, classifier.spec.temperature)
    prediction = classifier.interpret(logits)
    names = classifier.labels
    assert prediction.label == names[1]
    assert prediction.confidence == pytest.approx(shares[1], rel=1e-5)
    assert [label for label, _ in prediction.alternatives] == [names[3], names[2], names[0]]
    assert [share for _, share in prediction.alternatives] == pytest.approx(shares[[3, 2, 0]].tolist(), rel=1e-4)


def test_the_temperature_makes_it_less_sure(classifier: Classifier, trained: Path) -> None:
    cool = replace(classifier.spec, temperature=classifier.spec.temperature * 10)
    logits = classifier.logits("lost my card")
    graph = (trained / "small.onnx").read_bytes()
    modest = Classifier(classifier.labels, cool, trained, graph).interpret(logits)
    assert modest.label == classifier.interpret(logits).label
    assert modest.confidence < classifier.interpret(logits).confidence


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_interpret_refuses_what_is_no_number(classifier: Classifier, value: float) -> None:
    with pytest.raises(BadOutput, match="small: logits are not finite"):
        classifier.interpret(np.array([1, 2, value, 3], np.float32))


@pytest.mark.parametrize("shape", [(3,), (5,), (1, 4), ()])
def test_interpret_refuses_another_shape(classifier: Classifier, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadOutput, match="shape"):
        classifier.interpret(np.zeros(shape, np.float32))


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
    first = classifier.logits("send money abroad").tolist()
    classifier.predict("something else")
    assert classifier.logits("send money abroad").tolist() == first


def test_a_graph_for_other_labels_is_refused(classifier: Classifier, trained: Path) -> None:
    with pytest.raises(BadFile, match="answers 4 labels, the manifest has 2"):
        Classifier(("a", "b"), classifier.spec, trained, (trained / "small.onnx").read_bytes())
