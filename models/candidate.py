"""A trained rung on its way into a manifest: calibrate, check, write, compare, measure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import numpy as np

from models import calibrate, errors, quantize, registry
from models.classifier import Classifier
from models.evaluate import auroc, routes_of, scope_of, score
from models.findings import RungCheck
from models.graph import TEXTS, Graph
from models.spec import ColumnSpec, FeatureSpec, PieceSpec, RungManifest, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.columns import Value

    Array = NDArray[np.float32]
    Measure = Literal["share", "cosine", "both"]

_TELLING_ROWS = 20  # on fewer held-out rows a good rung may miss the largest route's share by chance
_REFUSED_SHARE = 0.02  # of the rows that belong to a route and were answered right, for being unlike them
_CLEAR_GAIN = 0.005  # of AUROC, before a text's cosine is asked beside its share: a second threshold is a cost
_NEARNESS = 0.02  # of AUROC: see `pick_measure`
_MAX_OFF = 0.02  # of a logit; sums in another order differ by some 1e-5, and may move an int8 by a step: 0.005 was seen


class HeldOut(NamedTuple):
    """What a rung said of rows it had not seen, and where it has sentence vectors, of length 1, those.

    Shapes: int8, fp32: [n, labels], truth, cosine: [n], vectors: [n, width].
    """

    int8: Array
    fp32: Array
    truth: NDArray[np.int64]
    cosine: Array | None = None
    vectors: Array | None = None


class Unknowns(NamedTuple):
    """What a rung said of texts of routes that were kept from it (their truth is -1), and of texts of the others."""

    labels: tuple[str, ...]
    held_out: HeldOut


class Nodes(NamedTuple):
    """What a rung adds to a graph: the node of its logits, and of the cosine to the nearest route."""

    logits: str
    cosine: str | None


class Candidate(NamedTuple):
    """A rung that has been trained and asked.

    `add` adds its nodes, with int8 weights or float32 ones; `expected` are the logits that the int8 graph must give
    for `sample`, with `values` beside each text where it has `columns`; they are computed apart from it.
    """

    name: str
    held_out: HeldOut
    add: Callable[[Graph, bool], Nodes]
    sample: Sequence[str]
    expected: Array
    features: FeatureSpec | None = None
    pieces: PieceSpec | None = None
    unknowns: Unknowns | None = None
    columns: tuple[ColumnSpec, ...] = ()
    values: Sequence[tuple[Value, ...]] = ()


class Terms(NamedTuple):
    """What is asked of every rung."""

    labels: tuple[str, ...]
    kept_accuracy: float


def finish(candidate: Candidate, terms: Terms, out_dir: Path) -> tuple[RungManifest, RungCheck]:
    """Calibrate, write and check; the files are in `out_dir`.

    Returns: what goes into the manifest, and what the rung said of the held-out rows, calibrated.
    Raises: QualityRefused.
    """
    name, held_out, labels = candidate.name, candidate.held_out, terms.labels
    known = held_out.truth >= 0
    temperature = calibrate.fit_temperature(held_out.int8[known], held_out.truth[known])
    measure = pick_measure(candidate, labels, temperature)
    familiarity = familiarity_of(measure, held_out, labels, temperature)
    served = score(held_out.int8, held_out.truth, labels, temperature, familiarity)
    accuracy_fp32 = score(held_out.fp32, held_out.truth, labels, temperature).accuracy
    in_scope = held_out.truth[scope_of(held_out.truth, labels)]
    check_use(name, served.accuracy, in_scope, labels)
    in_rows = scope_of(held_out.truth, labels)
    right_fp32, right_int8 = (each.argmax(axis=1)[in_rows] == in_scope for each in (held_out.fp32, held_out.int8))
    quantize.check_loss(right_fp32, right_int8)
    for file, int8 in ((f"{name}.onnx", True), (f"{name}.fp32.onnx", False)):
        (out_dir / file).write_bytes(_graph(candidate, measure, temperature, labels, int8=int8))
    path, fp32_path = out_dir / f"{name}.onnx", out_dir / f"{name}.fp32.onnx"
    limit = None if familiarity is None else _limit(familiarity, held_out, labels)
    spec = RungManifest(
        name=name,
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        bytes=path.stat().st_size,
        fp32_file=fp32_path.name,
        fp32_sha256=hashlib.sha256(fp32_path.read_bytes()).hexdigest(),
        features=candidate.features,
        pieces=candidate.pieces,
        columns=candidate.columns,
        temperature=temperature,
        threshold=_threshold(held_out, labels, temperature, terms.kept_accuracy, familiarity, limit),
        familiarity=limit,
        accuracy=served.accuracy,
        accuracy_fp32=accuracy_fp32,
        ece=served.ece,
        auroc_oos=served.auroc_oos,
        p50_us=0,
        p99_us=0,
    )
    classifier = Classifier(labels, spec, out_dir, verify(path, spec.sha256))
    _compare(classifier, candidate)
    p50_ns, p99_ns = registry.warm_up(classifier, out_dir)
    familiar = None if familiarity is None or limit is None else familiarity >= limit
    check = RungCheck(name, calibrate.softmax(held_out.int8, temperature), spec.threshold, familiar)
    return msgspec.structs.replace(spec, p50_us=p50_ns / 1_000, p99_us=p99_ns / 1_000), check


def _graph(candidate: Candidate, measure: Measure, temperature: float, labels: tuple[str, ...], *, int8: bool) -> bytes:
    """The file: logits, and where it tells more than they do, how familiar a text is."""
    graph = Graph()
    nodes = candidate.add(graph, int8)
    outputs: dict[str, tuple[str, tuple[int | str, ...]]] = {"logits": (nodes.logits, (TEXTS, len(labels)))}
    if measure != "share" and nodes.cosine is not None:
        node = nodes.cosine
        if measure == "both":
            cooled = graph.node("Mul", nodes.logits, graph.constant(1 / temperature))
            routes = graph.constant(np.flatnonzero(routes_of(labels)))
            shares = graph.node("Gather", graph.node("Softmax", cooled, axis=-1), routes, axis=-1)
            node = graph.node("Add", node, graph.node("ReduceMax", shares, graph.axes(-1), keepdims=0))
        outputs["familiarity"] = node, (TEXTS,)
    return graph.finish(outputs)


def pick_measure(candidate: Candidate, labels: tuple[str, ...], temperature: float) -> Measure:
    """What tells texts of no route best from the others: the share of the likeliest route, the cosine, or their sum.

    Judged on held-out rows out of scope. Where there are none, texts of routes that were kept from the rung stand for
    them; those are nearer to the known routes than most of what belongs to none, and flatter the share. On CLINC150,
    50 examples a route, with a fifth of the routes kept back: share .952, sum .938; on its real rows out of scope .953,
    .970. So there the sum is taken unless it is clearly worse.
    """
    held_out, unknowns = candidate.held_out, candidate.unknowns
    if held_out.cosine is None:
        return "share"
    found = _measure(held_out, labels, temperature)
    if found is not None:
        best = max(found, key=lambda measure: found[measure])
        return best if found[best] >= found["share"] + _CLEAR_GAIN else "share"
    if unknowns is None:
        return "share"
    known = unknowns.held_out.truth >= 0
    own = calibrate.fit_temperature(unknowns.held_out.int8[known], unknowns.held_out.truth[known])
    pretended = _measure(unknowns.held_out, unknowns.labels, own)
    return "both" if pretended is not None and pretended["both"] >= pretended["share"] - _NEARNESS else "share"


def _measure(held_out: HeldOut, labels: tuple[str, ...], temperature: float) -> dict[Measure, float] | None:
    """AUROC of each measure; None without rows of both kinds."""
    in_scope = scope_of(held_out.truth, labels)
    if in_scope.all() or not in_scope.any():
        return None
    found: dict[Measure, float] = {}
    for measure in ("share", "cosine", "both"):
        values = familiarity_of(measure, held_out, labels, temperature)
        values = _shares(held_out, labels, temperature) if values is None else values
        found[measure] = auroc(values[in_scope], values[~in_scope])
    return found


def familiarity_of(measure: Measure, held_out: HeldOut, labels: tuple[str, ...], temperature: float) -> Array | None:
    """What the graph's second output is for the held-out rows; None: it has none."""
    if measure == "share" or held_out.cosine is None:
        return None
    return held_out.cosine if measure == "cosine" else held_out.cosine + _shares(held_out, labels, temperature)


def _shares(held_out: HeldOut, labels: tuple[str, ...], temperature: float) -> Array:
    """Share of the likeliest route."""
    shares: Array = calibrate.softmax(held_out.int8, temperature)[:, routes_of(labels)].max(axis=1)
    return shares


def _limit(familiarity: Array, held_out: HeldOut, labels: tuple[str, ...]) -> float:
    """Below it a text is out of scope: few of those that were answered right are."""
    right = scope_of(held_out.truth, labels) & (held_out.int8.argmax(axis=1) == held_out.truth)
    return round(float(np.quantile(familiarity[right], _REFUSED_SHARE)), 4) if right.any() else -1.0


def _threshold(
    held_out: HeldOut,
    labels: tuple[str, ...],
    temperature: float,
    kept_accuracy: float,
    familiarity: Array | None,
    limit: float | None,
) -> float:
    """Confidence from which a route is taken; texts answered "out of scope" are taken nowhere."""
    shares = calibrate.softmax(held_out.int8, temperature)
    answers = shares.argmax(axis=1)
    routed = routes_of(labels)[answers]
    if familiarity is not None and limit is not None:
        routed &= familiarity >= limit
    return calibrate.fit_threshold(shares.max(axis=1)[routed], (answers == held_out.truth)[routed], kept_accuracy)


def check_use(name: str, accuracy: float, truth: NDArray[np.int64], labels: tuple[str, ...]) -> None:
    """Raises: QualityRefused: always answering the most frequent label of `truth` would do as well."""
    number = np.bincount(truth)
    share = number.max() / len(truth)
    if len(truth) >= _TELLING_ROWS and accuracy <= share < 1:
        raise errors.QualityRefused(
            f"{name}: right on {100 * accuracy:.1f} % of {len(truth)} held-out rows; to answer always"
            f" {labels[number.argmax()]!r} is right {100 * share:.1f} %; look for texts under wrong routes"
        )


def _compare(classifier: Classifier, candidate: Candidate) -> None:
    """Raises: QualityRefused: what would be served is not what was trained."""
    values = candidate.values or [()] * len(candidate.sample)
    served = np.stack([classifier.scores(*asked).logits for asked in zip(candidate.sample, values, strict=True)])
    off = np.abs(served - candidate.expected).max(axis=1)
    worst = int(off.argmax())
    if off[worst] > _MAX_OFF:
        raise errors.QualityRefused(
            f"{classifier.spec.file}: the graph gives other logits than what was trained, off by {off[worst]:.2g} on"
            f" {candidate.sample[worst]!r}; this is a fault of Takt or of the runtime, not of the examples"
        )
