"""The model of a rung: one vector for each n-gram, their sum over the root of their number, one linear layer.

The form is fastText's (Joulin et al. 2016) with subword ids, trained end to end by gradient steps. Training only: the server
runs the graph that `quantize` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from scipy import sparse  # type: ignore[import-untyped]

from models.calibrate import softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from models.features import Features

_WARM_UP_SHARE = 0.05


class Settings(Struct, frozen=True, kw_only=True):
    """How a table is trained; the defaults were chosen on validation data (docs/adr/0007-choose-small-rung.md)."""

    width: int = 64
    epochs: int = 12
    batch: int = 128
    min_steps: int = 300
    row_step: float = 3.0
    head_rate: float = 3e-3
    spread: float = 0.01
    dropped_ids_share: float = 0.1
    smoothing_share: float = 0.1


@dataclass(slots=True)
class Table:
    """Trained weights. Shapes: rows: float32[buckets, width], head: float32[width, labels], bias: float32[labels]."""

    rows: NDArray[np.float32]
    head: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, counts: sparse.csr_matrix) -> NDArray[np.float32]:
        """Scores of many texts. Shapes: counts: [n, buckets] -> float32[n, labels]."""
        lengths = np.sqrt(np.asarray(counts.sum(axis=1), dtype=np.float32))
        result: NDArray[np.float32] = (counts @ self.rows / lengths) @ self.head + self.bias
        return result


def count_ids(texts: Sequence[str], features: Features, buckets: int) -> sparse.csr_matrix:
    """How often each text has each id. Shapes: -> float32[texts, buckets]."""
    ids = [features.ids(text) for text in texts]
    ends = np.cumsum([0, *map(len, ids)])
    counts = sparse.csr_matrix(
        (np.ones(ends[-1], np.float32), np.concatenate(ids), ends), shape=(len(texts), buckets)
    )
    counts.sum_duplicates()
    return counts


def fit(
    counts: sparse.csr_matrix,
    truth: NDArray[np.int64],
    labels: int,
    settings: Settings,
    rng: np.random.Generator,
    progress: Callable[[int, int], None],
) -> Table:
    """Train a table. The same arguments give the same table on one machine.

    Shapes: counts: float32[n, buckets], truth: int64[n].
    """
    seen, columns = np.unique(counts.indices, return_inverse=True)
    lengths = np.repeat(np.sqrt(counts.sum(axis=1).A1), np.diff(counts.indptr))
    texts = sparse.csr_matrix(
        ((counts.data / lengths).astype(np.float32), columns, counts.indptr), shape=(len(truth), len(seen))
    )
    trainer = _Trainer(texts, truth, labels, settings, rng)
    total = max(settings.epochs * -(-len(truth) // settings.batch), settings.min_steps)
    waiting = np.empty(0, np.int64)
    for done in range(total):
        if not len(waiting):
            waiting = rng.permutation(len(truth))
        batch, waiting = waiting[: settings.batch], waiting[settings.batch :]
        trainer.step(batch, min(1.0, (done + 1) / (_WARM_UP_SHARE * total)) * (1 - done / total))
        progress(done + 1, total)
    rows = np.zeros((counts.shape[1], settings.width), np.float32)
    rows[seen] = trainer.rows
    return Table(rows=rows, head=trainer.head.value, bias=trainer.bias.value)


class _Adam:
    """A weight and its moments (Kingma & Ba 2015)."""

    __slots__ = ("_first", "_second", "_steps", "value")

    def __init__(self, value: NDArray[np.float32]) -> None:
        self.value = value
        self._first = np.zeros_like(value)
        self._second = np.zeros_like(value)
        self._steps = 0

    def step(self, grad: NDArray[np.float32], rate: float) -> None:
        """Move against `grad`."""
        self._steps += 1
        self._first += np.float32(0.1) * (grad - self._first)
        self._second += np.float32(0.001) * (grad * grad - self._second)
        scale = np.float32(rate / (1 - 0.9**self._steps))
        root = np.sqrt(self._second / np.float32(1 - 0.999**self._steps))
        self.value -= scale * self._first / (root + np.float32(1e-8))


class _Trainer:
    """One gradient step at a time: Adam for the head, plain steps of a set length for the table.

    Adam's steps are as long for a rare n-gram as for a common one, which learns the noise: it cost 0.7 to 1 point
    of accuracy on both data sets of the record, and three times the time.
    """

    __slots__ = ("_energy", "_labels", "_rng", "_settings", "_steps", "_texts", "_truth", "bias", "head", "rows")

    def __init__(
        self,
        texts: sparse.csr_matrix,
        truth: NDArray[np.int64],
        labels: int,
        settings: Settings,
        rng: np.random.Generator,
    ) -> None:
        self._texts, self._truth, self._labels = texts, truth, labels
        self._settings, self._rng = settings, rng
        self._steps, self._energy = 0, 0.0
        width = settings.width
        self.rows = rng.standard_normal((texts.shape[1], width), np.float32) * np.float32(settings.spread)
        self.head = _Adam(rng.standard_normal((width, labels), np.float32) / np.float32(np.sqrt(width)))
        self.bias = _Adam(np.zeros(labels, np.float32))

    def step(self, batch: NDArray[np.int64], pace: float) -> None:
        """Learn from the examples `batch` at `pace` (0..1) times the full rates."""
        settings = self._settings
        texts = self._texts[batch]
        used, columns = np.unique(texts.indices, return_inverse=True)
        keep = np.float32(1 - settings.dropped_ids_share)
        data = texts.data * (self._rng.random(len(texts.data), np.float32) < keep) / keep
        texts = sparse.csr_matrix((data, columns, texts.indptr), shape=(len(batch), len(used)))
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
