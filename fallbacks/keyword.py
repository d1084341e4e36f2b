"""Finds keywords and phrases in a text's words, in time linear in the text, whatever the keywords.

No regular expressions: nothing a rule's author or a client writes can make it slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_SEEN_WORDS, _SEEN_CHARS = 16_384, 32  # 3 MB at most

_Phrase = tuple[tuple[str, ...], bool, int]  # its words, whether the last is a prefix, who asked for it


class _Leads(NamedTuple):
    """Phrases that a word may begin, and those who asked for the word itself by a prefix."""

    phrases: list[_Phrase]
    owners: list[int]


class KeywordIndex:
    """Maps phrases to the numbers of those that asked for them. A final `*` stands for any ending of the last word."""

    def __init__(self, phrases: Iterable[tuple[str, int]]) -> None:
        self._by_word: dict[str, list[_Phrase]] = {}
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
        # Most words begin like no prefix at all.
        self._shortest = min(self._prefix_lengths, default=0)
        self._beginnings = {prefix[: self._shortest] for prefix in self._by_prefix}
        # Words are Zipfian, and nearly none of them begins anything: what a word leads to is looked up once.
        self._seen: dict[str, _Leads | None] = {}

    def search(self, words: Sequence[str]) -> dict[int, str]:
        """Owner to the phrase that was found for it; the first one found where several match."""
        hits: dict[int, str] = {}
        seen = self._seen
        for at, word in enumerate(words):
            leads = seen[word] if word in seen else self._look_up(word)
            if leads is None:
                continue
            for phrase, is_prefix, owner in leads.phrases:
                if owner not in hits and _stands_at(words, at, phrase, is_prefix=is_prefix):
                    hits[owner] = " ".join(words[at : at + len(phrase)])
            for owner in leads.owners:
                hits.setdefault(owner, word)
        return hits

    def _look_up(self, word: str) -> _Leads | None:
        """What a word leads to; remembered, unless it is longer than words are."""
        phrases, owners = self._by_word.get(word, []), []
        if word[: self._shortest] in self._beginnings:
            for length in self._prefix_lengths:
                owners += self._by_prefix.get(word[:length], []) if length <= len(word) else []
        leads = _Leads(phrases, owners) if phrases or owners else None
        if len(word) <= _SEEN_CHARS:
            if len(self._seen) >= _SEEN_WORDS:
                self._seen.clear()
            self._seen[word] = leads
        return leads


def _stands_at(words: Sequence[str], at: int, phrase: tuple[str, ...], *, is_prefix: bool) -> bool:
    found = tuple(words[at : at + len(phrase)])
    if is_prefix and len(found) == len(phrase):
        return found[:-1] == phrase[:-1] and found[-1].startswith(phrase[-1])
    return found == phrase
