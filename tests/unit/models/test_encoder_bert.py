"""The graph of BERT, against the same network in plain numpy."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from scipy.special import erf

from models.encoder.bert import Bert, BertConfig
from models.encoder.encode import observe
from models.encoder.find import Encoder, read_encoder
from models.encoder.linear import Exact
from models.graph import TEXTS, Graph
from models.inputs import padded
from models.pieces import Pieces
from models.session import Session
from tests.encoders import vocabulary, write_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.encoder.linear import Linear

    Array = NDArray[np.float64]

_MAX_PIECES = 24
_TEXTS = (
    "send money abroad",
    "hi",
    "please help, i lost my card in the tower",
    "",
    "Geld überweisen",
    "what is the exchange rate for a friend who is charged twice in one day, and how can it change?",
)


def _content(bert: Bert, linear: Linear, *, int8: bool) -> bytes:
    graph = Graph()
    vector = bert.add(graph, linear, _MAX_PIECES, int8=int8)
    return graph.finish({"vector": (vector, (TEXTS, bert.width))})


def _session(bert: Bert, linear: Linear, *, int8: bool = False) -> Session:
    return Session(Path("bert.onnx"), _content(bert, linear, int8=int8))


def _bert(encoder: Encoder) -> Bert:
    assert isinstance(encoder.network, Bert)
    return encoder.network


def _ids(encoder: Encoder, texts: tuple[str, ...] = _TEXTS) -> list[list[int]]:
    return Pieces(Path("tokenizer.json"), encoder.tokenizer, _MAX_PIECES).many(texts)


def _by_hand(bert: Bert, ids: list[int]) -> NDArray[np.float32]:
    """One text through the network as the papers say, in float64."""
    weights = {name: each.astype(np.float64) for name, each in bert.weights.items()}
    heads, size = bert.config.num_attention_heads, bert.config.hidden_size

    def norm(name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + bert.config.layer_norm_eps)
        normed: Array = scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
        return normed

    def dense(name: str, x: Array) -> Array:
        result: Array = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        return result

    def split(x: Array) -> Array:
        return x.reshape(len(ids), heads, size // heads).swapaxes(0, 1)

    hidden = weights["embeddings.word_embeddings.weight"][ids]
    hidden = hidden + weights["embeddings.position_embeddings.weight"][: len(ids)]
    hidden = norm("embeddings.LayerNorm", hidden + weights["embeddings.token_type_embeddings.weight"][0])
    means = []
    for number in range(bert.config.num_hidden_layers):
        layer = f"encoder.layer.{number}"
        parts = (split(dense(f"{layer}.attention.self.{part}", hidden)) for part in ("query", "key", "value"))
        query, key, value = parts
        likeness = query @ key.swapaxes(1, 2) / np.sqrt(size / heads)
        shares = np.exp(likeness - likeness.max(axis=-1, keepdims=True))
        attended = (shares / shares.sum(axis=-1, keepdims=True) @ value).swapaxes(0, 1).reshape(len(ids), size)
        hidden = norm(
            f"{layer}.attention.output.LayerNorm", hidden + dense(f"{layer}.attention.output.dense", attended)
        )
        inner = dense(f"{layer}.intermediate.dense", hidden)
        gelu = 0.5 * inner * (1 + erf(inner / np.sqrt(2)))
        hidden = norm(f"{layer}.output.LayerNorm", hidden + dense(f"{layer}.output.dense", gelu))
        mean = hidden.mean(axis=0)
        means.append(mean / np.linalg.norm(mean))
    return np.concatenate(means[-4:]).astype(np.float32)


@pytest.mark.parametrize(("layers", "heads"), [(3, 4), (5, 2)])
def test_float32_is_the_network_also_where_texts_are_filled_up(tmp_path: Path, layers: int, heads: int) -> None:
    encoder = read_encoder(write_encoder(tmp_path, seed=7, layers=layers, heads=heads), None)
    bert, ids = _bert(encoder), _ids(encoder)
    assert bert.width == 32 * min(layers, 4)
    (vectors,) = _session(bert, Exact()).run(padded(ids))
    expected = np.stack([_by_hand(bert, each) for each in ids])
    assert vectors == pytest.approx(expected, abs=1e-5)
    assert len({row.tobytes() for row in expected.round(2)}) == len(_TEXTS)  # nothing that any network would give


def test_the_constant_of_the_layer_norm_is_the_configurations(encoder: Encoder) -> None:
    bert, ids = _bert(encoder), _ids(encoder)
    config = BertConfig(
        **{name: getattr(bert.config, name) for name in BertConfig.__struct_fields__} | {"layer_norm_eps": 0.5}
    )
    other = Bert(config=config, weights=bert.weights)
    (vectors,) = _session(other, Exact()).run(padded(ids[:1]))
    assert vectors[0] == pytest.approx(_by_hand(other, ids[0]), abs=1e-5)
    assert vectors[0] != pytest.approx(_by_hand(bert, ids[0]), abs=1e-2)


def test_int8_is_near_float32(encoder: Encoder, examples: list[tuple[str, str]]) -> None:
    bert, ids = _bert(encoder), _ids(encoder)
    int8 = observe(encoder, [text for text, _ in examples], _MAX_PIECES)
    (exact,) = _session(bert, Exact()).run(padded(ids))
    (rounded,) = _session(bert, int8, int8=True).run(padded(ids))
    for end in range(32, bert.width + 1, 32):  # each pooled layer is of length 1
        cosines = (exact[:, end - 32 : end] * rounded[:, end - 32 : end]).sum(axis=1)
        assert cosines.min() > 0.99
    assert rounded != pytest.approx(exact, abs=1e-4)


def test_int8_gives_the_same_alone_and_in_company(encoder: Encoder, examples: list[tuple[str, str]]) -> None:
    int8 = observe(encoder, [text for text, _ in examples], _MAX_PIECES)
    session = _session(_bert(encoder), int8, int8=True)
    ids = _ids(encoder, (*_TEXTS, *(text for text, _ in examples[::3])))
    (together,) = session.run(padded(ids))
    alone = np.concatenate([session.run(padded([each]))[0] for each in ids])
    assert np.abs(together - alone).max() <= 1e-6


def test_int8_keeps_matrices_in_a_byte_each(encoder: Encoder, examples: list[tuple[str, str]]) -> None:
    int8 = observe(encoder, [text for text, _ in examples], _MAX_PIECES)
    model = onnx.load_from_string(_content(_bert(encoder), int8, int8=True))
    wide = [each for each in model.graph.initializer if len(each.dims) == 2 and each.dims[0] != _MAX_PIECES]
    floats = [list(each.dims) for each in wide if each.data_type != onnx.TensorProto.INT8]
    assert [dims[1] for dims in floats] == [1]  # but for the scale of each piece's row
    assert len(wide) == 2 + 3 * 4


class _Noting(dict[str, "NDArray[np.float32]"]):
    """Weights, and which were read."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        super().__init__(weights)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        self.read.add(name)
        return super().__getitem__(name)


@pytest.mark.parametrize("int8", [False, True])
def test_shapes_are_of_all_weights_that_the_graph_reads(
    encoder: Encoder, examples: list[tuple[str, str]], int8: bool
) -> None:
    bert = _bert(encoder)
    weights = _Noting(bert.weights)
    linear = observe(encoder, [text for text, _ in examples[:2]], _MAX_PIECES) if int8 else Exact()
    _content(Bert(config=bert.config, weights=weights), linear, int8=int8)
    shapes = bert.config.shapes(len(vocabulary()))
    assert shapes == {name: bert.weights[name].shape for name in weights.read}


@pytest.mark.parametrize(
    ("width", "inner", "layers", "published", "pooler"),
    [
        pytest.param(384, 1536, 6, 22_713_216, 384 * 385, id="all-MiniLM-L6-v2"),
        pytest.param(768, 3072, 12, 109_482_240, 768 * 769, id="bert-base-uncased"),
    ],
)
def test_shapes_are_of_as_many_values_as_published(
    width: int, inner: int, layers: int, published: int, pooler: int
) -> None:
    config = BertConfig(
        model_type="bert",
        hidden_act="gelu",
        hidden_size=width,
        num_attention_heads=12,
        num_hidden_layers=layers,
        intermediate_size=inner,
        layer_norm_eps=1e-12,
        max_position_embeddings=512,
    )
    shapes = config.shapes(30_522)
    assert sum(prod(shape) for shape in shapes.values()) == published - pooler
    assert shapes["encoder.layer.5.intermediate.dense.weight"] == (inner, width)  # outputs first, as in the files
    assert shapes["encoder.layer.5.output.dense.bias"] == (width,)
