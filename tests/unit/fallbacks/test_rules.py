"""The first rule that matches answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from fallbacks.rules import Match, Rule, RuleBook


@dataclass
class Holds:
    """A condition that counts how often it was asked."""

    source: str
    test: Callable[[int], bool]
    asked: list[int] = field(default_factory=list)

    def holds(self, subject: int) -> bool:
        self.asked.append(subject)
        return self.test(subject)


BIG = Holds("n > 5", lambda n: n > 5)
BOOK = RuleBook[int, str](
    [
        Rule("card", "cards", ("card*",)),
        Rule("big loan", "loans", ("loan",), BIG),
        Rule("big", "vip", (), BIG),
        Rule("loan", "small_loans", ("loan", "my credit")),
    ]
)


@pytest.mark.parametrize(
    ("text", "subject", "expected"),
    [
        pytest.param("my cards", 9, Match("card", "cards", "keyword 'cards'"), id="the first wins"),
        pytest.param("a loan", 9, Match("big loan", "loans", "keyword 'loan' and when n > 5"), id="both hold"),
        pytest.param("a loan", 1, Match("loan", "small_loans", "keyword 'loan'"), id="the condition does not hold"),
        pytest.param("hello", 9, Match("big", "vip", "when n > 5"), id="the condition alone"),
        pytest.param("my credit", 9, Match("big", "vip", "when n > 5"), id="order, not kind, decides"),
        pytest.param("hello", 1, None, id="none"),
    ],
)
def test_the_first_that_matches(text: str, subject: int, expected: Match[str] | None) -> None:
    assert BOOK.first(text.split(), subject) == expected


def test_a_condition_is_asked_only_where_the_keywords_leave_it_over() -> None:
    condition = Holds("n > 5", lambda n: n > 5)
    book = RuleBook[int, str]([Rule("a", "x", ("loan",), condition)])
    book.first(["hello"], 9)
    assert condition.asked == []
    book.first(["loan"], 9)
    assert condition.asked == [9]


def test_a_rule_that_asks_for_nothing_always_matches() -> None:
    assert RuleBook[int, str]([Rule("any", "x")]).first([], 0) == Match("any", "x", "")


def test_an_empty_book() -> None:
    assert RuleBook[int, str]([]).first(["a"], 0) is None
