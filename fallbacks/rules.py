"""Ordered rules: the first that matches answers, and says why.

A rule matches by keywords, by a condition, or by both together. Keywords are looked up once for the whole book; a
condition runs only for the rules that its keywords leave over, so most requests evaluate none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from fallbacks.keyword import KeywordIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)
T = TypeVar("T")


class Condition(Protocol[S_contra]):
    """Decides on a subject. It must be bounded in time and must not raise."""

    source: str

    def holds(self, subject: S_contra) -> bool: ...


@dataclass(frozen=True, slots=True)
class Rule(Generic[S, T]):
    """`keywords` are normalised words or phrases, any of which is enough; empty: the condition decides alone."""

    name: str
    answer: T
    keywords: tuple[str, ...] = ()
    when: Condition[S] | None = None


class Match(NamedTuple, Generic[T]):
    """The rule that matched and what it matched on, for people to read."""

    name: str
    answer: T
    why: str


class RuleBook(Generic[S, T]):
    """Rules in order. O(words + rules that may match)."""

    def __init__(self, rules: Sequence[Rule[S, T]]) -> None:
        self.rules = tuple(rules)
        self._keywords = KeywordIndex(
            (keyword, number) for number, rule in enumerate(rules) for keyword in rule.keywords
        )
        self._unconditional = [number for number, rule in enumerate(rules) if not rule.keywords]

    def first(self, words: Sequence[str], subject: S) -> Match[T] | None:
        hits = self._keywords.search(words)
        for number in sorted([*hits, *self._unconditional]) if hits else self._unconditional:
            rule = self.rules[number]
            if rule.when is not None and not rule.when.holds(subject):
                continue
            keyword = f"keyword '{hits[number]}'" if number in hits else ""
            when = f"when {rule.when.source}" if rule.when is not None else ""
            return Match(rule.name, rule.answer, " and ".join(part for part in (keyword, when) if part))
        return None
