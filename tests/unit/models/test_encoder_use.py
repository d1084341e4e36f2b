"""The graph of the multilingual encoder, against the same network in plain numpy, and its tokenizer."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from models.encoder import use
from models.encoder.encode import observe
from models.encoder.find import Encoder
from models.encoder.linear import Exact, Linear
from models.graph import TEXTS, Graph
from models.inputs import padded
from models.pieces import Pieces
from models.session import Session

Array = NDArray[np.float64]

_MAX_PIECES = 24
_INNER, _CONVOLVED, _WIDTH, _GROUP_ROWS = 8, 4, 6, 3
_SPANS = (2, 3, 5)
_WORDS = ("▁", "▁card", "s", "▁lost", "▁my", "▁Karte", "ß", "▁send", "▁money")
_IDS = [[1, 8, 9, 10, 2], [1, 2], [1, 7, 2], [1, *range(3, 17), 2]]


def _package(seed: int) -> bytes:
    """A tiny `weights.npz`, random, with the arrays of the real one: 51 pieces."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, NDArray[np.generic]] = {
        f"q{number}": rng.integers(0, 64, (_GROUP_ROWS, _INNER), np.uint8) for number in range(1, 18)
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for span in _SPANS:
        shapes |= {f"proj{span}": (_INNER, _CONVOLVED), f"w1_{span}": (span * _CONVOLVED, _CONVOLVED)}
        shapes |= {f"w2_{span}": (span * _CONVOLVED, _CONVOLVED)}
        shapes |= {f"{name}{span}": (_CONVOLVED,) for name in ("proj_b", "ln_g", "ln_b", "b1_", "b2_")}
    joined = _INNER + len(_SPANS) * _CONVOLVED
    shapes |= {"ln_g": (joined,), "ln_b": (joined,), "cnn_W": (joined, 7), "cnn_b": (7,)}
    shapes |= {"d0": (7, 5), "p1": (7, 4), "d1": (5, 4), "d2": (4, 3), "p3": (4, _WIDTH), "d3": (3, _WIDTH)}
    arrays |= {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    arrays |= {"scale": rng.uniform(0.05, 0.2, 17).astype(np.float32), "lo": rng.uniform(-6, -2, 17).astype(np.float32)}
    arrays |= {"bits": np.array([6], np.int8), "eps": np.array(1e-12)}
    file = BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _by_hand(package: bytes, ids: list[int]) -> Array:
    """One text through the network as it was published, in float64."""
    with np.load(BytesIO(package)) as stored:
        given = {name: stored[name].astype(np.float64) for name in stored.files}

    def norm(x: Array, name: str, suffixes: tuple[object, ...] = ("",)) -> Array:
        gain, shift = (np.concatenate([given[f"{name}_{part}{each}"] for each in suffixes]) for part in "gb")
        centred = x - x.mean(axis=-1, keepdims=True)
        return np.asarray(centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12) * gain + shift)

    def around(x: Array, at: int, before: int, span: int) -> Array:
        places = range(at - before, at - before + span)
        zero = np.zeros(x.shape[1])
        return np.concatenate([x[place] if 0 <= place < len(x) else zero for place in places])

    rows = np.stack([given[f"q{at % 17 + 1}"][at // 17] * given["scale"][at % 17] + given["lo"][at % 17] for at in ids])
    projected = np.concatenate([rows @ given[f"proj{span}"] + given[f"proj_b{span}"] for span in _SPANS], axis=1)
    projected = norm(projected, "ln", _SPANS)
    parts = [rows]
    for number, (span, before) in enumerate(zip(_SPANS, (0, 1, 2), strict=True)):
        value = projected[:, number * _CONVOLVED : (number + 1) * _CONVOLVED]
        for step in "12":
            window = np.stack([around(value, at, before, span) for at in range(len(ids))])
            value = value + np.maximum(window @ given[f"w{step}_{span}"] + given[f"b{step}_{span}"], 0)
        parts.append(value)
    pieces = norm(np.concatenate(parts, axis=1), "ln") @ given["cnn_W"] + given["cnn_b"]
    text = pieces.sum(axis=0) / np.sqrt(len(ids))
    first = np.maximum(text @ given["d0"], 0)
    second = np.maximum(text @ given["p1"] + first @ given["d1"], 0)
    third = np.maximum(second @ given["d2"], 0)
    last = np.tanh(second @ given["p3"] + third @ given["d3"])
    return np.asarray(last / np.linalg.norm(last))


def _field(number: int, content: bytes) -> bytes:
    assert len(content) < 1 << 14
    return bytes([number << 3 | 2, len(content) & 0x7F | 0x80, len(content) >> 7]) + content


def _sentencepiece() -> bytes:
    """A model as SentencePiece writes it: pieces, then fields of every kind that are not read, then the normaliser."""
    score = bytes([2 << 3 | 5])
    message = b""
    for number, word in enumerate(("<unk>", "<s>", "</s>", *_WORDS)):
        kind = bytes([3 << 3, 2]) if number == 0 else b""
        message += _field(1, _field(1, word.encode()) + score + struct.pack("<f", -1.5 - number / 8) + kind)
    message += _field(2, bytes([4 << 3, 0xC8, 0x01, 10 << 3 | 5]) + bytes(4) + bytes([6 << 3 | 1]) + bytes(8))
    # The map: a double array of 256 leaves, none of which is used, and no replacement.
    characters = struct.pack("<I", 1024) + bytes(1024)
    return message + _field(3, _field(1, b"identity") + _field(2, characters))


@pytest.fixture(scope="module")
def package() -> bytes:
    return _package(seed=3)


@pytest.fixture(scope="module")
def encoder(package: bytes) -> Encoder:
    tokenizer = use.load_tokenizer(_sentencepiece())
    return Encoder(name="use", network=use.load(package), tokenizer=tokenizer, weights_sha256="0" * 64)


def _content(network: use.Use, linear: Linear, *, int8: bool) -> bytes:
    graph = Graph()
    vector = network.add(graph, linear, _MAX_PIECES, int8=int8)
    return graph.finish({"vector": (vector, (TEXTS, network.width))})


def _session(network: use.Use, linear: Linear, *, int8: bool = False) -> Session:
    return Session(Path("use.onnx"), _content(network, linear, int8=int8))


@pytest.mark.parametrize("seed", [3, 4])
def test_float32_is_the_network_also_where_texts_are_filled_up(seed: int) -> None:
    package = _package(seed)
    network = use.load(package)
    (vectors,) = _session(network, Exact()).run(padded(_IDS))
    expected = np.stack([_by_hand(package, ids) for ids in _IDS])
    assert network.width == network.last == _WIDTH
    assert vectors == pytest.approx(expected, abs=1e-5)
    assert len({row.tobytes() for row in expected.round(2)}) == len(_IDS)  # nothing that any network would give


def test_rows_in_half_the_bits_are_near(package: bytes) -> None:
    rows = use.load(package).rows
    halved = rows.halved()
    before, after = (each.codes * each.scale + each.low for each in (rows, halved))
    assert halved.codes.max() <= 15
    assert np.abs(after - before).max(axis=1) == pytest.approx(np.zeros(len(before)), abs=float(halved.scale.max()))
    assert ((after - before) ** 2).mean() < 0.02 * before.var(axis=1).mean()


def test_rows_that_are_all_alike_stay_what_they_are() -> None:
    rows = use.Rows(np.full((2, 4), 9, np.uint8), np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32)).halved()
    assert rows.codes * rows.scale + rows.low == pytest.approx(np.full((2, 4), 9))


def test_int8_packs_two_codes_in_a_byte(package: bytes) -> None:
    network = use.load(package)
    (packed,) = _session(network, Exact(), int8=True).run(padded(_IDS))
    loose = use.Use(rows=network.rows.halved(), weights=network.weights)
    (expected,) = _session(loose, Exact()).run(padded(_IDS))
    assert packed == pytest.approx(expected, abs=1e-6)
    model = onnx.load_from_string(_content(network, Exact(), int8=True))
    codes = [list(each.dims) for each in model.graph.initializer if each.data_type == onnx.TensorProto.UINT8]
    assert [17 * _GROUP_ROWS, _INNER // 2] in codes


def test_int8_gives_the_same_alone_and_in_company(encoder: Encoder) -> None:
    int8 = observe(encoder, ["lost my cards", "send money", "Karte"], _MAX_PIECES)
    assert isinstance(encoder.network, use.Use)
    session = _session(encoder.network, int8, int8=True)
    (together,) = session.run(padded(_IDS))
    alone = np.concatenate([session.run(padded([ids]))[0] for ids in _IDS])
    assert np.abs(together - alone).max() <= 1e-6


def test_the_layers_after_the_mean_stay_float32(encoder: Encoder) -> None:
    int8 = observe(encoder, ["lost my cards", "send money", "Karte"], _MAX_PIECES)
    assert isinstance(encoder.network, use.Use)
    model = onnx.load_from_string(_content(encoder.network, int8, int8=True))
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("MatMul") == 4
    assert kinds.count("MatMulIntegerToFloat") == 8  # the projection, two for each span, the mean


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("lost my cards", ["<s>", "▁lost", "▁my", "▁card", "s", "</s>"]),
        ("  lost \n  my ", ["<s>", "▁lost", "▁", "<unk>", "▁my", "</s>"]),
        ("Karteß", ["<s>", "▁Karte", "ß", "</s>"]),
        ("<s>", ["<s>", "▁", "<s>", "</s>"]),  # as the package has it; SentencePiece takes it for text
        ("", ["<s>", "</s>"]),
    ],
)
def test_pieces_are_those_of_the_model(encoder: Encoder, text: str, pieces: list[str]) -> None:
    names = ["<unk>", "<s>", "</s>", *_WORDS]
    ids = Pieces(Path("tokenizer.json"), encoder.tokenizer, _MAX_PIECES).ids(text)
    assert [names[each] for each in ids] == pieces
