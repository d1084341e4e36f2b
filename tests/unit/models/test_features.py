"""Normalising and hashing."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import features
from models.features import Features, normalise
from models.spec import FeatureSpec


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  My\tCard \n", "my card"),
        ("STRASSE straße", "strasse strasse"),
        ("ＦＵＬＬ width", "full width"),
        ("U\u0308ber", "über"),
        ("a\x00b\x07c", "abc"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("thanks 🎉", "thanks 🎉"),
        ("line\u2028break", "line break"),
        ("", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


@given(st.text())
def test_normalise_is_idempotent(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_takes_a_shorter_way_to_the_same(text: str) -> None:
    assert normalise(text + "é") == normalise(normalise(text + "é"))
    assert normalise(text) == normalise(text + " é").removesuffix("é").rstrip()


@given(st.text(st.characters(codec="utf-8")))
def test_raw_and_normalised_texts_have_the_same_ids(text: str) -> None:
    counter = Features(FeatureSpec())
    assert counter.ids(text).tolist() == counter.ids(normalise(text)).tolist()


@given(st.text(), st.integers(4, 22))
def test_ids_are_buckets_and_never_none(text: str, bits: int) -> None:
    ids = Features(FeatureSpec(bits=bits)).ids(text)
    assert ids.dtype == np.int32
    assert len(ids) >= 1
    assert ids.min() >= 0
    assert ids.max() < 1 << bits


def test_ids_are_the_same_on_every_machine() -> None:
    # A changed hash makes every model trained before useless: raise `spec.FORMAT` with it.
    ids = Features(FeatureSpec(bits=15)).ids("hi ü").tolist()
    assert (ids[:4], ids[-4:]) == ([20463, 17643, 28003, 4787], [32691, 9439, 14542, 694])


def test_a_known_word_has_the_ids_of_an_unknown_one() -> None:
    counter = Features(FeatureSpec())
    assert counter.ids("lost card lost").tolist() == counter.ids("lost card lost").tolist()


def test_word_order_counts() -> None:
    counter = Features(FeatureSpec())
    assert sorted(counter.ids("card lost")) != sorted(counter.ids("lost card"))


def test_punctuation_and_case_do_not() -> None:
    counter = Features(FeatureSpec())
    assert counter.ids("Lost card!!").tolist() == counter.ids("lost, card").tolist()


@pytest.mark.parametrize("text", ["x" * 1_000_000, "ü " * 500_000, "🎉" * 1_000_000, "a b " * 250_000])
def test_a_long_text_costs_no_more_than_a_full_one(text: str) -> None:
    spec = FeatureSpec()
    sizes = range(spec.min_gram, spec.max_gram + 1)
    most = len(sizes) * (spec.max_chars + 2) + 4 * spec.max_words + 2
    assert len(Features(spec).ids(text)) <= most


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_CACHED_WORDS", 3)
    counter = Features(FeatureSpec())
    words = "one two three four five one " + "long" * 20
    first = counter.ids(words).tolist()
    assert list(counter._known) == ["four", "five", "one"]
    assert counter.ids(words).tolist() == first


def test_neighbours_differ() -> None:
    counter = Features(FeatureSpec())
    words = [counter._learn(word)[0] for word in ("card", "cart", "care", "carp", "card1", "card2")]
    assert len({word >> 17 for word in words}) == len(words)
    assert all(abs(a - b) > 1_000 for a, b in pairwise(sorted(words)))


HOSTILE = {
    "marks, two kinds": "a" + "\u0301\u0316" * 8_000,
    "marks in order": "a" + "\u0301" * 8_000 + "\u0323" * 8_000,
    "eighteenfold": "\ufdfa" * 2_048,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_costs_hardly_more_than_a_plain_one(text: str) -> None:
    """As a ratio of CPU: NFKC is quadratic in runs of marks, and grows some characters eighteenfold."""
    plain = "ä ö ü ß é " * (len(text) // 10)

    def least_ns(each: str) -> int:
        spent = []
        for _ in range(5):
            began_ns = time.thread_time_ns()
            normalise(each)
            spent.append(time.thread_time_ns() - began_ns)
        return min(spent)

    assert least_ns(text) < 60 * least_ns(plain)


def test_a_few_marks_are_kept_and_a_pile_of_them_is_cut() -> None:
    assert normalise("e\u0301") == "é"
    assert len(normalise("x" + "\u0316" * 100)) == 31
