"""What a graph is fed, told by the names of its inputs; a rung may have any of the four, or several.

- n-grams: `ids` int32[n], `member` uint8[texts, n] and `length` float32[texts, 1]: which there are, whose they are, and
  the root of their number. Needs `features` in the manifest.
- word pieces: `input_ids` and `attention_mask` int64[texts, m], filled up with 0. Needs `pieces`.
- what is known beside the text: `columns` float32[texts, values]. Needs `columns`.
- the normalised text itself: `text` string[texts].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np

from models import errors
from models.columns import Value, encode
from models.features import Features, normalise
from models.pieces import Pieces, load_pieces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.session import Port
    from models.spec import ColumnSpec, RungManifest

    Feeds = dict[str, NDArray[Any]]
    Ports = Mapping[str, tuple[str, int]]

_MAX_IDS = 1 << 16  # more than `FeatureSpec` allows a text to have


class Question(NamedTuple):
    """What a model is asked: a raw or normalised text, and the values of its columns; none where nothing is known."""

    text: str
    values: tuple[Value, ...] = ()


class Feeder(Protocol):
    """Feeds some inputs of a graph."""

    ports: ClassVar[Ports]
    """Names of the inputs, and of each the kind and the number of dimensions."""

    def one(self, question: Question) -> Feeds:
        """Inputs for one text."""
        ...

    def many(self, questions: Sequence[Question]) -> Feeds:
        """Inputs for several texts in one call."""
        ...


class NgramFeeder:
    """Feeds hashed n-grams."""

    ports: ClassVar[Ports] = {
        "ids": ("tensor(int32)", 1),
        "member": ("tensor(uint8)", 2),
        "length": ("tensor(float)", 2),
    }

    def __init__(self, features: Features) -> None:
        self._features = features
        self._ones = np.ones((1, _MAX_IDS), np.uint8)
        self._lengths = np.sqrt(np.arange(_MAX_IDS + 1, dtype=np.float32)).reshape(-1, 1, 1)

    def one(self, question: Question) -> Feeds:
        ids = self._features.ids(question.text)
        count = len(ids)
        return {"ids": ids, "member": self._ones[:, :count], "length": self._lengths[count]}

    def many(self, questions: Sequence[Question]) -> Feeds:
        parts = [self._features.ids(question.text) for question in questions]
        counts = [len(part) for part in parts]
        member = np.zeros((len(parts), sum(counts)), np.uint8)
        end = 0
        for row, count in zip(member, counts, strict=True):
            row[end : end + count] = 1
            end += count
        return {"ids": np.concatenate(parts), "member": member, "length": self._lengths[counts, 0]}


class PieceFeeder:
    """Feeds word pieces."""

    ports: ClassVar[Ports] = {"input_ids": ("tensor(int64)", 2), "attention_mask": ("tensor(int64)", 2)}

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces

    def one(self, question: Question) -> Feeds:
        ids = np.array([self._pieces.ids(normalise(question.text))])
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    def many(self, questions: Sequence[Question]) -> Feeds:
        return padded(self._pieces.many([normalise(question.text) for question in questions]))


class ColumnFeeder:
    """Feeds what is known beside the text."""

    ports: ClassVar[Ports] = {"columns": ("tensor(float)", 2)}

    def __init__(self, columns: tuple[ColumnSpec, ...]) -> None:
        self._columns = columns

    def one(self, question: Question) -> Feeds:
        return {"columns": encode(self._columns, [question.values])}

    def many(self, questions: Sequence[Question]) -> Feeds:
        return {"columns": encode(self._columns, [question.values for question in questions])}


class TextFeeder:
    """Feeds the normalised text."""

    ports: ClassVar[Ports] = {"text": ("tensor(string)", 1)}

    def one(self, question: Question) -> Feeds:
        return self.many([question])

    def many(self, questions: Sequence[Question]) -> Feeds:
        return {"text": np.array([normalise(question.text) for question in questions], object)}


def padded(ids: Sequence[list[int]]) -> Feeds:
    """Piece ids of several texts, filled up to the longest."""
    width = max(map(len, ids))
    feeds = {name: np.zeros((len(ids), width), np.int64) for name in PieceFeeder.ports}
    for row, mask, known in zip(feeds["input_ids"], feeds["attention_mask"], ids, strict=True):
        row[: len(known)] = known
        mask[: len(known)] = 1
    return feeds


def feeders_for(spec: RungManifest, ports: Mapping[str, Port], models_dir: Path) -> list[Feeder]:
    """What feeds a graph with the inputs `ports`. Raises: BadFile: an input that nothing feeds, or of another form."""
    path = models_dir / spec.file
    feeders: list[Feeder] = []
    if spec.features is not None and "ids" in ports:
        feeders.append(NgramFeeder(Features(spec.features)))
    if spec.pieces is not None and "input_ids" in ports:
        feeders.append(PieceFeeder(load_pieces(spec.pieces, models_dir)))
    if spec.columns and "columns" in ports:
        feeders.append(ColumnFeeder(spec.columns))
    if "text" in ports:
        feeders.append(TextFeeder())
    fed = {name: port for feeder in feeders for name, port in feeder.ports.items()}
    for name, (kind, shape) in ports.items():
        if name not in fed:
            needed = {"ids": "features", "input_ids": "pieces", "columns": "columns"}.get(name)
            why = f"it needs `{needed}` in the manifest" if needed else "see models/inputs.py for those there are"
            raise errors.BadFile(path, f"input {name!r} is fed by nothing: {why}")
        if (kind, len(shape)) != fed[name]:
            raise errors.BadFile(path, f"input {name!r} is {kind} of {len(shape)} dimensions, not {fed[name]}")
    if missing := sorted(fed.keys() - ports.keys()):
        raise errors.BadFile(path, f"has no input {', '.join(missing)}")
    return feeders
