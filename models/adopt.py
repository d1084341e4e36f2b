"""A rung that was made elsewhere: any ONNX classifier whose inputs `models.inputs` can feed joins a version of models.

It is asked about labelled rows, because a confidence means nothing before it has been compared with what is right.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from models import calibrate, errors, registry
from models.canary import CANARY_FILE
from models.candidate import check_use
from models.classifier import Classifier
from models.data import Example, Row, digest
from models.evaluate import routes_of, scope_of, score, truth_of
from models.findings.checked import RungCheck, routed
from models.findings.coverage import assess, with_kept
from models.inputs import ColumnFeeder, NgramFeeder, PieceFeeder, TextFeeder
from models.session import CPU, Session
from models.small import SMALL
from models.spec import (
    FeatureSpec,
    Manifest,
    PieceSpec,
    RungManifest,
    read_manifest,
    verify,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.session import Port

_CANARY_ROWS = 200
_SUM_OFF = 0.01  # of probabilities, from 1; float16 graphs round
_INPUTS = {name for feeder in (NgramFeeder, PieceFeeder, ColumnFeeder, TextFeeder) for name in feeder.ports}


class Foreign(Struct, frozen=True, kw_only=True):
    """What is known of a graph that Takt did not write.

    `labels` are its answers in their order; None: those of the version it joins. `tokenizer` is a `tokenizer.json`, for
    a graph that reads word pieces. `ngrams` are for one that reads ids of n-grams. Columns are fed as to the
    version it joins.
    """

    name: str
    graph: Path
    labels: tuple[str, ...] | None = None
    output: Literal["logits", "probabilities"] = "logits"
    tokenizer: Path | None = None
    max_pieces: int = 64
    ngrams: FeatureSpec | None = None


class _Joined(NamedTuple):
    """What a version already has, and may be nothing."""

    manifest: Manifest | None
    others: tuple[RungManifest, ...]


def adopt(
    foreign: Foreign,
    base: Path | None,
    rows: Sequence[Row],
    out_dir: Path,
    *,
    kept_accuracy: float = calibrate.KEPT_ACCURACY,
    providers: Sequence[str] = CPU,
) -> Manifest:
    """Write a version to `out_dir`: the rungs of the version `base`, and the foreign one in place of its name's.

    Args: rows: with the values of the columns, and not those that the graph learned from; they decide its temperature
        and threshold, and are the version's canary.
    Raises: DataError: a file cannot be read, is no graph that can be fed, or has another number of labels, or a row's
        route is unknown; BadOutput: NaN; QualityRefused: it is of no use.
    """
    joined = _join(base, foreign.name)
    labels = foreign.labels or (() if joined.manifest is None else joined.manifest.labels)
    if not labels:
        raise errors.DataError(
            f"{foreign.graph}: its labels are not known: no version of models has any; name a file of them, --labels"
        )
    for rung in joined.others if base is not None else ():
        for file, sha256 in registry.files_of(rung):
            (out_dir / file).write_bytes(verify(base / file, sha256))  # type: ignore[operator] # it is not None
    classifier = _load(foreign, labels, joined, out_dir, providers)
    examples = [Example(*row) for row in rows]
    spec = _judge(classifier, examples, kept_accuracy, out_dir)
    if joined.manifest is not None and labels == joined.manifest.labels:
        spec = replace(spec, labels=None)
    note = f"rung `{foreign.name}` was made elsewhere; its figures are of {len(rows)} rows that were given with it"
    manifest = joined.manifest or Manifest(
        labels=labels, rungs=(), seed=0, created_at="", rows=len(rows), data_sha256=digest(rows)
    )
    kept_notes = tuple(each for each in manifest.notes if f"rung `{foreign.name}`" not in each)
    rungs = sorted((*joined.others, spec), key=lambda rung: rung.name != SMALL)  # sorted() keeps the others' order
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = replace(manifest, rungs=tuple(rungs), created_at=made_at, notes=(*kept_notes, note))
    known = [row for row in examples if row.route in labels]
    canary = known[:: -(-len(known) // _CANARY_ROWS)]
    (out_dir / CANARY_FILE).write_bytes(msgspec.json.encode(canary))
    write_manifest(out_dir, manifest)
    return manifest


def _join(base: Path | None, name: str) -> _Joined:
    """The rungs of `base` but the one of that name."""
    if base is None:
        return _Joined(None, ())
    manifest = read_manifest(base)
    return _Joined(manifest, tuple(rung for rung in manifest.rungs if rung.name != name))


def _load(
    foreign: Foreign, labels: tuple[str, ...], joined: _Joined, out_dir: Path, providers: Sequence[str]
) -> Classifier:
    """The rung, with its files in `out_dir`. Raises: DataError: what of them can't be used, by the names given."""
    graph, pieces = _read(foreign.graph), None
    file, tokenizer = f"{foreign.name}.onnx", f"{foreign.name}.tokenizer.json"
    (out_dir / file).write_bytes(graph)
    if foreign.tokenizer is not None:
        content = _read(foreign.tokenizer)
        (out_dir / tokenizer).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        pieces = PieceSpec(file=tokenizer, sha256=sha256, max_pieces=foreign.max_pieces)
    columns = () if joined.manifest is None else joined.manifest.columns
    spec = RungManifest(
        name=foreign.name,
        file=file,
        sha256=hashlib.sha256(graph).hexdigest(),
        bytes=len(graph),
        features=foreign.ngrams,
        pieces=pieces,
        columns=columns,
        labels=labels,
        output=foreign.output,
        temperature=1.0,  # from here on nothing is known yet
        threshold=0.0,
        accuracy=0.0,
        accuracy_fp32=0.0,
        ece=0.0,
        auroc_oos=None,
        p50_us=0,
        p99_us=0,
    )
    try:
        inputs = Session(out_dir / file, graph, providers).inputs
        _check_inputs(foreign.graph, inputs, spec)
        spec = replace(spec, columns=columns if "columns" in inputs else ())
        return Classifier(labels, spec, out_dir, graph, providers)
    except errors.BadFile as error:
        named = foreign.tokenizer if error.path.name == tokenizer else foreign.graph
        raise errors.DataError(f"{named}: {error.problem}") from error


def _check_inputs(path: Path, inputs: Mapping[str, Port], spec: RungManifest) -> None:
    """Raises: DataError: an input that nothing feeds, and what would."""
    if unknown := sorted(inputs.keys() - _INPUTS):
        known = ", ".join(sorted(_INPUTS))
        raise errors.DataError(f"{path}: nothing feeds the input {', '.join(unknown)}; those there may be are {known}")
    needs = {
        "ids": (spec.features, "hashed n-grams: say how many buckets, --ngram-bits"),
        "input_ids": (spec.pieces, "word pieces: name their --tokenizer"),
        "columns": (spec.columns, "columns, and there is no version of models that was trained with any"),
    }
    for name, (given, what) in needs.items():
        if name in inputs and not given:
            raise errors.DataError(f"{path}: the input {name} reads {what}")


def _judge(classifier: Classifier, rows: Sequence[Example], kept_accuracy: float, out_dir: Path) -> RungManifest:
    """Ask it about the rows: what its confidences mean, from where on a route is taken, and what it is worth."""
    labels, name = classifier.labels, classifier.spec.name
    truth = truth_of([row.route for row in rows], labels)
    try:
        p50_ns, p99_ns = registry.warm_up(classifier, out_dir)
    except errors.BadFile as error:
        raise errors.BadOutput(f"{name}: {error.problem}") from error
    logits = _ask(classifier, rows)
    known = truth >= 0
    if not known.any():
        raise errors.DataError("no row is in scope; there is nothing to compare its answers with")
    temperature = calibrate.fit_temperature(logits[known], truth[known])
    served = score(logits, truth, labels, temperature)
    check_use(name, served.accuracy, truth[scope_of(truth, labels)], labels)
    check = RungCheck(name, calibrate.softmax(logits, temperature), 0.0)
    taken = routed(check, routes_of(labels))
    right = check.shares.argmax(axis=1) == truth
    threshold = calibrate.fit_threshold(check.shares.max(axis=1)[taken], right[taken], kept_accuracy)
    spec = replace(
        classifier.spec,
        temperature=temperature,
        threshold=threshold,
        accuracy=served.accuracy,
        accuracy_fp32=served.accuracy,
        ece=served.ece,
        auroc_oos=served.auroc_oos,
        p50_us=p50_ns / 1_000,
        p99_us=p99_ns / 1_000,
    )
    return with_kept(spec, assess(check._replace(threshold=threshold), truth, labels))


def _ask(classifier: Classifier, rows: Sequence[Example]) -> NDArray[np.float32]:
    """Its logits for each row. Raises: BadOutput: NaN, probabilities that are none, or logits that are."""
    answers = [classifier.scores(row.text, row.values) for row in rows]
    for answer in answers:
        classifier.interpret(answer)  # raises for what is no answer
    logits = np.stack([answer.logits for answer in answers])
    if classifier.spec.output == "probabilities":
        sums = np.exp(logits).sum(axis=1)
        worst = int(np.abs(sums - 1).argmax())
        if abs(sums[worst] - 1) > _SUM_OFF:
            raise errors.BadOutput(
                f"{classifier.spec.name}: the probabilities of {rows[worst].text!r} add up to {sums[worst]:.3g}, not 1;"
                " are they logits?"
            )
    elif (logits >= 0).all() and (np.abs(logits.sum(axis=1) - 1) <= _SUM_OFF).all():
        raise errors.BadOutput(f"{classifier.spec.name}: its logits add up to 1; they are probabilities, so say so")
    return logits


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.DataError(f"{path}: cannot be read ({error.strerror})") from error
