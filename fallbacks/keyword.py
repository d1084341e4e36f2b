"""Finds keywords and phrases in a text's words, in time linear in the text, whatever the keywords.

No regular expressions: nothing a rule's author or a client writes can make it slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class KeywordIndex:
    """Maps phrases to the numbers of those that asked for them. A final `*` stands for any ending of the last word."""

    def __init__(self, phrases: Iterable[tuple[str, int]]) -> None:
        # By first word: the phrase's words, whether its last word is a prefix, and who asked.
        self._by_word: dict[str, list[tuple[tuple[str, ...], bool, int]]] = {}
        # Single words with an open ending, by their beginning; looked up once for each length that occurs.
        self._by_prefix: dict[str, list[int]] = {}
        for phrase, owner in phrases:
            words, is_prefix = tuple(phrase.rstrip("*").split()), phrase.endswith("*")
            if not words:
                raise ValueError(f"a keyword needs at least one letter, not {phrase!r}")
            if is_prefix and len(words) == 1:
                self._by_prefix.setdefault(words[0], []).append(owner)
            else:
                self._by_word.setdefault(words[0], []).append((words, is_prefix, owner))
        self._prefix_lengths = sorted({len(prefix) for prefix in self._by_prefix})

    def search(self, words: Sequence[str]) -> dict[int, str]:
        """Owner to the phrase that was found for it; the first one found where several match."""
        hits: dict[int, str] = {}
        for at, word in enumerate(words):
            for phrase, is_prefix, owner in self._by_word.get(word, ()):
                if owner not in hits and _stands_at(words, at, phrase, is_prefix=is_prefix):
                    hits[owner] = " ".join(words[at : at + len(phrase)])
            for length in self._prefix_lengths:
                if length > len(word):
                    break
                for owner in self._by_prefix.get(word[:length], ()):
                    hits.setdefault(owner, word)
        return hits


def _stands_at(words: Sequence[str], at: int, phrase: tuple[str, ...], *, is_prefix: bool) -> bool:
    found = tuple(words[at : at + len(phrase)])
    if is_prefix and len(found) == len(phrase):
        return found[:-1] == phrase[:-1] and found[-1].startswith(phrase[-1])
    return found == phrase
