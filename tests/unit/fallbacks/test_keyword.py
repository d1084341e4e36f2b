"""Words, phrases and open endings."""

from __future__ import annotations

import time

import pytest

from fallbacks.keyword import KeywordIndex


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        pytest.param("card", "my card is lost", "card", id="a word"),
        pytest.param("card", "my cards", None, id="not a part of a word"),
        pytest.param("card*", "my cards", "cards", id="an open ending"),
        pytest.param("card*", "my card", "card", id="an open ending may be empty"),
        pytest.param("card*", "discard", None, id="an ending is not a beginning"),
        pytest.param("real person", "a real person please", "real person", id="a phrase"),
        pytest.param("real person", "a person real", None, id="in its order"),
        pytest.param("real person", "a real nice person", None, id="without gaps"),
        pytest.param("real person", "is it real", None, id="cut off by the end of the text"),
        pytest.param("real pers*", "a real personality", "real personality", id="a phrase with an open ending"),
        pytest.param("real pers*", "really personal", None, id="only the last word's ending is open"),
        pytest.param("real pers*", "so real", None, id="an open phrase cut off by the end"),
        pytest.param("a a b", "a a a b", "a a b", id="a phrase that begins within itself"),
    ],
)
def test_what_is_found(phrase: str, text: str, found: str | None) -> None:
    assert KeywordIndex([(phrase, 7)]).search(text.split()) == ({} if found is None else {7: found})


def test_each_owner_is_told_the_first_of_his_phrases() -> None:
    index = KeywordIndex([("lost", 0), ("stolen", 0), ("my card", 1), ("sto*", 2)])
    assert index.search(["my", "card", "was", "stolen", "or", "lost"]) == {1: "my card", 0: "stolen", 2: "stolen"}


def test_owners_may_share_a_phrase_and_prefixes_of_any_length_meet() -> None:
    index = KeywordIndex([("a", 0), ("a", 1), ("ab*", 2), ("abc*", 3), ("abcd*", 4)])
    assert index.search(["a"]) == {0: "a", 1: "a"}
    assert index.search(["abc"]) == {2: "abc", 3: "abc"}


def test_nothing_in_nothing() -> None:
    assert KeywordIndex([]).search(["a"]) == {}
    assert KeywordIndex([("a", 0)]).search([]) == {}


@pytest.mark.parametrize("phrase", ["", "*", "  ", " *"])
def test_an_empty_keyword_is_refused(phrase: str) -> None:
    with pytest.raises(ValueError, match="at least one letter"):
        KeywordIndex([(phrase, 0)])


def test_time_is_linear_in_the_text_whatever_the_keywords() -> None:
    index = KeywordIndex([("a " * 50 + "b", 0), ("a" * 50 + "*", 1), ("a", 2)])

    def took_s(words: list[str]) -> float:
        start = time.perf_counter()
        index.search(words)
        return time.perf_counter() - start

    short_s = min(took_s(["a"] * 1_000) for _ in range(5))
    long_s = min(took_s(["a"] * 16_000) for _ in range(5))
    assert long_s < 16 * short_s * 4, "a quadratic search would take 16 times as long again"
