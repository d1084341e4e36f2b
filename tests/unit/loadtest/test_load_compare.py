"""Differences, their intervals and verdicts, on runs whose numbers are known."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from scipy import stats

from loadtest import resample
from loadtest.compare import Comparison, Metric, Verdict, compare, is_same_schedule, overall
from loadtest.difference import students
from loadtest.errors import ScenarioError
from loadtest.sample import DEGRADED, RUNGS
from loadtest.view import FOREVER_NS, View
from tests.lindley import arrivals_s, view_of

SECONDS = 60.0


def steady(seed: int, *, slower: float = 1.0, rate: float = 200.0, schedule: int = 1) -> View:
    """Independent latencies around 10 ms."""
    at_s = arrivals_s(rate, SECONDS, np.random.default_rng(schedule))
    return view_of(at_s, slower * np.random.default_rng(seed).lognormal(math.log(0.01), 0.3, len(at_s)), SECONDS)


def of(found: Comparison, name: str) -> Metric:
    return next(metric for metric in found.metrics if metric.name == name)


def compared(*pairs: tuple[View, View]) -> Comparison:
    return compare(pairs, np.random.default_rng(7))


def test_the_same_run_twice_is_equal_in_everything() -> None:
    run = steady(1)
    found = compared((run, run))
    assert found.verdict == "equal"
    assert found.paired
    assert {metric.verdict for metric in found.metrics} == {"equal"}
    assert all(metric.low == metric.difference == metric.high == 0 for metric in found.metrics)


@pytest.mark.parametrize(("slower", "verdict"), [(1.0, "equal"), (1.2, "worse"), (0.8, "better")])
def test_tells_slower_from_faster_from_alike(slower: float, verdict: str) -> None:
    found = compared((steady(1), steady(2, slower=slower)))
    assert of(found, "p50").verdict == verdict
    assert found.verdict in {verdict, "inconclusive" if slower == 1 else verdict}
    assert of(found, "p50").low <= slower - 1 <= of(found, "p50").high


def test_numbers_are_those_of_the_runs() -> None:
    base, new = steady(1), steady(2, slower=1.2)
    p99 = of(compared((base, new)), "p99")
    for view, told in ((base, p99.base), (new, p99.new)):
        latency_ns = np.sort(view.latency_ns)
        assert told == latency_ns[math.ceil(0.99 * len(latency_ns)) - 1]
    assert p99.difference == pytest.approx(p99.new / p99.base - 1)


def test_pairs_count_together() -> None:
    pairs = [(steady(at, schedule=at), steady(at + 50, schedule=at)) for at in range(8)]
    found = compared(*pairs)
    assert (found.pairs, found.paired) == (8, True)
    assert found.requests[0] == sum(len(base) for base, _ in pairs)
    one = of(compared(pairs[0]), "p99")
    assert of(found, "p99").high - of(found, "p99").low < one.high - one.low


def test_pairs_that_disagree_widen_the_interval() -> None:
    agreeing = [(steady(at), steady(at + 50, slower=1.1)) for at in range(4)]
    disagreeing = [(steady(at), steady(at + 50, slower=slower)) for at, slower in enumerate((1.4, 0.8, 1.3, 0.9))]
    assert compared(*agreeing).verdict == "worse"
    assert compared(*disagreeing).verdict == "inconclusive"


def test_other_schedules_are_compared_with_a_note() -> None:
    found = compared((steady(1), steady(2, schedule=2, slower=1.3)))
    assert not found.paired
    assert found.verdict == "worse"
    assert "schedules differ" in found.notes[0]


def test_a_schedule_is_the_same_only_if_budgets_are_too() -> None:
    base, other = steady(1), steady(2)
    assert is_same_schedule(base, other)
    other.planned["budget_ns"][5] += 1
    assert not is_same_schedule(base, other)


def unanswered(view: View, share: float) -> View:
    """The same with so many that nobody answered, evenly."""
    latency_s = np.where(np.arange(len(view)) % round(1 / share) == 0, math.inf, view.latency_ns / 1e9)
    return view_of(view.planned["intended_ns"] / 1e9, latency_s, SECONDS)


def test_never_is_slower_than_any_time() -> None:
    base = steady(1)
    found = compared((base, unanswered(base, 0.02)))
    p99 = of(found, "p99")
    assert (p99.new, p99.difference, p99.verdict) == (math.inf, math.inf, "worse")
    assert of(found, "in budget").verdict == "worse"
    assert found.verdict == "worse"


def test_never_and_never_are_equal() -> None:
    cut = unanswered(steady(1), 0.02)
    assert of(compared((cut, cut)), "p99").verdict == "equal"


def test_servers_that_never_answer_are_equal() -> None:
    at_s = arrivals_s(100, SECONDS, np.random.default_rng(1))
    dead = view_of(at_s, np.full(len(at_s), math.inf), SECONDS)
    found = compared((dead, dead))
    assert found.verdict == "equal"
    assert of(found, "p50").base == math.inf
    assert compared((steady(1, rate=100), dead)).verdict == "worse"


def test_shedding_improves_no_judged_metric() -> None:
    """Who refuses the slow third is faster with the rest; the mean says so, and isn't asked."""
    base = steady(1, slower=4.0)
    slow = base.latency_ns > np.quantile(base.latency_ns, 0.67)
    new = view_of(base.planned["intended_ns"] / 1e9, np.where(slow, math.inf, base.latency_ns / 1e9), SECONDS)
    found = compared((base, new))
    assert of(found, "mean of answered").verdict == "better"
    assert not of(found, "mean of answered").judged
    assert found.verdict == "worse"


def test_a_latency_bought_with_quality_is_worse() -> None:
    base, new = steady(1), steady(2, slower=0.5)
    third = np.arange(len(new)) % 3 == 0
    new.sample["rung"][third] = RUNGS.index("rules")
    new.sample["degraded"][third] = DEGRADED.index("overload")
    found = compared((base, new))
    assert of(found, "p99").verdict == "better"
    assert of(found, "not degraded").verdict == found.verdict == "worse"
    assert of(found, "rung rules").verdict == "different"
    assert of(found, "rung rules").difference == pytest.approx(1 / 3, abs=1e-3)


def test_who_tells_no_rung_is_not_compared_by_quality() -> None:
    base, new = steady(1), steady(2)
    for each in (base, new):
        each.sample["rung"] = each.sample["degraded"] = 0
    assert {metric.name for metric in compared((base, new)).metrics} == {
        *("p50", "p90", "p99"),
        *("mean of answered", "in budget"),
    }


def test_few_requests_without_a_miss_do_not_prove_that_shares_are_equal() -> None:
    """None of 300: up to one in a hundred, which is more than half a point."""
    run = steady(1, rate=5)
    assert of(compared((run, run)), "in budget").verdict == "inconclusive"
    run = steady(1, rate=12)
    assert of(compared((run, run)), "in budget").verdict == "equal"


def test_few_requests_judge_no_tail() -> None:
    found = compared((steady(1, rate=10), steady(2, rate=10, slower=3)))
    assert of(found, "p50").verdict == "worse"
    assert (of(found, "p99").verdict, of(found, "p99").why) == ("inconclusive", "needs 1,000 requests on each side")


def test_an_empty_run_compares_with_nothing() -> None:
    run = steady(1)
    with pytest.raises(ScenarioError, match="no request"):
        compared((run, run.where(np.zeros(len(run), bool))))


@pytest.mark.parametrize("count", [0, 51])
def test_pairs_are_counted(count: int) -> None:
    run = steady(1)
    with pytest.raises(ScenarioError, match=f"{count} pairs"):
        compared(*[(run, run)] * count)


def test_says_what_the_intervals_do_not_hold() -> None:
    run = steady(1)
    cut = replace(run, record=msgspec.structs.replace(run.record, status="interrupted"))
    notes = " ".join(compared((run, cut)).notes)
    assert "--repeat" in notes
    assert "1 of the runs did not go to the end" in notes


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["equal", "worse", "better"], "worse"),
        (["equal", "better", "inconclusive"], "better"),
        (["equal", "equal"], "equal"),
        (["equal", "inconclusive"], "inconclusive"),
        ([], "inconclusive"),
    ],
)
def test_one_worse_is_worse(verdicts: list[Verdict], expected: Verdict) -> None:
    assert overall(verdicts) == expected


@pytest.mark.parametrize("freedom", [1, 1.5, 2, 3, 11, 23, 100])
@pytest.mark.parametrize("z", [1.96, 2.5])
def test_students_quantile(z: float, freedom: float) -> None:
    assert students(z, freedom) == pytest.approx(stats.t.ppf(stats.norm.cdf(z), freedom), rel=1e-6)


def test_blocks_are_longer_where_time_has_a_memory() -> None:
    rng = np.random.default_rng(5)
    at_s = np.arange(0, SECONDS, 0.005)
    quick = [view_of(at_s, rng.lognormal(-4.6, 0.3, len(at_s)), SECONDS) for _ in range(2)]
    waves = [
        view_of(at_s, np.exp(-4.6 + 0.5 * np.sin(at_s / 3 + shift)) * rng.lognormal(0, 0.1, len(at_s)), SECONDS)
        for shift in (0, 2)
    ]
    assert blocks(quick) > blocks(waves)


def blocks(sides: list[View]) -> int:
    counted = []
    for view in sides:
        every = [np.ones(len(view), bool)]
        counted.append(resample.count([view], resample.windows_of([view]), every, every))
    return resample.blocks(counted[0], counted[1], paired=True)


def test_resampled_quantiles_are_those_of_what_was_drawn() -> None:
    """With every window once, the quantile of all; with a window many times, that window's."""
    view = steady(1)
    every = [np.ones(len(view), bool)]
    windows = resample.windows_of([view])
    side = resample.count([view], windows, every, every)
    drawn = np.ones((2, windows.max() + 1), np.float32)
    drawn[1] = np.arange(windows.max() + 1) == 17
    found = resample.quantiles_ns(side, drawn, (0.5, 0.99))
    for at, latency_ns in enumerate((view.latency_ns, view.latency_ns[windows == 17])):
        exact = np.quantile(latency_ns, (0.5, 0.99), method="inverted_cdf")
        assert found[:, at] == pytest.approx(exact, rel=0.002)


def test_unanswered_stay_unanswered_when_resampled() -> None:
    view = unanswered(steady(1), 0.02)
    every = [np.ones(len(view), bool)]
    side = resample.count([view], resample.windows_of([view]), every, every)
    drawn = resample.draws(np.random.default_rng(1), 24)
    assert np.isinf(resample.quantiles_ns(side, drawn, (0.99,))).mean() > 0.9
    assert np.isfinite(resample.means_ns(side, drawn)).all()
    assert (view.latency_ns == FOREVER_NS).any()
