"""Text to a calibrated prediction, in two steps: `logits` computes, `interpret` reads."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from models import errors
from models.features import Features
from models.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.spec import RungManifest

_ALTERNATIVES = 3


class Prediction(Struct, frozen=True, gc=False):
    """The likeliest label, how likely it is, and the next three with theirs."""

    label: str
    confidence: float
    alternatives: tuple[tuple[str, float], ...]


class Classifier:
    """One rung, loaded. Safety: one thread at a time (the features keep a cache)."""

    __slots__ = ("_features", "_session", "_sharpness", "labels", "spec")

    def __init__(self, labels: tuple[str, ...], spec: RungManifest, models_dir: Path, graph: bytes) -> None:
        """Load `graph`, what the file of `spec` holds. Raises: BadFile: unusable, or for another number of labels."""
        self.labels = labels
        self.spec = spec
        self._features = Features(spec.features)
        self._session = Session(models_dir / spec.file, graph)
        self._sharpness = np.float32(1 / spec.temperature)
        if self._session.labels != len(labels):
            raise errors.BadFile(
                models_dir / spec.file, f"answers {self._session.labels} labels, the manifest has {len(labels)}"
            )

    def predict(self, text: str) -> Prediction:
        """`interpret(logits(text))`."""
        return self.interpret(self.logits(text))

    def logits(self, text: str) -> NDArray[np.float32]:
        """Scores of the labels for a raw or normalised text. Shapes: -> float32[labels]. Raises: RunFailed."""
        return self._session.run(self._features.ids(text))

    def interpret(self, logits: NDArray[np.float32]) -> Prediction:
        """Confidences by softmax at the calibrated temperature. Raises: BadOutput: not finite, or another shape."""
        labels = self.labels
        if logits.shape != (len(labels),):
            raise errors.BadOutput(f"{self.spec.name}: shape {logits.shape} where ({len(labels)},) was expected")
        if not isfinite(sum(logits.tolist())):
            raise errors.BadOutput(f"{self.spec.name}: logits are not finite")
        shares = np.exp((logits - np.maximum.reduce(logits)) * self._sharpness).tolist()
        total = sum(shares)
        order = logits.argsort()[: -_ALTERNATIVES - 2 : -1].tolist()
        best, *others = [(labels[i], shares[i] / total) for i in order]
        return Prediction(best[0], best[1], tuple(others))
