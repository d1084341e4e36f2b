"""What a directory of models is worth on labelled rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct

from models import registry
from models.calibrate import ece, softmax
from models.classifier import Classifier, Scores
from models.data import Example, Row
from models.errors import DataError
from models.inputs import Question
from models.spec import OUT_OF_SCOPE, verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_COVERED_SHARE = 0.9


class Score(Struct, frozen=True, kw_only=True):
    """Quality of logits; shares in 0..1, None where no row tells.

    `accuracy`, `ece`, `coverage90_accuracy` are of the in-scope rows; a row answered "out of scope" is wrong there.
    Neither threshold nor familiarity is asked for them: what those refuse would have been right or wrong all the same.
    `coverage90_accuracy`: accuracy on the 90 % with the highest confidence. `auroc_oos`: in scope against out of
    scope by what the rung decides it by: its familiarity, or the highest confidence in any route.
    """

    accuracy: float
    ece: float
    coverage90_accuracy: float
    auroc_oos: float | None


class RungReport(Struct, frozen=True, kw_only=True):
    """One rung on the rows given; costs are text to prediction, one text at a time.

    `accuracy_fp32` is None for a rung that came without a float32 graph.
    """

    accuracy: float
    auroc_oos: float | None
    ece: float
    accuracy_fp32: float | None
    p50_us: float
    p99_us: float
    bytes: int
    coverage90_accuracy: float


class Report(Struct, frozen=True, kw_only=True):
    """All rungs on the same `n` rows."""

    n: int
    rungs: dict[str, RungReport]


def evaluate(models_dir: Path, rows: Sequence[Row]) -> Report:
    """Score every rung of `models_dir` on rows; the route `oos` marks rows out of scope.

    Args: rows: (text, route), or with the values of the manifest's columns, in their order.
    Raises: DataError: no row in scope, or a route that the models don't know; ManifestError, BadFile.
    """
    loaded = registry.load(models_dir)
    labels = loaded.manifest.labels
    examples = [Example(*row) for row in rows]
    questions = [Question(row.text, row.values) for row in examples]
    routes = [row.route for row in examples]
    truth = truth_of(routes, labels)
    rungs = {}
    for name, rung in loaded.rungs.items():
        classifier = rung.classifier
        own = truth if classifier.labels == labels else truth_of(routes, _with(classifier.labels, labels))
        answers, costs_ns = registry.ask(classifier, questions)
        p50_ns, p99_ns = registry.quantiles(costs_ns)
        served = _score(classifier, answers, own)
        rungs[name] = RungReport(
            accuracy=served.accuracy,
            auroc_oos=served.auroc_oos,
            ece=served.ece,
            accuracy_fp32=_accuracy_fp32(classifier, labels, models_dir, questions, own),
            p50_us=p50_ns / 1_000,
            p99_us=p99_ns / 1_000,
            bytes=classifier.spec.bytes,
            coverage90_accuracy=served.coverage90_accuracy,
        )
    return Report(n=len(rows), rungs=rungs)


def _accuracy_fp32(
    classifier: Classifier,
    labels: tuple[str, ...],
    models_dir: Path,
    questions: Sequence[Question],
    truth: NDArray[np.int64],
) -> float | None:
    """Accuracy of the rung before its weights were rounded, where it has been kept."""
    spec = classifier.spec
    if spec.fp32_file is None or spec.fp32_sha256 is None:
        return None
    graph = verify(models_dir / spec.fp32_file, spec.fp32_sha256)
    whole = Classifier(labels, msgspec.structs.replace(spec, file=spec.fp32_file), models_dir, graph)
    return _score(whole, registry.ask(whole, questions)[0], truth).accuracy


def _score(classifier: Classifier, answers: Sequence[Scores], truth: NDArray[np.int64]) -> Score:
    """Score what `classifier` answered."""
    familiarity = None
    if classifier.spec.familiarity is not None:
        familiarity = np.array([answer.familiarity for answer in answers], np.float32)
    logits = np.stack([answer.logits for answer in answers])
    missing = max(0, int(truth.max()) + 1 - logits.shape[1])  # a route that it doesn't know it never answers
    logits = np.pad(logits, ((0, 0), (0, missing)), constant_values=-np.inf)
    known = (*classifier.labels, *("",) * missing)
    return score(logits, truth, known, classifier.spec.temperature, familiarity)


def _with(own: tuple[str, ...], labels: tuple[str, ...]) -> tuple[str, ...]:
    """A rung's own labels, and behind them those that only other rungs know."""
    return (*own, *(label for label in labels if label not in own and label != OUT_OF_SCOPE))


def truth_of(routes: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """Index of each row's label; -1 where the row is out of scope and no label says so. Raises: DataError."""
    index = {label: i for i, label in enumerate(labels)}
    index.setdefault(OUT_OF_SCOPE, -1)
    for number, route in enumerate(routes, 1):
        if route not in index:
            raise DataError(f"row {number}: route {route!r} is none of the {len(labels)} the models know")
    return np.array([index[route] for route in routes], np.int64)


def routes_of(labels: Sequence[str]) -> NDArray[np.bool_]:
    """Which labels are routes."""
    return np.array([label != OUT_OF_SCOPE for label in labels])


def scope_of(truth: NDArray[np.int64], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Which rows belong to a route."""
    return (truth >= 0) & routes_of(labels)[truth]


def score(
    logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    labels: Sequence[str],
    temperature: float,
    familiarity: NDArray[np.float32] | None = None,
) -> Score:
    """Quality of `logits`. Raises: DataError: no row is in scope.

    Shapes: logits: float32[n, labels], truth: int64[n] as of `truth_of`, familiarity: float32[n].
    """
    routes, in_scope = routes_of(labels), scope_of(truth, labels)
    if not in_scope.any():
        raise DataError("no row is in scope; there is nothing to score")
    shares = softmax(logits, temperature)
    confidence = shares[in_scope].max(axis=1)
    correct = shares[in_scope].argmax(axis=1) == truth[in_scope]
    surest = np.argsort(-confidence, kind="stable")[: max(1, round(_COVERED_SHARE * len(confidence)))]
    familiar = shares[:, routes].max(axis=1) if familiarity is None else familiarity
    return Score(
        accuracy=float(correct.mean()),
        ece=ece(confidence, correct),
        coverage90_accuracy=float(correct[surest].mean()),
        auroc_oos=None if in_scope.all() else auroc(familiar[in_scope], familiar[~in_scope]),
    )


def auroc(above: NDArray[np.float32], below: NDArray[np.float32]) -> float:
    """Share of pairs in which the value of `above` is the higher; ties count half (Mann-Whitney)."""
    ordered = np.sort(below)
    wins = np.searchsorted(ordered, above, side="left") + np.searchsorted(ordered, above, side="right")
    return float(wins.mean() / (2 * len(below)))
