from __future__ import annotations

import numpy as np
import pytest

from loadtest.statistics.early_stopping import decide
from loadtest.statistics.effective import effective

N = 16_384


def misses_at(*rows: int, n: int = N) -> np.ndarray:
    found = np.zeros(n, np.bool_)
    found[list(rows)] = True
    return found


@pytest.mark.parametrize("run", [np.zeros(500, np.bool_), np.ones(500, np.bool_), np.zeros(3, np.bool_)])
def test_where_all_are_alike_nothing_is_taken_off(run: np.ndarray) -> None:
    assert effective(run).n == len(run)
    assert effective(run).is_known


def test_one_miss_and_misses_far_apart_are_worth_what_they_are() -> None:
    assert effective(misses_at(7_000)).n == pytest.approx(N, rel=1e-9)
    assert effective(misses_at(*range(100, N, 1_700))).n == N


def test_as_many_as_early_stopping_wants_are_enough_if_one_misses() -> None:
    worth = effective(misses_at(600, n=662))
    assert decide(worth.n, worth.n / 662, 0.99, 0.99) == "pass"


def test_a_burst_is_worth_less_than_a_miss() -> None:
    # 20 in one burst have an effect of 20, and one burst tells little of bursts: 1 + 19 * 3.
    assert effective(misses_at(*range(5_000, 5_020))).n == pytest.approx(N / 58, rel=0.05)


def test_more_bursts_tell_more_of_bursts() -> None:
    rows = [start + at for start in range(500, N, 1_000) for at in range(10)]
    one = effective(misses_at(*range(500, 510))).n
    assert N / 20 < effective(misses_at(*rows)).n < N / 10
    assert effective(misses_at(*rows)).n > 1.5 * one


def test_the_mirror_image_is_worth_the_same() -> None:
    run = misses_at(*range(5_000, 5_400))
    assert effective(~run).n == pytest.approx(effective(run).n)


def test_integers_do_as_well() -> None:
    run = misses_at(*range(5_000, 5_020))
    assert effective(run.astype(np.uint8)) == effective(run)


def test_too_few_blocks_say_nothing() -> None:
    assert not effective(misses_at(3, 4, n=63)).is_known
    assert effective(misses_at(3, n=64)).is_known


def test_bursts_as_long_as_blocks_are_told() -> None:
    assert not effective(misses_at(*range(N // 2))).is_known
    assert not effective(misses_at(*range(2_048, 4_096))).is_known
    assert effective(misses_at(*range(2_048, 2_148))).is_known


def test_a_server_that_is_down_for_half_a_run_has_still_a_worth() -> None:
    assert 1 <= effective(misses_at(*range(N // 2))).n < 20
