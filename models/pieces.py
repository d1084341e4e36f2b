"""The door to `tokenizers`: text to word pieces."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from models import errors
from models.spec import verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.spec import PieceSpec

MAX_PIECES = 64
"""Read of a text: about 50 words. The time of a call grows with them, 2 ms for 15 and 8 for 64."""
_KEPT = 4
_LOCK = Lock()
_loaded: dict[tuple[str, int], Pieces] = {}


class Pieces:
    """Turns texts into piece ids as a tokenizer says. Safety: any thread."""

    __slots__ = ("_tokenizer",)

    def __init__(self, path: Path, content: bytes, max_pieces: int) -> None:
        """Read `content` of `path`, which has been verified. Raises: BadFile: no tokenizer."""
        self._tokenizer = _read(path, content)
        if max_pieces <= self._tokenizer.num_special_tokens_to_add(is_pair=False):
            raise errors.BadFile(path, f"max_pieces = {max_pieces} leaves no room for the text")
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_pieces)

    @property
    def vocabulary(self) -> int:
        """Number of different ids."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def ids(self, text: str) -> list[int]:
        """Ids of one text, its start and end marked; at most `max_pieces`. Cost: about 30 µs for 15 pieces."""
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def many(self, texts: Sequence[str]) -> list[list[int]]:
        """`ids` of each text."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]


def _read(path: Path, content: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_buffer(content)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises plain exceptions, and panics, which are none
        raise errors.BadFile(path, f"not a tokenizer ({error})") from error


def load_pieces(spec: PieceSpec, models_dir: Path) -> Pieces:
    """The pieces of `spec`, whose file is in `models_dir`. Raises: BadFile: missing, altered, or no tokenizer.

    Reading takes 30 ms in which no other thread of Python runs, so the last ones are kept: a new version of the models
    with the tokenizer of the old one stops no request.
    """
    path = models_dir / spec.file
    content = verify(path, spec.sha256)
    key = spec.sha256, spec.max_pieces
    with _LOCK:
        pieces = _loaded.get(key)
        if pieces is None:
            pieces = _loaded[key] = Pieces(path, content, spec.max_pieces)
            if len(_loaded) > _KEPT:
                del _loaded[next(iter(_loaded))]
    return pieces
