"""Text to the ids of hashed n-grams: words, their 3- to 5-grams, pairs of words, and pairs of word beginnings.

Works for any language that can be split by spaces, and for those that can't by their character n-grams alone.
Hashes are CRC-32, so a model trained on one machine reads the same ids on every other.
"""

from __future__ import annotations

import string
import unicodedata
from array import array
from collections import OrderedDict
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.spec import FeatureSpec

_DROPPED = frozenset({"Cc", "Cf", "Cs"})  # control, invisible format (zero width, soft hyphen), lone surrogates
_BREAKS = str.maketrans(dict.fromkeys(string.punctuation + "“”„‘’«»¿¡…–—。、「」।؟،", " "))
_CACHED_WORDS = 16_384  # about 5 MB; 11 MB when every word is of the length below
_CACHED_WORD_CHARS = 32  # longer words are not words: they would make the cache's size depend on the sender
_PAIR = 0x9E3779B1  # 2**32 over the golden ratio (Knuth's multiplicative hashing): spreads sums of two hashes
_STEM = 4  # letters that stand for a word's stem in a pair: "arrived" and "arriving" are one there
_MARKS = 30
_GROWTH = 4  # some characters stand for 18 others; no text that means something grows like that
_START, _END = 0x5BD1E995, 0x1B873593  # stand for the words before the first and after the last


def normalise(text: str) -> str:
    """One spelling for texts that mean the same: NFKC, case folded, single spaces, nothing invisible.

    Idempotent. ASCII takes a fast path (about 1 µs for a sentence).
    """
    if text.isascii():
        if not text.isprintable():
            text = _without_control(text)
        return " ".join(text.lower().split())
    if not text.isprintable():
        text = _without_control(text)
    if any(map(unicodedata.combining, text)):
        text = _stream_safe(text)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text)[: _GROWTH * len(text)].casefold())
    return " ".join(folded.split())


def _stream_safe(text: str) -> str:
    """`text` with runs of combining marks cut to 30 (UAX #15, stream-safe format): NFKC is quadratic in them."""
    kept, run = [], 0
    for char in text:
        run = run + 1 if unicodedata.combining(char) else 0
        if run <= _MARKS:
            kept.append(char)
    return "".join(kept)


def words(normalised: str) -> list[str]:
    """The words of a normalised text, punctuation left out."""
    return normalised.translate(_BREAKS).split()


def _without_control(text: str) -> str:
    """`text` with line breaks and tabs as spaces and other control and format characters left out."""
    return "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c) not in _DROPPED)


class Features:
    """Turns texts into n-gram ids as `spec` says.

    Keeps the ids of the words seen last (words are Zipfian: nearly all of a new text's are known), which bounds the
    memory and makes a known word cost one dictionary look-up.
    Safety: one thread at a time.
    """

    __slots__ = ("_known", "_spec")

    def __init__(self, spec: FeatureSpec) -> None:
        """Start with an empty cache."""
        self._spec = spec
        self._known: OrderedDict[str, tuple[int, int, bytes]] = OrderedDict()

    def ids(self, text: str) -> NDArray[np.int32]:
        """Ids of the n-grams of `text`, repeated as they occur; raw or normalised text gives the same.

        Shapes: int32[n], 0 <= id < buckets; n >= 1 even without words: the end of a text is an n-gram too.
        Cost: about 11 µs for 12 known words; bounded by `max_chars` and `max_words` for any text.
        """
        spec = self._spec
        shift = 32 - spec.bits
        known = self._known
        # A text may shrink when it is normalised; one that shrinks to less than half loses its end.
        normalised = normalise(text[: 2 * spec.max_chars])[: spec.max_chars]
        parts = []
        pairs = array("i")
        word_before = stem_before = _START
        for word in words(normalised)[: spec.max_words]:
            found = known.get(word)
            if found is None:
                found = self._learn(word)
            hashed, stem, grams = found
            parts.append(grams)
            pairs.append(((word_before * _PAIR + hashed) & 0xFFFFFFFF) >> shift)
            pairs.append(((stem_before * _PAIR + stem) & 0xFFFFFFFF) >> shift)
            word_before, stem_before = hashed, stem
        pairs.append(((word_before * _PAIR + _END) & 0xFFFFFFFF) >> shift)
        pairs.append(((stem_before * _PAIR + _END) & 0xFFFFFFFF) >> shift)
        parts.append(pairs.tobytes())
        return np.frombuffer(b"".join(parts), dtype=np.int32)

    def _learn(self, word: str) -> tuple[int, int, bytes]:
        """Hash `word` and its n-grams, and remember them in place of the word known longest."""
        spec = self._spec
        shift = 32 - spec.bits
        hashed = _hash(word.encode())
        ids = array("i", [hashed >> shift])
        marked = f"<{word}>"
        grams = [marked[i : i + n] for n in range(spec.min_gram, spec.max_gram + 1) for i in range(len(marked) - n + 1)]
        # The hash is written out: a new word has some thirty n-grams, and a call for each took a third of the time.
        ids.extend([((crc32(gram.encode()) * _PAIR) & 0xFFFFFFFF) >> shift for gram in grams])
        found = hashed, _hash(b"/" + word[:_STEM].encode()), ids.tobytes()
        if len(word) <= _CACHED_WORD_CHARS:
            if len(self._known) >= _CACHED_WORDS:
                self._known.popitem(last=False)  # of a plain dict the first key is found in O(size)
            self._known[word] = found
        return found


def _hash(gram: bytes) -> int:
    """32 bits, the same on every machine; the multiplication spreads CRC's linear structure into the high bits."""
    return (crc32(gram) * _PAIR) & 0xFFFFFFFF
