"""What is counted, compared with the plainest way to count it."""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.audit import run
from tests.audit_records import START_NS, S, audited, decision, facts, large, tally_of, without_large

if TYPE_CHECKING:
    from router.audit.finding import GroupAudit
    from router.log import DecisionRecord

_STAGES = ("parse", "floor", "queue", "infer", "policy", "loop")
MS = st.integers(0, 60_000).map(lambda us: us / 1_000)


@st.composite
def records(draw: st.DrawFn) -> DecisionRecord:
    """Any record whose stages sum to its elapsed time."""
    stages_ms = draw(st.dictionaries(st.sampled_from(_STAGES), MS, min_size=1))
    rung = draw(st.sampled_from(("guard", "large", "small", "cache", "default")))
    ran = None
    if draw(st.booleans()):
        start_ms = draw(st.one_of(st.none(), MS))
        took_ms = draw(st.one_of(st.none(), MS))
        end_ms = None if start_ms is None or took_ms is None else start_ms + took_ms
        ran = facts(start_ms=start_ms, end_ms=end_ms, texts=draw(st.integers(0, 4)))
    why = draw(st.sampled_from(("none", "none", "budget", "overload", "breaker", "error", "cold")))
    return decision(
        draw(st.integers(0, 99)),
        at_s=draw(st.integers(0, 5)),
        rung=rung,
        point=draw(st.sampled_from(("interactions", "orders"))),
        criticality=draw(st.sampled_from(("critical", "sheddable"))),
        text=draw(st.sampled_from((None, "a", "b"))),
        degraded=why,
        skipped=() if why == "none" else (("large", why),),
        verdict=draw(st.sampled_from(("admit", "inline", "floor"))),
        dark=draw(st.booleans()),
        total_ms=draw(st.sampled_from((5.0, 20.0, 50.0))),
        elapsed_ms=sum(stages_ms.values()),
        stages_ms=stages_ms,
        run=ran,
    )


def rank(values: list[float], q: float) -> float:
    return sorted(values)[max(1, ceil(q * len(values))) - 1]


def check_group(group: GroupAudit, members: list[DecisionRecord], n: int) -> None:
    assert (group.total, group.share) == (len(members), len(members) / n)
    assert group.in_budget_share == pytest.approx(sum(not each.late for each in members) / len(members))
    assert group.degraded_share == pytest.approx(sum(each.degraded != "none" for each in members) / len(members))
    for q, said in ((0.5, group.p50_ms), (0.99, group.p99_ms)):
        assert said == pytest.approx(rank([each.elapsed_ms for each in members], q), rel=0.01, abs=0.001)
    assert group.budget_p50_ms == pytest.approx(rank([each.total_ms for each in members], 0.5), rel=0.01)
    used = rank([each.elapsed_ms / each.total_ms for each in members], 0.99)
    assert group.used_p99 == pytest.approx(used, rel=0.01, abs=0.0011)


@settings(max_examples=60, deadline=None)
@given(log=st.lists(records(), min_size=1, max_size=30))
def test_groups_and_stages_are_those_of_a_plain_count(log: list[DecisionRecord]) -> None:
    audit, n = audited(log), len(log)
    assert audit.decisions == n
    assert audit.in_budget_share == pytest.approx(sum(not each.late for each in log) / n)
    assert {each.name: each.total for each in audit.degraded} == Counter(each.degraded for each in log)
    assert audit.total is not None
    check_group(audit.total, log, n)
    for groups, field in ((audit.points, "point"), (audit.rungs, "rung"), (audit.criticalities, "criticality")):
        assert {each.name for each in groups} == {getattr(each, field) for each in log}
        for group in groups:
            check_group(group, [each for each in log if getattr(each, field) == group.name], n)
    late, degraded = [each for each in log if each.late], [each for each in log if each.degraded != "none"]
    for stage in audit.stages:
        entered = [each.stages_ms[stage.name] for each in log if stage.name in each.stages_ms]
        assert stage.total == len(entered)
        assert stage.p99_ms == pytest.approx(rank(entered, 0.99), rel=0.01, abs=0.001)
        for said, members in ((stage.share, log), (stage.share_in_late, late), (stage.share_in_degraded, degraded)):
            total_ms = sum(each.elapsed_ms for each in members)
            spent_ms = sum(each.stages_ms.get(stage.name, 0.0) for each in members)
            assert said == pytest.approx(spent_ms / total_ms if total_ms else 0.0, abs=1e-6)
        rescued = [each for each in late if each.stages_ms.get(stage.name, -1) >= each.elapsed_ms - each.total_ms]
        assert stage.late_without_total == len(rescued)


@settings(max_examples=60, deadline=None)
@given(log=st.lists(records(), min_size=1, max_size=30))
def test_every_late_or_degraded_request_has_exactly_one_cause(log: list[DecisionRecord]) -> None:
    audit = audited(log)
    assert sum(each.total for each in audit.causes) == sum(each.late or each.degraded != "none" for each in log)
    verdicts = {(each.verdict, each.dark): each.total for each in audit.verdicts}
    assert verdicts == Counter((each.verdict, each.dark) for each in log if each.verdict != "admit")
    assert audit.bottleneck is not None


@given(log=st.lists(records(), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_the_order_of_records_does_not_matter(log: list[DecisionRecord]) -> None:
    turned = log[::-1]
    one, other = audited(log), audited(turned)
    assert one.total == other.total
    assert set(one.stages) == set(other.stages)
    assert one.load is not None
    assert other.load is not None
    assert one.load.executor_share == pytest.approx(other.load.executor_share)


def test_runs_and_what_was_foreseen_of_them() -> None:
    log = [
        large(1, took_ms=10.0, waited_ms=2.0),
        large(2, took_ms=13.0),  # longer than the 12 ms predicted
        large(3, run=facts(start_ms=None, end_ms=None, texts=0)),  # never started
        large(4, elapsed_ms=20.0, run=facts(end_ms=None)),  # still ran, after 19.5 ms
        large(5, elapsed_ms=5.0, run=facts(end_ms=None)),  # still ran, after 4.5 ms: nobody knows
    ]
    (found,) = audited(log).predictions
    assert (found.queued, found.started, found.judged) == (5, 4, 3)
    assert found.covered_share == pytest.approx(1 / 3)
    assert found.run_p99_ms == pytest.approx(13, rel=0.01)
    assert found.texts_mean == 1
    assert found.predicted_p50_ms == pytest.approx(12, rel=0.01)


def test_the_executor_is_shared_by_the_texts_of_a_batch() -> None:
    """Members came one after the other, so that each has its own time of the one start."""
    batch = [
        large(
            number,
            took_ms=40.0,
            began_ns=1_000_000 * number,
            run=facts(texts=4, start_ms=5.0 - number, end_ms=45.0 - number),
        )
        for number in range(4)
    ]
    audit = audited(batch)
    assert audit.load is not None
    assert audit.load.executor_share == pytest.approx(0.04)
    (found,) = audit.predictions
    assert (found.queued, found.started, found.judged, found.texts_mean) == (4, 4, 1, 4)
    assert found.predicted_p50_ms is None


def test_requests_that_share_a_run_count_its_time_once() -> None:
    """Equal texts: the run is for one, and the first to give up does not see its end."""
    gave_up = without_large("budget", run=facts(end_ms=None), elapsed_ms=20.0)  # late by its 12 predicted: judged
    shared = [gave_up, *[large(took_ms=40.0, run=facts(end_ms=40.5))] * 3]
    for log in (shared, shared[::-1]):
        audit = audited(log)
        assert audit.load is not None
        assert audit.load.executor_share == pytest.approx(0.04)
        (found,) = audit.predictions
        assert (found.queued, found.judged, found.covered_share, found.texts_mean) == (4, 1, 0, 1)


def test_runs_are_told_apart_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_MOST_RUNS", 3)
    tally = tally_of([large(number // 2) for number in range(20)])
    assert tally.models["large"].ended == 10
    assert len(tally._runs._told) == 3


def test_what_a_rung_took_inline_is_not_mixed_with_a_run_before_it() -> None:
    stages_ms = {"queue": 5.0, "infer": 30.1}  # 30 of `large`, which was given up, and 0.1 of `small`
    given_up = without_large("budget", 1, run=facts(end_ms=None), stages_ms=stages_ms, elapsed_ms=35.1)
    never = without_large("overload", 2, run=facts(start_ms=None, end_ms=None, texts=0))
    tally = tally_of([given_up, never])
    assert tally.models["small"].run.n == 1
    assert tally.models["small"].run.quantile(1) == 100


def test_the_worst_moment_and_the_span() -> None:
    late = [decision(number, at_s=7.5, elapsed_ms=51.0) for number in range(3)]
    audit = audited([decision(at_s=3), *late, decision(at_s=7.9), decision(at_s=9)])
    assert audit.load is not None
    assert (audit.load.worst_at_ns, audit.load.worst_total, audit.load.worst_troubled) == (START_NS + 7 * S, 4, 3)
    assert (audit.first_at_ns, audit.last_at_ns) == (START_NS + 3 * S, START_NS + 9 * S)


def test_no_records() -> None:
    audit = audited([])
    assert (audit.decisions, audit.in_budget_share, audit.bottleneck) == (0, None, None)
