"""Whatever is observed, a prediction of a batch can be acted on."""

from __future__ import annotations

from math import isfinite, log

from hypothesis import given
from hypothesis import strategies as st

from budgets.batch_cost import P99, BatchCost, Sample
from budgets.quantile import QUANTILES, Tail

MS, S = 1_000_000, 1_000_000_000
TEXTS, LONGEST = st.integers(0, 512), st.integers(0, 1_000_000)
COSTS = st.one_of(st.integers(0, 100 * MS), st.sampled_from((0, 1, 10**15)))
PROFILES = st.lists(
    st.builds(Sample, st.integers(1, 64), st.integers(0, 2_000), st.integers(1, 60 * S)), min_size=1, max_size=30
)
SEEN = st.lists(st.tuples(TEXTS, LONGEST, COSTS, st.integers(0, 20 * S)), max_size=80)
SIZES = [(texts, longest) for texts in (0, 1, 2, 64) for longest in (0, 40, 130, 1_000)]


@given(PROFILES, SEEN)
def test_predictions_are_positive_and_rise_with_size_and_quantile(
    profile: list[Sample], seen: list[tuple[int, int, int, int]]
) -> None:
    cost, now_ns = BatchCost(profile), 0
    for texts, longest, cost_ns, after_ns in seen:
        now_ns += after_ns
        cost.observe(texts, longest, cost_ns, now_ns)
        means = [cost.mean_ns(texts, 40) for texts in (0, 1, 2, 4, 64)]
        means_of_longer = [cost.mean_ns(2, longest) for longest in (0, 40, 130, 1_000)]
        assert all(isfinite(mean) and mean > 0 for mean in means)
        assert means == sorted(means)
        assert means_of_longer == sorted(means_of_longer)
        for size in SIZES:
            told = [cost.quantile_ns(at, *size, now_ns) for at in range(4)]
            assert told == sorted(told)
            assert told[0] >= 0


@given(PROFILES, SEEN)
def test_long_silence_and_restart_bring_back_the_profile(
    profile: list[Sample], seen: list[tuple[int, int, int, int]]
) -> None:
    fresh, cost, now_ns = BatchCost(profile), BatchCost(profile), 0
    for texts, longest, cost_ns, after_ns in seen:
        now_ns += after_ns
        cost.observe(texts, longest, cost_ns, now_ns)
    for size in SIZES:
        expected_ns = fresh.quantile_ns(P99, *size, now_ns)
        assert abs(cost.quantile_ns(P99, *size, now_ns + 3_600 * S) - expected_ns) <= 1 + expected_ns // 1_000
    cost.restart()
    assert all(cost.quantile_ns(P99, *size, now_ns) == fresh.quantile_ns(P99, *size, now_ns) for size in SIZES)


@given(PROFILES, SEEN)
def test_coverage_is_what_one_counts(profile: list[Sample], seen: list[tuple[int, int, int, int]]) -> None:
    cost, now_ns, covered = BatchCost(profile), 0, [0, 0, 0, 0]
    for texts, longest, cost_ns, after_ns in seen:
        now_ns += after_ns
        told = [cost.quantile_ns(at, texts, longest, now_ns) for at in range(4)]
        cost.observe(texts, longest, cost_ns, now_ns)
        for at in range(4):  # a nanosecond of rounding aside
            covered[at] += cost_ns <= told[at]
    if seen:
        assert all(abs(cost.coverage(at) - covered[at] / len(seen)) * len(seen) <= 1.5 for at in range(4))
    assert cost.observed_total == len(seen)


@given(st.lists(st.floats(0.2, 15.0), min_size=1, max_size=200))
def test_coverage_of_a_tracked_quantile_is_bound_by_how_far_it_went(ratios: list[float]) -> None:
    """The guarantee, whatever comes: misses - (1 - q) n = log(end / start) / step, here with the steps of every day."""
    tail = Tail((0.8, 1.0, 1.2, 1.3, 1.4))
    tail._calls = 200
    start, missed = tail.tracked, [0] * 4
    for ratio in ratios:
        tail._beyond = 0
        missed = [so_far + (ratio > theta) for so_far, theta in zip(missed, tail.tracked[1:], strict=True)]
        tail.learn(ratio)
    for q, misses, before, after in zip(QUANTILES, missed, start[1:], tail.tracked[1:], strict=True):
        assert abs(misses - (1 - q) * len(ratios) - log(after / before) / 0.02) < 1e-6
