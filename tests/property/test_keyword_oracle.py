"""The keyword index against the plainest search there is; keywords as a client could abuse them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fallbacks.keyword import KeywordIndex
from models.features import normalise, words

# Few letters, so that things meet.
WORDS = st.text("ab", min_size=1, max_size=3)
PHRASES = st.builds(
    lambda parts, is_open: " ".join(parts) + "*" * is_open, st.lists(WORDS, min_size=1, max_size=3), st.booleans()
)


def stands_at(text: list[str], at: int, phrase: str) -> str | None:
    *first, last = phrase.rstrip("*").split()
    found = text[at : at + len(first) + 1]
    if len(found) <= len(first) or found[:-1] != first:
        return None
    ends_well = found[-1].startswith(last) if phrase.endswith("*") else found[-1] == last
    return " ".join(found) if ends_well else None


@given(st.lists(st.tuples(PHRASES, st.integers(0, 3)), max_size=8), st.lists(WORDS, max_size=8))
def test_it_finds_what_a_plain_search_finds(phrases: list[tuple[str, int]], text: list[str]) -> None:
    expected: dict[int, tuple[int, set[str]]] = {}
    for phrase, owner in phrases:
        for at in range(len(text)):
            if (found := stands_at(text, at, phrase)) is not None:
                first, spellings = expected.get(owner, (at, set()))
                if at <= first:
                    expected[owner] = at, {found, *(spellings if at == first else ())}
                break
    hits = KeywordIndex(phrases).search(text)
    assert set(hits) == set(expected)
    for owner, found in hits.items():
        assert found in expected[owner][1], "where it stands first"


@given(st.text())
def test_every_text_is_its_own_keyword(text: str) -> None:
    spoken = words(normalise(text))
    if spoken:
        assert KeywordIndex([(" ".join(spoken), 0)]).search(spoken) == {0: " ".join(spoken)}


@given(st.text(), st.text())
def test_any_text_may_be_searched(keyword: str, text: str) -> None:
    phrase = " ".join(words(normalise(keyword)))
    if phrase:
        KeywordIndex([(phrase, 0), (phrase + "*", 1)]).search(words(normalise(text)))
