"""Text to a calibrated prediction, in two steps: `scores` computes, `interpret` reads."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct

from models import errors
from models.inputs import Question, feeders_for
from models.session import CPU, Session
from models.spec import OUT_OF_SCOPE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.columns import Value
    from models.inputs import Feeds
    from models.session import Port
    from models.spec import RungManifest

_ALTERNATIVES = 3
_LEAST = np.float32(1e-12)  # a probability of 0 has no logarithm


class Scores(NamedTuple):
    """What a graph answers for one text. Shapes: logits: float32[labels]; familiarity: a cosine, or None."""

    logits: NDArray[np.float32]
    familiarity: float | None


class Prediction(Struct, frozen=True, gc=False):
    """The likeliest label, how likely it is, and the next three with theirs.

    Where a text is not like those of its route, the label is `OUT_OF_SCOPE`, and the likeliest route comes next.
    """

    label: str
    confidence: float
    alternatives: tuple[tuple[str, float], ...]


class Classifier:
    """One rung, loaded.

    Safety: a second thread may ask beside the first: all that is kept is the features' cache of words, which is read
    and filled by single steps of a dictionary, each whole under the interpreter's lock.
    """

    __slots__ = ("_feeders", "_is_asked", "_session", "_sharpness", "labels", "spec")

    def __init__(
        self,
        labels: tuple[str, ...],
        spec: RungManifest,
        models_dir: Path,
        graph: bytes,
        providers: Sequence[str] = CPU,
    ) -> None:
        """Load `graph`, what the file of `spec` holds. Raises: BadFile: unusable, or for another number of labels."""
        path = models_dir / spec.file
        self.labels = spec.labels or labels
        self.spec = spec
        self._session = Session(path, graph, providers)
        self._feeders = feeders_for(spec, self._session.inputs, models_dir)
        self._is_asked = spec.familiarity is not None
        self._sharpness = np.float32(1 / spec.temperature)
        _check_outputs(path, self._session.outputs, len(self.labels), needs_familiarity=self._is_asked)

    def predict(self, text: str, values: tuple[Value, ...] = ()) -> Prediction:
        """`interpret(scores(text, values))`."""
        return self.interpret(self.scores(text, values))

    def predict_many(self, questions: Sequence[Question]) -> list[Prediction | Exception]:
        """`predict` of each, in one call of the runtime; the `BadOutput` of one is his alone. Raises: RunFailed."""
        scores = [self.scores(*questions[0])] if len(questions) == 1 else self.scores_many(questions)
        return [self._try(each) for each in scores]

    def _try(self, scores: Scores) -> Prediction | Exception:
        try:
            return self.interpret(scores)
        except errors.BadOutput as error:
            return error

    def scores(self, text: str, values: tuple[Value, ...] = ()) -> Scores:
        """Scores of the labels for a raw or normalised text, and what is known beside it. Raises: RunFailed."""
        question = Question(text, values)
        feeds: Feeds = {}
        for feeder in self._feeders:
            feeds |= feeder.one(question)
        outputs = self._session.run(feeds)
        return Scores(self._logits(outputs[0])[0], float(outputs[1][0]) if self._is_asked else None)

    def scores_many(self, questions: Sequence[Question]) -> list[Scores]:
        """`scores` of several texts in one call of the runtime; the answers are those of one at a time.

        The work of a call grows with the texts times the longest, so few and of like length is best.
        """
        feeds: Feeds = {}
        for feeder in self._feeders:
            feeds |= feeder.many(questions)
        outputs = self._session.run(feeds)
        familiarity = outputs[1].tolist() if self._is_asked else [None] * len(questions)
        return [Scores(*each) for each in zip(self._logits(outputs[0]), familiarity, strict=True)]

    def _logits(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.spec.output == "logits":
            return output
        logs: NDArray[np.float32] = np.log(np.maximum(output, _LEAST))  # NaN stays NaN
        return logs

    def interpret(self, scores: Scores) -> Prediction:
        """Confidences by softmax at the calibrated temperature. Raises: BadOutput: not finite, or another shape."""
        labels, logits, familiarity = self.labels, scores.logits, scores.familiarity
        if logits.shape != (len(labels),):
            raise errors.BadOutput(f"{self.spec.name}: shape {logits.shape} where ({len(labels)},) was expected")
        if not isfinite(sum(logits.tolist())):
            raise errors.BadOutput(f"{self.spec.name}: logits are not finite")
        shares = np.exp((logits - np.maximum.reduce(logits)) * self._sharpness).tolist()
        total = sum(shares)
        order = logits.argsort()[: -_ALTERNATIVES - 2 : -1].tolist()
        ranked = [(labels[i], shares[i] / total) for i in order]
        label, confidence = ranked[0]
        if familiarity is not None and not familiarity >= self.spec.familiarity:  # type: ignore[operator] # a NaN too
            return Prediction(OUT_OF_SCOPE, confidence, tuple(ranked[:_ALTERNATIVES]))
        return Prediction(label, confidence, tuple(ranked[1:]))


def _check_outputs(path: Path, outputs: dict[str, Port], labels: int, *, needs_familiarity: bool) -> None:
    """Raises: BadFile: the first output is no score for each label, or the second no number for each text."""
    wanted = [("float32[texts, labels]", ("tensor(float)", 2)), ("float32[texts]", ("tensor(float)", 1))]
    found = [(port.kind, len(port.shape)) for port in outputs.values()]
    for number in range(1 + needs_familiarity):
        if found[number : number + 1] != [wanted[number][1]]:
            raise errors.BadFile(path, f"output {number + 1} is not {wanted[number][0]}; it has {list(outputs)}")
    width = next(iter(outputs.values())).shape[1]
    if isinstance(width, int) and width != labels:
        raise errors.BadFile(path, f"answers {width} labels, the manifest has {labels}")
