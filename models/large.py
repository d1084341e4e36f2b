"""The rung `large`: a pretrained encoder with a softmax layer, fused with the table of `small`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models import calibrate, errors, quantize
from models.candidate import Candidate, HeldOut, Nodes, Unknowns
from models.encoder.encode import Vectors, observe
from models.encoder.linear import Exact, Int8, Ranges
from models.evaluate import routes_of, scope_of
from models.head import HEAD, Centroids, Head, find_centroids, fit_head
from models.pieces import MAX_PIECES
from models.spec import OUT_OF_SCOPE, PieceSpec
from models.split import report_part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models import small
    from models.encoder.find import Encoder
    from models.graph import Graph
    from models.table import Table
    from models.task import Progress, Steps, Task

    Array = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Tune = Callable[[Encoder, Sequence[str], NDArray[np.int64], int, Progress], Encoder]

LARGE = "large"
_TOKENIZER_FILE = "tokenizer.json"
FILES = (f"{LARGE}.onnx", f"{LARGE}.fp32.onnx", _TOKENIZER_FILE)
"""What a training of this rung writes."""

_UNKNOWN_SHARE = 0.2  # of the routes, kept from a head to see what tells their texts from the others'
_LEAST_WEIGHT = 0.02  # of the heads together; with less they are not worth a call of milliseconds


@dataclass(slots=True)
class _Encoding:
    """An encoder as it is served, and exactly."""

    encoder: Encoder
    int8: Int8
    served: Vectors
    exact: Vectors


class _Learned(NamedTuple):
    """What one training gives. `int8` knows the range of the vectors too.

    One head reads the whole vector, the other its end only: that one needs fewer examples to be good.
    """

    encoding: _Encoding
    int8: Int8
    heads: tuple[Head, ...]
    centroids: Centroids

    def logits(self, head: Head, vectors: Array) -> Array:
        """What the int8 graph of `head` gives. Shapes: float32[n, width] -> float32[n, labels]."""
        return self.int8.compute(HEAD, vectors, head.weights, head.bias)


class _Said(NamedTuple):
    """What heads say of some rows, one array a head. Shapes: int8, fp32: [n, labels], truth, cosine: [n]."""

    int8: tuple[Array, ...]
    fp32: tuple[Array, ...]
    truth: NDArray[np.int64]
    cosine: Array
    vectors: Array


class _Trainer:
    """Trains on some of a task's rows. Encodes with the pretrained encoder, or with one tuned to just those rows."""

    def __init__(self, task: Task, encoder: Encoder, tune: Tune | None, progress: Progress) -> None:
        self._task, self._encoder, self._tune, self._progress = task, encoder, tune, progress
        self._texts = np.array(task.texts, object)
        self._pretrained = None if tune else self._encoding(encoder)
        self._trainings = task.split.trainings + _is_kept_back(task)
        self._widths = sorted({encoder.network.width, encoder.network.last})
        self._done = 0

    def learn(self, mask: Mask) -> _Learned:
        """Head and centroids from the rows of `mask`."""
        task, encoding = self._task, self._pretrained
        texts, truth = self._texts[mask].tolist(), task.truth[mask]
        if encoding is None and self._tune is not None:
            encoding = self._encoding(self._tune(self._encoder, texts, truth, task.seed, self._progress))
        assert encoding is not None  # one of both is there  # noqa: S101
        vectors = encoding.served.of(texts, self._steps("encode"))
        ranges = Ranges(vectors.shape[1])
        ranges.observe(vectors)
        heads = tuple(self._head(vectors, truth, width) for width in self._widths)
        centroids = find_centroids(vectors, truth, routes_of(task.labels), self._encoder.network.last)
        return _Learned(encoding, encoding.int8.with_layer(HEAD, ranges), heads, centroids)

    def _head(self, vectors: Array, truth: NDArray[np.int64], width: int) -> Head:
        """A head that reads the last `width` values."""
        steps = report_part(self._steps(f"train {LARGE}"), self._done, self._trainings * len(self._widths))
        self._done += 1
        head = fit_head(vectors[:, -width:], truth, len(self._task.labels), steps)
        return head.widened(vectors.shape[1])

    def ask(self, learned: _Learned, mask: Mask) -> _Said:
        """What was learned says of the rows of `mask`."""
        texts = self._texts[mask].tolist()
        vectors = learned.encoding.served.of(texts, self._steps("encode"))
        exact = learned.encoding.exact.of(texts, self._steps("encode in float32"))
        return _Said(
            int8=tuple(learned.logits(head, vectors) for head in learned.heads),
            fp32=tuple(head.logits(exact) for head in learned.heads),
            truth=self._task.truth[mask],
            cosine=learned.centroids.familiarity(vectors),
            vectors=vectors[:, -self._encoder.network.last :],
        )

    def _encoding(self, encoder: Encoder) -> _Encoding:
        int8 = observe(encoder, self._texts[self._task.split.parts[0].learn].tolist(), MAX_PIECES)
        return _Encoding(encoder, int8, Vectors(encoder, int8, MAX_PIECES), Vectors(encoder, None, MAX_PIECES))

    def _steps(self, stage: str) -> Steps:
        return lambda done, total: self._progress(stage, done, total)


class _Fused(NamedTuple):
    """A head on an encoder, and a table beside it, whose logits are added."""

    learned: _Learned
    head: Head
    table: Table

    def add(self, graph: Graph, int8: bool) -> Nodes:  # noqa: FBT001 - one of two forms of the same
        """Add encoder, head, centroids and table to a graph."""
        learned = self.learned
        linear = learned.int8 if int8 else Exact()
        vector = learned.encoding.encoder.network.add(graph, linear, MAX_PIECES, int8=int8)
        table = quantize.add(graph, self.table, int8=int8)
        logits = graph.node("Add", table, self.head.add(graph, linear, vector))
        return Nodes(logits, learned.centroids.add(graph, vector))

    def logits(self, texts: Sequence[str], table_logits: Array) -> Array:
        """What the int8 graph must give for `texts`. Shapes: table_logits: [n, labels] -> [n, labels]."""
        return table_logits + self.learned.logits(self.head, self.learned.encoding.served.of(texts, lambda *_: None))


def train_large(  # noqa: PLR0913 - all of it is needed once
    task: Task,
    encoder: Encoder,
    beside: small.Trained,
    sample: Sequence[str],
    out_dir: Path,
    progress: Progress,
    *,
    tune: Tune | None = None,
) -> Candidate:
    """Train on the parts of the split and on all, and fuse with the table of `small`, which had the same parts.

    Writes the tokenizer to `out_dir`. Raises: QualityRefused: the encoder adds nothing to the table.
    """
    trainer, split = _Trainer(task, encoder, tune, progress), task.split
    learned = [trainer.learn(part.learn) for part in split.parts]
    said = _join([trainer.ask(each, part.ask) for each, part in zip(learned, split.parts, strict=True)])
    served = learned[0] if split.is_checked_as_served else trainer.learn(split.final)
    table_scale, *scales = _fuse([beside.held_out.int8, *said.int8], said.truth)
    fused = _Fused(served, Head.mix(served.heads, scales), beside.table.scaled(table_scale))
    tokenizer = out_dir / _TOKENIZER_FILE
    tokenizer.write_bytes(encoder.tokenizer)
    return Candidate(
        LARGE,
        HeldOut(
            int8=_add([beside.held_out.int8, *said.int8], [table_scale, *scales]),
            fp32=_add([beside.held_out.fp32, *said.fp32], [table_scale, *scales]),
            truth=said.truth,
            cosine=said.cosine,
            vectors=said.vectors,
        ),
        fused.add,
        sample,
        expected=fused.logits(sample, table_scale * beside.logits(sample)),
        features=beside.features,
        pieces=PieceSpec(
            file=tokenizer.name, sha256=hashlib.sha256(encoder.tokenizer).hexdigest(), max_pieces=MAX_PIECES
        ),
        unknowns=_unknowns(task, trainer, scales),
    )


def _join(parts: Sequence[_Said]) -> _Said:
    return _Said(
        int8=tuple(np.concatenate(each) for each in zip(*(part.int8 for part in parts), strict=True)),
        fp32=tuple(np.concatenate(each) for each in zip(*(part.fp32 for part in parts), strict=True)),
        truth=np.concatenate([part.truth for part in parts]),
        cosine=np.concatenate([part.cosine for part in parts]),
        vectors=np.concatenate([part.vectors for part in parts]),
    )


def _add(logits: Sequence[Array], scales: Sequence[float]) -> Array:
    total: Array = sum(np.float32(scale) * each for scale, each in zip(scales, logits, strict=True))  # type: ignore[assignment]
    return total


def _fuse(logits: Sequence[Array], truth: NDArray[np.int64]) -> list[float]:
    """By what to scale logits so that their sum makes the held-out labels likeliest; the first are the table's.

    The table is worth more where there are many examples, and for words that the encoder never read. Raises:
    QualityRefused: the sum is likeliest with the table alone.
    """
    known = truth >= 0
    cool = [calibrate.fit_temperature(each[known], truth[known]) for each in logits]
    weights = calibrate.fit_weights(
        [each[known] / np.float32(t) for each, t in zip(logits, cool, strict=True)], truth[known]
    )
    if weights[1:].sum() < _LEAST_WEIGHT:
        raise errors.QualityRefused(f"{LARGE}: on held-out rows the encoder adds nothing to `small`; train without it")
    return [float(weight) / t for weight, t in zip(weights, cool, strict=True)]


def _unknowns(task: Task, trainer: _Trainer, scales: Sequence[float]) -> Unknowns | None:
    """What heads that some routes are kept from say of their texts, and of the others. None: too few routes."""
    if not _is_kept_back(task):
        return None
    routes = np.arange(len(task.labels))
    kept_back = np.random.default_rng(task.seed).permutation(routes)[: round(_UNKNOWN_SHARE * len(routes))]
    part = task.split.parts[0]
    said = trainer.ask(trainer.learn(part.learn & ~np.isin(task.truth, kept_back)), part.ask)
    known = np.setdiff1d(np.arange(len(task.labels)), kept_back)
    place = np.full(len(task.labels) + 1, -1)  # the last is that of -1
    place[known] = np.arange(len(known))
    int8, fp32 = (_add(each, scales)[:, known] for each in (said.int8, said.fp32))
    return Unknowns(tuple(task.labels[at] for at in known), HeldOut(int8, fp32, place[said.truth], said.cosine))


def _is_kept_back(task: Task) -> bool:
    """Whether a last training is to show what unknown routes look like: there are rows that tell better, or too few."""
    is_told = bool((~scope_of(task.truth[task.split.asked], task.labels)).any())
    return not is_told and round(_UNKNOWN_SHARE * len(task.labels)) > 0 and OUT_OF_SCOPE not in task.labels
