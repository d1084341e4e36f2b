"""Fresh, stale, gone."""

from __future__ import annotations

import pytest

from fallbacks.cache import Cache, CacheSettings

S = 1_000_000_000


def cache(entries: int = 3, fresh_s: float = 10, stale_s: float = 60) -> Cache[str, int]:
    return Cache(CacheSettings(entries=entries, fresh_s=fresh_s, stale_s=stale_s))


@pytest.mark.parametrize(
    ("age_s", "expected"), [(0, (1, True)), (10, (1, True)), (10.1, (1, False)), (60, (1, False)), (60.1, None)]
)
def test_an_entry_ages(age_s: float, expected: tuple[int, bool] | None) -> None:
    subject = cache()
    subject.put("a", 1, 5 * S)
    assert subject.get("a", 5 * S + int(age_s * S)) == expected
    assert len(subject) == (expected is not None), "what is gone takes no room"


def test_what_is_put_again_is_fresh_again() -> None:
    subject = cache()
    subject.put("a", 1, 0)
    subject.put("a", 2, 50 * S)
    assert subject.get("a", 60 * S) == (2, True)
    assert len(subject) == 1


def test_reading_does_not_make_younger() -> None:
    subject = cache()
    subject.put("a", 1, 0)
    for second in range(61):
        assert subject.get("a", second * S) is not None
    assert subject.get("a", 61 * S) is None


def test_the_least_recently_used_goes_first() -> None:
    subject = cache(3)
    for number, key in enumerate("abc"):
        subject.put(key, number, 0)
    subject.get("a", 0)
    subject.put("d", 3, 0)
    assert [key for key in "abcd" if subject.get(key, 0)] == ["a", "c", "d"]


def test_no_entries_turn_it_off() -> None:
    subject = cache(0)
    subject.put("a", 1, 0)
    assert subject.get("a", 0) is None
    assert len(subject) == 0


def test_a_stale_time_below_the_fresh_one_means_no_stale_entries() -> None:
    subject = cache(fresh_s=10, stale_s=0)
    subject.put("a", 1, 0)
    assert subject.get("a", 10 * S) == (1, True)
    assert subject.get("a", 11 * S) is None


def test_look_ups_are_counted_by_what_they_found() -> None:
    subject = cache()
    subject.put("a", 1, 0)
    for key, now_ns in (("a", 0), ("a", S), ("a", 11 * S), ("b", 0), ("a", 99 * S)):
        subject.get(key, now_ns)
    assert (subject.fresh_total, subject.stale_total, subject.miss_total) == (2, 1, 2)
