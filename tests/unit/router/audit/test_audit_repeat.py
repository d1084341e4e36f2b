from __future__ import annotations

import pytest

from router.audit import repeat
from router.audit.repeat import Repeats


def test_repeats_and_cached_answers_are_shares_of_requests() -> None:
    repeats = Repeats()
    for text, is_cached in (("a", False), ("a", True), ("b", False), ("\ud800", False), ("a", False)):
        repeats.add(text, is_cached=is_cached)
    assert repeats.repeated_share() == pytest.approx(2 / 5)
    assert repeats.cached_share() == pytest.approx(1 / 5)


def test_nothing_repeats_nothing() -> None:
    assert (Repeats().repeated_share(), Repeats().cached_share()) == (0.0, 0.0)


def test_a_sample_is_bounded_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeat, "_MOST_TEXTS", 2_000)
    repeats = Repeats()
    for number in range(20_000):  # each text twice, the second time from the cache
        repeats.add(f"text {number}", is_cached=False)
        repeats.add(f"text {number}", is_cached=True)
    assert 1_000 <= len(repeats._texts) <= 2_000
    assert repeats.sampled == 2 * len(repeats._texts)  # all requests of a text, or none
    assert repeats.repeated_share() == repeats.cached_share() == 0.5
