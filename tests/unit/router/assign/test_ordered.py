from __future__ import annotations

import random

import pytest

from router.assign.ordered import Ordered


def test_it_is_a_sorted_set_with_ranks() -> None:
    chance, keys, expected = random.Random(3), Ordered[tuple[int, str]](), set[tuple[int, str]]()
    for _ in range(12_000):
        key = (chance.randrange(9_000), "x")
        if key in expected:
            expected.remove(key)
            keys.remove(key)
        else:
            expected.add(key)
            keys.add(key)
    in_order = sorted(expected)
    assert list(keys) == in_order
    assert len(keys) == len(in_order)
    assert keys.first == in_order[0]
    for index in (0, 1, 700, 2_000, len(in_order) - 1):
        assert keys.rank(in_order[index]) == index
    assert keys.rank((9_999,)) == len(in_order)


def test_what_is_not_there_cannot_be_removed() -> None:
    keys = Ordered[tuple[int]]()
    with pytest.raises(KeyError):
        keys.remove((1,))
    keys.add((2,))
    for missing in ((1,), (3,)):
        with pytest.raises(KeyError):
            keys.remove(missing)
    keys.remove((2,))
    assert keys.first is None
    assert len(keys) == 0
    assert keys.rank((5,)) == 0


def test_who_comes_last_can_leave_whenever_a_block_is_split() -> None:
    keys = Ordered[tuple[int]]()
    for number in range(5_000):
        keys.add((number,))
        keys.remove((number,))
        keys.add((number,))
    assert [keys.rank((number,)) for number in range(5_000)] == list(range(5_000))
    for number in reversed(range(5_000)):
        keys.remove((number,))
    assert len(keys) == 0
