"""Word pieces."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer

from models import pieces
from models.errors import BadFile
from models.pieces import Pieces, load_pieces
from models.spec import PieceSpec
from tests.encoders import vocabulary

if TYPE_CHECKING:
    from models.encoder.find import Encoder

_PATH = Path("tokenizer.json")
# Makes the library panic, which is no Exception.
_PANICS = (
    b'{"version": "1.0", "added_tokens": [], "normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"},'
    b' "model": {"type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "#",'
    b' "max_input_chars_per_word": 9, "vocab": {"a": 0}}}'
)


def _read(ids: list[int]) -> list[str]:
    return [vocabulary()[number] for number in ids]


def test_a_text_is_pieces_with_its_ends_marked_and_nothing_filled_up(encoder: Encoder) -> None:
    split = Pieces(_PATH, encoder.tokenizer, 64)
    assert _read(split.ids("lost my cards 🎉")) == ["[CLS]", "lost", "my", "card", "##s", "[UNK]", "[SEP]"]
    assert _read(split.ids("")) == ["[CLS]", "[SEP]"]


def test_a_long_text_loses_its_end_and_not_the_mark_of_it(encoder: Encoder) -> None:
    assert _read(Pieces(_PATH, encoder.tokenizer, 4).ids("lost my cards")) == ["[CLS]", "lost", "my", "[SEP]"]


def test_many_are_what_each_is_alone(encoder: Encoder) -> None:
    split, texts = (
        Pieces(_PATH, encoder.tokenizer, 8),
        ["", "hi", "x" * 5_000, "please help me now " * 50, "überweisen"],
    )
    assert split.many(texts) == [split.ids(text) for text in texts]


def test_settings_of_the_file_do_not_count(encoder: Encoder) -> None:
    tokenizer = Tokenizer.from_str(encoder.tokenizer.decode())
    tokenizer.enable_padding(length=100)
    tokenizer.enable_truncation(3)
    assert len(Pieces(_PATH, tokenizer.to_str().encode(), 64).ids("i lost my card")) == 6


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"version": "1.0"}', _PANICS])
def test_what_is_no_tokenizer_is_refused(content: bytes) -> None:
    with pytest.raises(BadFile, match=r"tokenizer\.json: not a tokenizer"):
        Pieces(_PATH, content, 64)


def test_every_piece_is_counted(encoder: Encoder) -> None:
    assert Pieces(_PATH, encoder.tokenizer, 64).vocabulary == len(vocabulary())
    tokenizer = Tokenizer.from_str(encoder.tokenizer.decode())
    tokenizer.add_tokens(["<customer>", "<account>"])
    assert Pieces(_PATH, tokenizer.to_str().encode(), 64).vocabulary == len(vocabulary()) + 2


def test_there_must_be_room_for_the_text(encoder: Encoder) -> None:
    with pytest.raises(BadFile, match=r"tokenizer\.json: max_pieces = 2 leaves no room"):
        Pieces(_PATH, encoder.tokenizer, 2)


def test_a_tokenizer_is_read_once_and_few_are_kept(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "_loaded", {})
    (tmp_path / "tokenizer.json").write_bytes(encoder.tokenizer)
    spec = PieceSpec(file="tokenizer.json", sha256=hashlib.sha256(encoder.tokenizer).hexdigest())
    first = load_pieces(spec, tmp_path)
    assert load_pieces(spec, tmp_path) is first
    lengths = range(10, 16)
    others = [PieceSpec(file=spec.file, sha256=spec.sha256, max_pieces=length) for length in lengths]
    for length, other in zip(lengths, others, strict=True):
        assert len(load_pieces(other, tmp_path).ids("card " * 30)) == length
    assert len(pieces._loaded) <= 4
    assert load_pieces(spec, tmp_path) is not first
