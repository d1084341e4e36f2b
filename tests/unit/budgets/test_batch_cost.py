"""What a batch will cost, and how sure that is."""

from __future__ import annotations

from math import isnan
from random import Random

import pytest

from budgets.batch_cost import P50, P90, P99, P995, QUANTILES, BatchCost, Sample

MS, S = 1_000_000, 1_000_000_000
SIZES = [(texts, longest) for texts in (1, 2, 4, 8) for longest in (10, 40, 100)]


def cost_ns(texts: int, longest: int) -> int:
    return 2 * MS + texts * (500_000 + longest * 20_000)


class Rung:
    """Runs batches of its cost, +- 25 %, `every_ns`."""

    def __init__(self, seed: int = 1, every_ns: int = 5 * MS) -> None:
        self.rng = Random(seed)
        self.cost = BatchCost([Sample(*size, int(self.noisy(cost_ns(*size)))) for size in SIZES for _ in range(4)])
        self.every_ns, self.now_ns = every_ns, 0

    def noisy(self, ns: float) -> float:
        return ns * self.rng.lognormvariate(0, 0.25)

    def run(self, batches: int, slower: float = 1.0) -> None:
        for _ in range(batches):
            self.now_ns += self.every_ns
            texts, longest = self.rng.choice((1, 1, 2, 4, 8)), self.rng.randint(5, 150)
            self.cost.observe(texts, longest, int(self.noisy(slower * cost_ns(texts, longest))), self.now_ns)

    def tell_ns(self, at: int, texts: int = 1, longest: int = 40, later_ns: int = 0) -> int:
        return self.cost.quantile_ns(at, texts, longest, self.now_ns + later_ns)


def test_a_flat_cost_is_what_it_was_told() -> None:
    cost = BatchCost.flat(10 * MS, 33_333_333)
    for texts, longest in ((1, 0), (64, 400)):
        assert cost.quantile_ns(P50, texts, longest, 0) == 10 * MS
        assert cost.quantile_ns(P99, texts, longest, 0) == cost.quantile_ns(P995, texts, longest, 0) == 33_333_333
    assert BatchCost.flat(10 * MS, MS).quantile_ns(P99, 1, 40, 0) == 10 * MS, "no tail is below the median"


def test_a_warm_up_of_one_batch_will_do() -> None:
    cost = BatchCost([Sample(1, 40, 10 * MS)])
    assert cost.mean_ns(1, 40) == cost.mean_ns(8, 400) == pytest.approx(10 * MS)
    assert cost.quantile_ns(P99, 1, 40, 0) == 13 * MS, "a tail that was not seen is allowed for"


def test_the_first_call_of_a_model_is_not_its_tail() -> None:
    cost = BatchCost([Sample(1, 40, 1_000 * MS), *[Sample(1, 40, 10 * MS)] * 5])
    assert cost.mean_ns(1, 40) == pytest.approx(10 * MS)
    assert cost.quantile_ns(P995, 1, 40, 0) == 13 * MS


def test_the_tail_of_a_warm_up_is_believed() -> None:
    costs = [Sample(1, 40, ms * MS) for ms in (8, 9, 10, 10, 10, 11, 12, 25, 25)]
    assert BatchCost(costs).quantile_ns(P99, 1, 40, 0) == pytest.approx(25 * MS, rel=0.01)


def test_larger_batches_cost_more() -> None:
    rung = Rung()
    rung.run(1_000)
    for at, q in enumerate(QUANTILES):
        told = [rung.tell_ns(at, texts, longest) for texts, longest in ((1, 40), (4, 40), (8, 45))]
        assert told == sorted(told), q
    assert rung.cost.mean_ns(8, 100) == pytest.approx(1.03 * cost_ns(8, 100), rel=0.15)


def test_before_any_batch_there_is_no_coverage() -> None:
    rung = Rung()
    assert isnan(rung.cost.coverage(P90))
    assert (rung.cost.observed_total, rung.cost.last_ns) == (0, 0)


def test_coverage_is_of_what_was_predicted_before_and_of_the_last_thousand() -> None:
    cost = BatchCost.flat(10 * MS, 20 * MS)
    cost.observe(1, 40, 18 * MS, 5)
    assert [cost.coverage(at) for at in range(4)] == [0.0, 0.0, 1.0, 1.0]
    assert (cost.observed_total, cost.last_ns) == (1, 5)
    cost.observe(1, 40, 10 * S, 6)
    assert cost.coverage(P99) == 0.5
    for number in range(1_000):
        cost.observe(1, 40, 1, 7 + number)
    assert cost.coverage(P99) == cost.coverage(P50) == 1.0
    assert cost.observed_total == 1_002


def test_one_outlier_does_not_move_the_tail() -> None:
    rung = Rung()
    rung.run(500)
    before_ns = rung.tell_ns(P99)
    rung.cost.observe(1, 40, 60 * S, rung.now_ns)
    assert rung.tell_ns(P99) < 1.1 * before_ns
    rung.run(200)
    assert rung.tell_ns(P99) < 1.15 * before_ns


@pytest.mark.parametrize("seed", range(20))
def test_a_rung_ten_times_slower_is_believed_within_five_batches(seed: int) -> None:
    rung = Rung(seed)
    rung.run(500)
    before_ns = rung.tell_ns(P50)
    rung.run(5, slower=10)
    assert rung.tell_ns(P50) > 5 * before_ns


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("slow", [5, 50, 500])
def test_after_the_fault_three_batches_bring_the_estimate_back(seed: int, slow: int) -> None:
    """One every 1.5 s: a rung that is only probed is back within 5 s."""
    rung = Rung(seed)
    rung.run(500)
    before_ns = rung.tell_ns(P99)
    rung.run(slow, slower=10)
    rung.every_ns = 1_500 * MS
    rung.run(3)
    assert rung.tell_ns(P99) < 2 * before_ns


def test_the_tail_of_one_length_is_not_that_of_another() -> None:
    """Twice as slow from 120 characters on, which no straight line says."""
    rung = Rung()
    for number in range(4_000):
        longest = rung.rng.choice((30, 200))
        rung.cost.observe(1, longest, int(rung.noisy(10 * MS if longest == 30 else 5 * 10 * MS)), number)
    assert rung.tell_ns(P90, 1, 30) == pytest.approx(10 * MS * 1.38, rel=0.15)
    assert rung.tell_ns(P90, 1, 200) == pytest.approx(50 * MS * 1.38, rel=0.15)


def test_a_length_never_seen_has_the_tail_of_all() -> None:
    rung = Rung()
    for number in range(2_000):
        rung.cost.observe(1, 40, rung.rng.choice((3, 3, 3, 9)) * MS, number)
    seen, unseen = (rung.tell_ns(P99, 1, longest) / rung.cost.mean_ns(1, longest) for longest in (40, 400))
    assert unseen == pytest.approx(seen, rel=0.1)


def test_silence_fades_towards_the_profile() -> None:
    rung = Rung()
    before_ns = rung.tell_ns(P99)
    rung.run(500, slower=100)
    slow_ns = rung.tell_ns(P99)
    assert rung.tell_ns(P99, later_ns=4_999 * MS) == slow_ns, "5 s change nothing"
    assert rung.tell_ns(P99, later_ns=15 * S) == pytest.approx((slow_ns * before_ns) ** 0.5, rel=0.2), "the half-life"
    assert rung.tell_ns(P99, later_ns=200 * S) == pytest.approx(before_ns, rel=0.01)


def test_how_often_it_is_asked_changes_nothing() -> None:
    often, once = Rung(), Rung()
    for rung in (often, once):
        rung.run(300, slower=20)
    for later_ms in range(0, 20_000, 7):
        often.tell_ns(P90, later_ns=later_ms * MS)
    assert often.tell_ns(P90, later_ns=20_500 * MS) == pytest.approx(once.tell_ns(P90, later_ns=20_500 * MS), rel=0.05)


def test_a_question_from_the_past_fades_nothing_twice() -> None:
    rung = Rung()
    rung.run(300, slower=20)
    faded_ns = rung.tell_ns(P90, later_ns=20 * S)
    assert rung.tell_ns(P90) == rung.tell_ns(P90, later_ns=10 * S) == faded_ns


def test_restart_forgets_all_but_the_record() -> None:
    rung = Rung()
    fresh = Rung().cost
    rung.run(300, slower=20)
    rung.cost.restart()
    for at in range(4):
        assert rung.tell_ns(at, 4, 77) == fresh.quantile_ns(at, 4, 77, 0)
    assert rung.cost.observed_total == 300
    assert rung.cost.coverage(P99) > 0.9
    again = Rung().cost
    for each in (rung.cost, again):
        each.observe(2, 40, 5 * MS, rung.now_ns)
    assert rung.cost.mean_ns(4, 77) == again.mean_ns(4, 77)


def test_the_first_batch_after_a_silence_is_judged_by_what_is_left() -> None:
    """Else one usual batch after a long pause would be an outlier, and the slow spell would go on for two more."""
    rung = Rung()
    before_ns = rung.tell_ns(P99)
    rung.run(300, slower=100)
    rung.now_ns += 200 * S
    rung.cost.observe(1, 40, cost_ns(1, 40), rung.now_ns)
    assert rung.tell_ns(P99) == pytest.approx(before_ns, rel=0.15)
