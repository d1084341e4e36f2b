"""The model of a rung: one vector for each n-gram, their sum over the root of their number, one linear layer.

The form is fastText's (Joulin et al. 2016) with subword ids, trained end to end. Several such tables are trained and
merged: their mean is again one. Training only: the server runs the graph that `quantize` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct
from scipy import sparse

from models.adam import Adam
from models.calibrate import softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from models.features import Features

_WARM_UP_SHARE = 0.05


class Settings(Struct, frozen=True, kw_only=True):
    """How a table is trained; the defaults were chosen on validation data (docs/adr/0007-choose-small-rung.md)."""

    members: int = 4
    member_width: int = 32
    width: int = 96
    epochs: int = 12
    batch: int = 128
    min_steps: int = 300
    row_step: float = 3.0
    head_rate: float = 1e-2
    spread: float = 0.01
    dropped_ids_share: float = 0.1
    smoothing_share: float = 0.2


@dataclass(slots=True)
class Table:
    """Trained weights. Shapes: rows: float32[buckets, width], head: float32[width, labels], bias: float32[labels]."""

    rows: NDArray[np.float32]
    head: NDArray[np.float32]
    bias: NDArray[np.float32]

    def scaled(self, by: float) -> Table:
        """The same, all logits times `by`."""
        return Table(rows=self.rows, head=self.head * np.float32(by), bias=self.bias * np.float32(by))

    def logits(self, counts: sparse.csr_matrix) -> NDArray[np.float32]:
        """Scores of many texts. Shapes: counts: [n, buckets] -> float32[n, labels]."""
        lengths = np.sqrt(np.asarray(counts.sum(axis=1), dtype=np.float32))
        result: NDArray[np.float32] = (counts @ self.rows / lengths) @ self.head + self.bias
        return result


def count_ids(texts: Sequence[str], features: Features, buckets: int) -> sparse.csr_matrix:
    """How often each text has each id. Shapes: -> float32[texts, buckets]."""
    ids = [features.ids(text) for text in texts]
    ends = np.cumsum([0, *map(len, ids)])
    counts = sparse.csr_matrix((np.ones(ends[-1], np.float32), np.concatenate(ids), ends), shape=(len(texts), buckets))
    counts.sum_duplicates()
    return counts


def merge(members: Sequence[Table], width: int) -> Table:
    """The mean of `members` as one table of `width` columns at most.

    Scores are linear in the rows, so members side by side are their mean exactly; the columns kept are those of a
    singular value decomposition of rows x head, which has no more than there are labels.
    """
    rows = np.concatenate([each.rows for each in members], axis=1)
    head = np.concatenate([each.head for each in members]) / np.float32(len(members))
    squares, axes = np.linalg.eigh((rows.T @ rows).astype(np.float64))
    spread = np.sqrt(np.maximum(squares, squares[-1] * 1e-9))
    left, strength, right = np.linalg.svd((spread[:, None] * axes.T) @ head, full_matrices=False)
    kept = np.sqrt(strength[:width])
    turned = ((axes / spread) @ left[:, :width] * kept).astype(np.float32)
    return Table(
        rows=rows @ turned,
        head=(kept[:, None] * right[:width]).astype(np.float32),
        bias=np.mean([each.bias for each in members], axis=0),
    )


class Rows(NamedTuple):
    """Examples to learn from or to check with. Shapes: counts: float32[n, buckets], truth: int64[n]."""

    counts: sparse.csr_matrix
    truth: NDArray[np.int64]


def fit(
    examples: Rows, labels: int, settings: Settings, rng: np.random.Generator, progress: Callable[[int, int], None]
) -> Table:
    """Train a table that tells `labels` labels apart. The same arguments give the same table on one machine."""
    counts, truth = examples
    seen, columns = np.unique(counts.indices, return_inverse=True)
    lengths = np.repeat(np.sqrt(counts.sum(axis=1).A1), np.diff(counts.indptr))
    weights = (counts.data / lengths).astype(np.float32)
    texts = sparse.csr_matrix((weights, columns.astype(np.int32), counts.indptr), shape=(len(truth), len(seen)))
    steps = max(settings.epochs * -(-len(truth) // settings.batch), settings.min_steps)
    total = steps * settings.members
    members = []
    for number in range(settings.members):
        member = _Member(Rows(texts, truth), labels, settings, rng)
        member.learn(steps, partial(_report, progress, number * steps, total))
        members.append(Table(rows=member.rows, head=member.head.value, bias=member.bias.value))
    merged = merge(members, settings.width)
    rows = np.zeros((counts.shape[1], merged.rows.shape[1]), np.float32)
    rows[seen] = merged.rows
    return Table(rows=rows, head=merged.head, bias=merged.bias)


def _report(progress: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    """Tell how far the training is when a member has done `done` steps."""
    progress(before + done, total)


class _Member:
    """One table in training: Adam for the head, plain steps of a set length for the rows.

    Adam's steps are as long for a rare n-gram as for a common one. With Adam for the rows too, validation accuracy was
    0.7 to 1 point lower and training took three times as long (docs/adr/0007-choose-small-rung.md).
    """

    __slots__ = (
        "_energy",
        "_labels",
        "_place",
        "_rng",
        "_settings",
        "_steps",
        "_texts",
        "_truth",
        "bias",
        "head",
        "rows",
    )

    def __init__(self, examples: Rows, labels: int, settings: Settings, rng: np.random.Generator) -> None:
        self._texts, self._truth = examples
        self._labels, self._settings, self._rng = labels, settings, rng
        self._steps, self._energy = 0, 0.0
        ids, width = self._texts.shape[1], settings.member_width
        self._place = np.zeros(ids, np.int32)
        self.rows = rng.standard_normal((ids, width), np.float32) * np.float32(settings.spread)
        self.head = Adam(rng.standard_normal((width, labels), np.float32) / np.float32(np.sqrt(width)))
        self.bias = Adam(np.zeros(labels, np.float32))

    def learn(self, steps: int, progress: Callable[[int], None]) -> None:
        """Take `steps` steps through shuffled examples, at a pace that rises fast and falls to nothing."""
        waiting = np.empty(0, np.int64)
        for done in range(steps):
            if not len(waiting):
                waiting = self._rng.permutation(len(self._truth))
            batch, waiting = waiting[: self._settings.batch], waiting[self._settings.batch :]
            self._step(batch, min(1.0, (done + 1) / (_WARM_UP_SHARE * steps)) * (1 - done / steps))
            progress(done + 1)

    def _step(self, batch: NDArray[np.int64], pace: float) -> None:
        """Learn from the examples `batch` at `pace` (0..1) times the full rates."""
        settings = self._settings
        texts = self._texts[batch]
        used = np.flatnonzero(np.bincount(texts.indices, minlength=len(self._place)))
        self._place[used] = np.arange(len(used), dtype=np.int32)
        keep = np.float32(1 - settings.dropped_ids_share)
        data = texts.data * (self._rng.random(len(texts.data), np.float32) < keep) / keep
        texts = sparse.csr_matrix((data, self._place[texts.indices], texts.indptr), shape=(len(batch), len(used)))
        rows = self.rows[used]
        hidden = texts @ rows
        error = softmax(hidden @ self.head.value + self.bias.value)
        error -= np.float32(settings.smoothing_share / self._labels)
        error[np.arange(len(batch)), self._truth[batch]] -= np.float32(1 - settings.smoothing_share)
        error /= np.float32(len(batch))
        grad = texts.T @ (error @ self.head.value.T)
        self.rows[used] = rows - grad * np.float32(pace * settings.row_step / self._usual_length(grad))
        self.head.step(hidden.T @ error, pace * settings.head_rate)
        self.bias.step(error.sum(axis=0), pace * settings.head_rate)

    def _usual_length(self, grad: NDArray[np.float32]) -> float:
        """Root of the running mean of squared gradient lengths, `grad` included."""
        self._steps += 1
        self._energy += 0.01 * (float(np.vdot(grad, grad)) - self._energy)
        return float(np.sqrt(self._energy / (1 - 0.99**self._steps))) + 1e-12
