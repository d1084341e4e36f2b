"""From labelled texts to a directory of models: train, calibrate, quantise, verify."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from models import calibrate, errors, quantize, registry
from models.classifier import Classifier
from models.data import digest
from models.evaluate import routes_of, scope_of, score, truth_of
from models.features import Features
from models.spec import OUT_OF_SCOPE, FeatureSpec, Manifest, RungManifest, write_manifest
from models.table import Rows, Settings, Table, count_ids, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Progress = Callable[[str, int, int], None]
    Steps = Callable[[int, int], None]

_HELD_OUT_SHARE = 0.1
_SMALL_ROWS = 2_000  # below this a tenth is too few to calibrate on: five folds, so that every row is held out once
_FOLDS = 5
_MIN_PER_ROUTE = 2  # one to learn from, one to check with
_TELLING_ROWS = 20  # on fewer held-out rows a good rung may miss the largest route's share by chance
_COMPARED_TEXTS = 200
_MAX_OFF = 1e-3  # of a logit: the same answers, but for ties; sums of float32 in another order differ by some 1e-5


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that tells one rung from another."""

    features: FeatureSpec
    settings: Settings


RECIPES = {
    "small": Recipe(features=FeatureSpec(), settings=Settings()),
    "large": Recipe(features=FeatureSpec(bits=17), settings=Settings(members=8, width=160)),
}


class _HeldOut(NamedTuple):
    """What tables said of rows they had not seen."""

    fp32: NDArray[np.float32]
    int8: NDArray[np.float32]
    truth: NDArray[np.int64]


def _silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""


def train(
    examples: Sequence[tuple[str, str]],
    out_dir: Path,
    seed: int = 0,
    progress: Progress = _silent,
    rungs: Sequence[str] = ("small",),
    validation: Sequence[tuple[str, str]] | None = None,
) -> Manifest:
    """Train `rungs` on (text, route) rows and write them to `out_dir` with their manifest.

    Rows with the route `oos` teach what belongs to no route. Without `validation` rows, temperature, threshold and
    the figures of the manifest come from rows held out of a first training, and the model written learns from all.
    The same rows and seed give the same files.

    Args: progress: called with stage, steps done and steps in all.
    Raises: DataError: too few routes or examples; QualityRefused: a rung of no use, or int8 costs too much accuracy.
    """
    labels = _labels(examples)
    out_dir.mkdir(parents=True, exist_ok=True)
    specs = []
    for name in rungs:
        recipe = RECIPES[name]
        rows = _count(examples, labels, recipe.features)
        learn = partial(_learn, recipe.settings, len(labels), seed)
        if validation is None:
            held_out = _cross_check(rows, seed, learn, partial(progress, f"check {name}"))
            table = learn(partial(progress, f"train {name}"), rows)
        else:
            table = learn(partial(progress, f"train {name}"), rows)
            held_out = _ask(table, _count(validation, labels, recipe.features))
        spec = _finish(name, table, held_out, labels, out_dir)
        classifier = Classifier(labels, spec, out_dir, registry.verify(out_dir / spec.file, spec.sha256))
        _compare(classifier, table, rows.counts, [text for text, _ in examples])
        p50_ns, p99_ns = registry.warm_up(classifier, out_dir)
        specs.append(msgspec.structs.replace(spec, p50_us=p50_ns / 1_000, p99_us=p99_ns / 1_000))
    manifest = Manifest(
        labels=labels,
        rungs=tuple(specs),
        seed=seed,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=len(examples),
        data_sha256=digest(examples),
    )
    write_manifest(out_dir, manifest)
    return manifest


def _labels(examples: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Sorted labels. Raises: DataError: there is nothing to choose from, or nothing to check with."""
    number = Counter(route for _, route in examples)
    routes = sorted(number.keys() - {OUT_OF_SCOPE})
    if len(routes) < 2:  # noqa: PLR2004
        raise errors.DataError(f"two routes or more are needed to train on; found: {', '.join(routes) or 'none'}")
    short = [label for label in sorted(number) if number[label] < _MIN_PER_ROUTE]
    if short:
        raise errors.DataError(
            f"{_MIN_PER_ROUTE} examples or more are needed of each route; add some of: {', '.join(short)}"
        )
    return tuple(sorted(number))


def _count(examples: Sequence[tuple[str, str]], labels: tuple[str, ...], spec: FeatureSpec) -> Rows:
    """Count ids and number labels."""
    counts = count_ids([text for text, _ in examples], Features(spec), spec.buckets)
    return Rows(counts, truth_of([route for _, route in examples], labels))


def _learn(settings: Settings, labels: int, seed: int, progress: Steps, rows: Rows) -> Table:
    """Train on `rows`; the same seed whatever was trained before."""
    return fit(rows, labels, settings, np.random.default_rng(seed), progress)


def _cross_check(rows: Rows, seed: int, learn: Callable[[Steps, Rows], Table], progress: Steps) -> _HeldOut:
    """Answers to rows held out of trainings on the rest."""
    parts = []
    folds = _folds(rows.truth, np.random.default_rng(seed))
    for number, held in enumerate(folds):
        table = learn(partial(_report, progress, number, len(folds)), Rows(rows.counts[~held], rows.truth[~held]))
        parts.append(_ask(table, Rows(rows.counts[held], rows.truth[held])))
    return _HeldOut(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _report(progress: Steps, fold: int, folds: int, done: int, total: int) -> None:
    """Tell how far all folds are when one of them has done `done` steps of `total`."""
    progress(fold * total + done, folds * total)


def _folds(truth: NDArray[np.int64], rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Rows to hold out, as masks: a tenth once, or of few rows each fifth in turn; alike for all labels."""
    folds, kept = (_FOLDS, _FOLDS) if len(truth) < _SMALL_ROWS else (round(1 / _HELD_OUT_SHARE), 1)
    fold = np.empty(len(truth), np.int64)
    for label in np.unique(truth):
        rows = np.flatnonzero(truth == label)
        fold[rows] = (rng.permutation(len(rows)) + rng.integers(folds)) % folds
    return [fold == number for number in range(kept) if (fold == number).any()]


def _ask(table: Table, rows: Rows) -> _HeldOut:
    """Score `rows` with `table`, before and after rounding."""
    return _HeldOut(table.logits(rows.counts), quantize.rounded(table).logits(rows.counts), rows.truth)


def _finish(name: str, table: Table, held_out: _HeldOut, labels: tuple[str, ...], out_dir: Path) -> RungManifest:
    """Calibrate, check, write; costs are not measured yet."""
    known = held_out.truth >= 0
    temperature = calibrate.fit_temperature(held_out.int8[known], held_out.truth[known])
    served = score(held_out.int8, held_out.truth, labels, temperature)
    accuracy_fp32 = score(held_out.fp32, held_out.truth, labels, temperature).accuracy
    in_scope = held_out.truth[scope_of(held_out.truth, labels)]
    _check_use(name, served.accuracy, in_scope, labels)
    quantize.check_loss(accuracy_fp32, served.accuracy, len(in_scope))
    path, fp32_path = out_dir / f"{name}.onnx", out_dir / f"{name}.fp32.onnx"
    quantize.write_int8(table, path)
    quantize.write_fp32(table, fp32_path)
    return RungManifest(
        name=name,
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        bytes=path.stat().st_size,
        fp32_file=fp32_path.name,
        fp32_sha256=hashlib.sha256(fp32_path.read_bytes()).hexdigest(),
        features=RECIPES[name].features,
        temperature=temperature,
        threshold=_threshold(held_out, labels, temperature),
        accuracy=served.accuracy,
        accuracy_fp32=accuracy_fp32,
        ece=served.ece,
        auroc_oos=served.auroc_oos,
        p50_us=0,
        p99_us=0,
    )


def _check_use(name: str, accuracy: float, truth: NDArray[np.int64], labels: tuple[str, ...]) -> None:
    """Raises: QualityRefused: always answering the most frequent label of `truth` would do as well."""
    number = np.bincount(truth)
    share = number.max() / len(truth)
    if len(truth) >= _TELLING_ROWS and accuracy <= share:
        raise errors.QualityRefused(
            f"{name}: right on {100 * accuracy:.1f} % of {len(truth)} held-out rows; to answer always"
            f" {labels[number.argmax()]!r} is right {100 * share:.1f} %; look for texts under wrong routes"
        )


def _compare(classifier: Classifier, table: Table, counts: csr_matrix, texts: Sequence[str]) -> None:
    """Raises: QualityRefused: what would be served is not what was trained, on a sample of `texts`."""
    sample = slice(None, None, -(-len(texts) // _COMPARED_TEXTS))
    texts = texts[sample]
    served = np.stack([classifier.logits(text) for text in texts])
    trained = quantize.rounded(table).logits(counts[sample])
    off = np.abs(served - trained).max(axis=1)
    worst = int(off.argmax())
    if off[worst] > _MAX_OFF:
        raise errors.QualityRefused(
            f"{classifier.spec.file}: the graph gives other logits than the trained table, off by {off[worst]:.2g} on"
            f" {texts[worst]!r}; this is a fault of Takt or of the runtime, not of the examples"
        )


def _threshold(held_out: _HeldOut, labels: tuple[str, ...], temperature: float) -> float:
    """Confidence from which a route is taken; texts answered "out of scope" are taken nowhere."""
    shares = calibrate.softmax(held_out.int8, temperature)
    answers = shares.argmax(axis=1)
    routed = routes_of(labels)[answers]
    return calibrate.fit_threshold(shares.max(axis=1)[routed], (answers == held_out.truth)[routed])
