"""MLPerf's rule, against MLPerf's own program."""

from __future__ import annotations

from hashlib import sha256

import pytest

from loadtest.statistics.early_stopping import allowed, decide, fixed_n, in_blocks, needed

# What MinPassingQueriesFinder of mlcommons-loadgen 6.0.17 (PyPI's wheel) returns for d = 0, plus t.
MISSES = (0, 1, 2, 3, 5, 10, 20, 50, 100, 500, 1_000)
LOADGEN = {
    (0.9, 0.99): (44, 64, 81, 97, 127, 197, 325, 681, 1_246, 5_518, 10_722),
    (0.95, 0.99): (90, 130, 165, 198, 259, 398, 656, 1_372, 2_504, 11_064, 21_483),
    (0.97, 0.99): (152, 219, 277, 332, 433, 667, 1_097, 2_293, 4_182, 18_458, 35_831),
    (0.99, 0.95): (299, 473, 628, 773, 1_049, 1_693, 2_902, 6_323, 11_799, 53_819, 105_334),
    (0.99, 0.99): (459, 662, 838, 1_001, 1_307, 2_010, 3_304, 6_898, 12_571, 55_427, 107_569),
    (0.999, 0.99): (4_603, 6_636, 8_403, 10_042, 13_105, 20_140, 33_097, 69_058, 125_826, 554_510, 1_076_032),
}
# SHA-256 of all its 1,001 values from t = 0 to 1,000, with commas between.
ALL = {
    (0.9, 0.99): "79c0d27e7d1d00fd",
    (0.99, 0.95): "21c5f632e03251b4",
    (0.99, 0.99): "5b950d88de31e6dc",
    (0.999, 0.99): "d4e4aa6a39da3a01",
}


@pytest.mark.parametrize(("p", "c"), LOADGEN)
def test_needed_is_what_loadgen_says(p: float, c: float) -> None:
    assert tuple(needed(t, p, c) for t in MISSES) == LOADGEN[p, c]


@pytest.mark.parametrize(("p", "c"), ALL)
def test_needed_is_what_loadgen_says_of_every_count_up_to_a_thousand(p: float, c: float) -> None:
    values = ",".join(str(needed(t, p, c)) for t in range(1_001))
    assert sha256(values.encode()).hexdigest()[:16] == ALL[p, c]


@pytest.mark.parametrize(
    ("n", "misses"),
    [(458, None), (459, 0), (1_000, 2), (2_000, 9), (5_000, 33), (10_000, 77), (30_000, 260), (100_000, 927)],
)
def test_allowed_is_needed_read_the_other_way(n: int, misses: int | None) -> None:
    assert allowed(n, 0.99, 0.99) == misses


def test_three_verdicts() -> None:
    assert decide(10_000, 77, 0.99, 0.99) == "pass"
    assert decide(10_000, 78, 0.99, 0.99) == decide(10_000, 123, 0.99, 0.99) == "inconclusive"
    assert decide(10_000, 125, 0.99, 0.99) == "fail"
    assert decide(1, 0, 0.99, 0.99) == "inconclusive"
    assert decide(1, 1, 0.999, 0.99) == "fail"


def test_requests_that_are_worth_a_tenth_are_needed_ten_times() -> None:
    assert needed(0, 0.99, 0.99, worth=0.1) == 4_583  # 458.21 would do if requests could be split
    assert needed(50, 0.99, 0.99, worth=0.1) == pytest.approx(13_070, abs=10)


def test_what_no_run_can_prove() -> None:
    assert needed(0, 1 - 1e-13, 0.99) is None


@pytest.mark.parametrize(
    ("p", "n", "rounded"),
    [(0.9, 23_886, 3), (0.95, 50_425, 7), (0.97, 85_811, 11), (0.99, 262_742, 33), (0.999, 2_651_305, 324)],
)
def test_fixed_numbers_are_mlperfs(p: float, n: int, rounded: int) -> None:
    assert fixed_n(p, 0.99) == n
    assert in_blocks(n) == rounded * 2**13
