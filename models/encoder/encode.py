"""Texts to vectors, many at a time, while training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.encoder.linear import Exact, Int8, Ranges
from models.features import normalise
from models.graph import TEXTS, Graph
from models.inputs import padded
from models.pieces import Pieces
from models.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from models.encoder.find import Encoder
    from models.graph import Shape

_THREADS = 2  # training may use the machine; onnxruntime is told how many, or it takes all
_BATCH = 16  # the time for a text is flat from 8 on
_OBSERVED = 256  # texts that the ranges of int8 are taken from
_UNPUBLISHED = Path("encoder.onnx")  # for messages: these graphs are never written


def observe(encoder: Encoder, texts: Sequence[str], max_pieces: int) -> Int8:
    """How to compute with int8, as `texts` show it: their ranges. Takes an even sample of them."""
    exact, graph = Exact(), Graph()
    vector = encoder.network.add(graph, exact, max_pieces, int8=False)
    outputs: dict[str, tuple[str, Shape]] = {"vector": (vector, (TEXTS, encoder.network.width))}
    for name, node in exact.inputs.items():
        outputs[name] = node, (TEXTS, "m", exact.widths[name])
    session = Session(_UNPUBLISHED, graph.finish(outputs), threads=_THREADS)
    pieces = Pieces(_UNPUBLISHED, encoder.tokenizer, max_pieces)
    ranges = {name: Ranges(width) for name, width in exact.widths.items()}
    for text in texts[:: max(1, len(texts) // _OBSERVED)]:
        _, *values = session.run(padded([pieces.ids(normalise(text))]))
        for name, value in zip(exact.inputs, values, strict=True):
            ranges[name].observe(value)
    return Int8(ranges)


class Vectors:
    """Encodes texts as the served graph will, and remembers every text. Shapes: float32[texts, width]."""

    def __init__(self, encoder: Encoder, int8: Int8 | None, max_pieces: int) -> None:
        """Without `int8` in float32."""
        graph = Graph()
        vector = encoder.network.add(graph, int8 or Exact(), max_pieces, int8=int8 is not None)
        content = graph.finish({"vector": (vector, (TEXTS, encoder.network.width))})
        self._session = Session(_UNPUBLISHED, content, threads=_THREADS)
        self._pieces = Pieces(_UNPUBLISHED, encoder.tokenizer, max_pieces)
        self._known: dict[str, NDArray[np.float32]] = {}

    def of(self, texts: Sequence[str], progress: Callable[[int, int], None]) -> NDArray[np.float32]:
        """Vectors of `texts` in their order."""
        new = [text for text in dict.fromkeys(map(normalise, texts)) if text not in self._known]
        ids = self._pieces.many(new)
        order = sorted(range(len(new)), key=lambda at: len(ids[at]))  # like lengths together: little is filled up
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            (vectors,) = self._session.run(padded([ids[at] for at in batch]))
            self._known.update(zip((new[at] for at in batch), vectors, strict=True))
            progress(min(start + _BATCH, len(order)), len(order))
        return np.stack([self._known[normalise(text)] for text in texts])
