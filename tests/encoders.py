"""A tiny BERT with random weights, in the files that a published one has: for tests and benches of the rung `large`."""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_LETTERS = string.ascii_lowercase + string.digits + "üöäß"
_WORDS = """
about abroad account add aufladen balance can card cash change charge charged could debit dinner do exchange fee find
for friend funds geld guthaben have help hi how i ich in is it karte lost make me money my need not now of on please pin
rate send sing song stolen t tall tell the time to today top tower transfer up verloren want was what when where which
why wire with you überweisen erzählen witz ##ed ##ing ##s ##er ##en ##ly , . ? ! ' :
""".split()
_MOST_PIECES = 128


def write_encoder(directory: Path, seed: int = 0, *, layers: int = 3, width: int = 32, heads: int = 4) -> Path:
    """Write `config.json`, `model.safetensors` and `tokenizer.json`; returns `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    pieces = vocabulary()
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": _MOST_PIECES,
        "vocab_size": len(pieces),
    }
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(random_weights(seed, len(pieces), layers, width), directory / "model.safetensors")
    tokenizer = Tokenizer(WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    ends = [(name, pieces.index(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.enable_padding(length=_MOST_PIECES)  # as published ones do; what reads them has to undo it
    (directory / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    return directory


def vocabulary() -> list[str]:
    """Word pieces: common words of the tests' texts, and letters for all others."""
    return list(dict.fromkeys([*_SPECIAL, *_LETTERS, *(f"##{letter}" for letter in _LETTERS), *_WORDS]))


def random_weights(seed: int, pieces: int, layers: int, width: int) -> dict[str, NDArray[np.float32]]:
    """Weights by their published names; large enough for every layer to matter, as in a trained network."""
    rng = np.random.default_rng(seed)

    def drawn(*shape: int, spread: float = 1.0) -> NDArray[np.float32]:
        return rng.normal(scale=spread, size=shape).astype(np.float32)

    def norm(name: str) -> dict[str, NDArray[np.float32]]:
        return {f"{name}.weight": 1 + drawn(width, spread=0.1), f"{name}.bias": drawn(width, spread=0.1)}

    def dense(name: str, inputs: int, outputs: int) -> dict[str, NDArray[np.float32]]:
        weight = drawn(outputs, inputs, spread=inputs**-0.5)
        return {f"{name}.weight": weight, f"{name}.bias": drawn(outputs, spread=0.1)}

    weights = {
        "embeddings.word_embeddings.weight": drawn(pieces, width),
        "embeddings.position_embeddings.weight": drawn(_MOST_PIECES, width, spread=0.1),
        "embeddings.token_type_embeddings.weight": drawn(2, width, spread=0.1),
        **norm("embeddings.LayerNorm"),
    }
    for number in range(layers):
        layer = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            weights |= dense(f"{layer}.attention.self.{part}", width, width)
        weights |= dense(f"{layer}.attention.output.dense", width, width) | norm(f"{layer}.attention.output.LayerNorm")
        weights |= dense(f"{layer}.intermediate.dense", width, 2 * width)
        weights |= dense(f"{layer}.output.dense", 2 * width, width) | norm(f"{layer}.output.LayerNorm")
    return weights
