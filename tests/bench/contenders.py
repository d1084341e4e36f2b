"""Who is compared in `model_quality`: each learns from a data set's rows and is judged on its test rows."""

from __future__ import annotations

import pickle
import tempfile
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import router
from models import registry
from models.calibrate import ece
from models.encoder.find import PACKAGE, read_encoder
from models.errors import QualityRefused
from models.evaluate import auroc, evaluate
from models.inputs import Question
from models.spec import OUT_OF_SCOPE
from models.train import train
from tests.bench import peer_process
from tests.bench.datasets import hold_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from models.classifier import Classifier
    from models.data import Example
    from tests.bench.datasets import DataSet

_COVERED_SHARE = 0.9
_CHECKED_SHARE = 0.2  # of a route's examples, to fit semantic-router on where there are no validation rows
_BATCH = 8
_PEER_THRESHOLD = 0.5  # what its quick start sets after `fit`: act only when it's more likely right than wrong


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one contender is worth on one test set; None where it has no meaning.

    `accuracy`, `coverage90`, `ece` are of the rows in scope and of the likeliest answer, whatever its confidence.
    With the contender's own threshold, `routed` is the share in scope that comes to its route, and `refused` the
    share out of scope that comes to none. Costs are text to answer, one text at a time; `batch_us` is for one of 8.
    """

    accuracy: float
    int8_loss: float | None = None
    auroc: float | None
    ece: float | None = None
    coverage90: float
    routed: float | None = None
    refused: float | None = None
    bytes: int
    train_s: float
    p50_us: float
    p99_us: float
    batch_us: float | None = None
    version: str


def takt_small(data: DataSet, seed: int, encoder: Path | None) -> Figures:
    return _takt(data, seed, None, "small")


def takt_large(data: DataSet, seed: int, encoder: Path | None) -> Figures:
    """Training time includes that of the rung `small`, which is trained with it."""
    return _takt(data, seed, encoder, "large")


def takt_accurate(data: DataSet, seed: int, encoder: Path | None) -> Figures:
    """As `takt train --accurate`: the encoder is tuned to the examples, which needs torch here."""
    return _takt(data, seed, encoder, "large", accurate=True)


def _takt(data: DataSet, seed: int, encoder: Path | None, name: str, *, accurate: bool = False) -> Figures:
    """Train, and judge the rung `name`; without an encoder `small` is all there is, as for users.

    Raises: QualityRefused: what was trained was of no use and has not been kept.
    """
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        started = perf_counter()
        pretrained = None if encoder is None else read_encoder(encoder, None)
        manifest = train(data.train, directory, seed, validation=data.validation, encoder=pretrained, accurate=accurate)
        train_s = perf_counter() - started
        if name not in {rung.name for rung in manifest.rungs}:
            raise QualityRefused("; ".join(manifest.notes))
        rung = evaluate(directory, data.test).rungs[name]
        classifier = registry.load(directory).rungs[name].classifier
        routed, refused = _decide(classifier, data.test)
        return Figures(
            accuracy=rung.accuracy,
            int8_loss=None if rung.accuracy_fp32 is None else rung.accuracy_fp32 - rung.accuracy,
            auroc=rung.auroc_oos,
            ece=rung.ece,
            coverage90=rung.coverage90_accuracy,
            routed=routed,
            refused=refused,
            bytes=rung.bytes,
            train_s=train_s,
            p50_us=rung.p50_us,
            p99_us=rung.p99_us,
            batch_us=_batch_us(classifier, [row.text for row in data.test]),
            version=f"takt {router.__version__}",
        )


def _decide(classifier: Classifier, rows: Sequence[Example]) -> tuple[float, float | None]:
    """`routed` and `refused` at the threshold of the manifest."""
    taken = []
    for row in rows:
        found = classifier.predict(row.text)
        taken.append(found.label if found.confidence >= classifier.spec.threshold else OUT_OF_SCOPE)
    return _shares(rows, taken)


def _shares(rows: Sequence[Example], taken: Sequence[str]) -> tuple[float, float | None]:
    """Share of rows in scope that came to their route, and of those out of scope that came to none."""
    known = [route == row.route for row, route in zip(rows, taken, strict=True) if row.route != OUT_OF_SCOPE]
    unknown = [route == OUT_OF_SCOPE for row, route in zip(rows, taken, strict=True) if row.route == OUT_OF_SCOPE]
    return float(np.mean(known)), float(np.mean(unknown)) if unknown else None


def _batch_us(classifier: Classifier, texts: Sequence[str]) -> float:
    """Median cost of a text in batches of 8, text to scores."""
    costs_us = []
    for at in range(0, len(texts) - _BATCH + 1, _BATCH):
        batch = [Question(text) for text in texts[at : at + _BATCH]]
        started_ns = perf_counter_ns()
        classifier.scores_many(batch)
        costs_us.append((perf_counter_ns() - started_ns) / (1_000 * _BATCH))
    return float(np.median(costs_us))


def linear_svc(data: DataSet, seed: int, encoder: Path | None) -> Figures:
    """TF-IDF of words and pairs with a linear SVM. Its margins are no probabilities; its size is that of its pickle."""
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(random_state=seed))
    started = perf_counter()
    model.fit([row.text for row in data.train], [row.route for row in data.train])
    train_s = perf_counter() - started
    margins, costs_us = [], []
    for row in data.test:
        started_ns = perf_counter_ns()
        margins.append(model.decision_function([row.text])[0])
        costs_us.append((perf_counter_ns() - started_ns) / 1_000)
    scores, labels = np.stack(margins), model.classes_
    familiar = scores[:, labels != OUT_OF_SCOPE].max(axis=1)
    judged = _judge(data.test, labels[scores.argmax(axis=1)].tolist(), scores.max(axis=1), familiar)
    p50_us, p99_us = np.percentile(costs_us, (50, 99))
    return Figures(
        accuracy=judged.accuracy,
        auroc=judged.auroc,
        coverage90=judged.coverage90,
        bytes=len(pickle.dumps(model)),
        train_s=train_s,
        p50_us=float(p50_us),
        p99_us=float(p99_us),
        version=f"scikit-learn {sklearn.__version__}",
    )


def semantic_router(data: DataSet, seed: int, encoder: Path | None) -> Figures:
    """As its documentation has it: mean similarity of a route's utterances among the nearest five."""
    return _semantic_router(data, seed, encoder, ("mean",))


def semantic_router_tuned(data: DataSet, seed: int, encoder: Path | None) -> Figures:
    """The aggregation chosen by its own `evaluate`, on the queries that `fit` gets."""
    return _semantic_router(data, seed, encoder, ("mean", "max", "sum"))


def _semantic_router(data: DataSet, seed: int, encoder: Path | None, aggregations: tuple[str, ...]) -> Figures:
    """Ask the peer's own process. What is out of scope belongs to no route: it is fitted on, never an utterance."""
    assert encoder is not None
    kept, checked = list(data.train), data.validation
    if checked is None:
        kept, checked = hold_out(data.train, _CHECKED_SHARE, seed)
    unknown = [row for row in kept if row.route == OUT_OF_SCOPE]
    answer = peer_process.start(encoder).ask(
        {
            "train": [(row.text, row.route) for row in data.train if row.route != OUT_OF_SCOPE],
            "kept": [(row.text, row.route) for row in kept if row.route != OUT_OF_SCOPE],
            "checked": [(row.text, None if row.route == OUT_OF_SCOPE else row.route) for row in [*checked, *unknown]],
            "test": [row.text for row in data.test],
            "aggregations": aggregations,
        }
    )
    confidence = np.array(answer.confidences)
    judged = _judge(data.test, answer.answers, confidence, confidence)
    taken = [
        route if sure >= _PEER_THRESHOLD else OUT_OF_SCOPE
        for route, sure in zip(answer.answers, answer.confidences, strict=True)
    ]
    routed, refused = _shares(data.test, taken)
    p50_us, p99_us = np.percentile(answer.costs_ns, (50, 99)) / 1_000
    return Figures(
        accuracy=judged.accuracy,
        auroc=judged.auroc,
        ece=judged.ece,
        coverage90=judged.coverage90,
        routed=routed,
        refused=refused,
        bytes=(encoder / "model.safetensors").stat().st_size,
        train_s=answer.train_s,
        p50_us=float(p50_us),
        p99_us=float(p99_us),
        version=answer.version,
    )


class _Judged(NamedTuple):
    """As in `Figures`; `ece` only means something where confidences are probabilities."""

    accuracy: float
    auroc: float | None
    ece: float
    coverage90: float


def _judge(
    rows: Sequence[Example], answers: Sequence[str], confidence: NDArray[np.float64], familiar: NDArray[np.float64]
) -> _Judged:
    """Compare likeliest answers with the truth. `familiar`: confidence in the likeliest route."""
    truth = np.array([row.route for row in rows])
    known = truth != OUT_OF_SCOPE
    correct = np.array(answers)[known] == truth[known]
    surest = np.argsort(-confidence[known], kind="stable")[: round(_COVERED_SHARE * len(correct))]
    return _Judged(
        accuracy=float(correct.mean()),
        auroc=None if known.all() else auroc(familiar[known], familiar[~known]),
        ece=ece(np.clip(confidence[known], 0, 1), correct),
        coverage90=float(correct[surest].mean()),
    )


def encoder_directory(named: Path | None) -> Path | None:
    """Where MiniLM's weights are: `named`, or in the package that carries them, where it is installed."""
    if named is not None:
        return named.resolve()
    found = find_spec(PACKAGE)
    return None if found is None or found.origin is None else Path(found.origin).with_name("model")


class Contender(NamedTuple):
    """Who is measured, and how.

    `is_seeded`: another seed makes another model of the same rows; where it does not, all rows are measured once.
    """

    measure: Callable[[DataSet, int, Path | None], Figures]
    needs_encoder: bool
    is_seeded: bool


CONTENDERS = {
    "Takt small": Contender(takt_small, needs_encoder=False, is_seeded=True),
    "Takt large": Contender(takt_large, needs_encoder=True, is_seeded=True),
    "Takt large, accurate": Contender(takt_accurate, needs_encoder=True, is_seeded=True),
    "TF-IDF + LinearSVC": Contender(linear_svc, needs_encoder=False, is_seeded=False),
    "semantic-router": Contender(semantic_router, needs_encoder=True, is_seeded=False),
    "semantic-router, tuned": Contender(semantic_router_tuned, needs_encoder=True, is_seeded=False),
}
