"""The numbers of a report, against cases that can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loadtest.report.section.agreement import tell_quality
from loadtest.report.section.attainment import tell_attainment
from loadtest.report.section.failure import tell_failures
from loadtest.report.section.flow import tell_little, tell_throughput
from loadtest.report.section.ladder import tell_ladder
from loadtest.report.section.latency import tell_latency
from loadtest.report.section.part import histogram, ranked, window_ns
from loadtest.report.section.stage import tell_waterfall
from loadtest.run import FaultRecord, PhaseRecord, Repeat, Run, open_run
from loadtest.sample import NEVER, STAGES
from loadtest.view import FOREVER_NS, quantile_ns, view
from tests.fabricated import MS, S, fabricate


def edited(run: Run, **fields: object) -> Run:
    """The run with other samples; a tuple is a field of an inner array."""
    samples = open_run(run.path, writable=True).samples
    for field, values in fields.items():
        samples[field] = values
    samples.flush()  # type: ignore[attr-defined] # it is mapped
    return open_run(run.path)


def test_windows_are_round_and_few_enough() -> None:
    assert window_ns(60 * S, 120) == S // 2
    assert window_ns(61 * S, 60) == 2 * S
    assert window_ns(100 * 24 * 3_600 * S, 10) == 24 * 3_600 * S


def test_ranked_is_the_quantile_of_a_view() -> None:
    values = np.array([5, 1, 9, FOREVER_NS, 3, 7, 2, 8], np.int64)
    shares = [0.0, 0.125, 0.5, 0.51, 0.87, 0.875, 0.9, 1.0]
    for q, found in zip(shares, ranked(np.sort(values), np.array(shares)), strict=True):
        wanted = quantile_ns(values, q)
        assert (float("inf") if found is None else found) == wanted, q


def test_a_histogram_loses_nothing_at_its_ends() -> None:
    found = histogram(np.array([-5, 1, 999, 1_000, 50_000, 10**9]), 1_000, 100_000, 2)
    assert sum(found.counts) == 6
    assert found.counts[0] == 4
    assert found.counts[-1] == 2


def test_percentiles_from_both_clocks_and_the_unanswered(tmp_path: Path) -> None:
    # Of 100, 10 never end and 90 take 10 ms; all were sent 4 ms late.
    latency = np.where(np.arange(100) < 10, NEVER, 10 * MS)
    run = fabricate(tmp_path / "run", latency, lag_ns=4 * MS)
    whole = view(run)
    told = tell_latency(whole, whole.on("all"))
    by_q = {each.q: each for each in told.quantiles}
    assert by_q[0.9].intended_ns == 10 * MS
    assert by_q[0.9].sent_ns == 10 * MS - 4 * MS - 5_000
    assert by_q[0.95].intended_ns is None
    assert by_q[0.95].sent_ns == by_q[0.9].sent_ns
    assert (told.unanswered, told.mean_ns, told.max_ns) == (10, 10 * MS, 10 * MS)
    assert sum(map(sum, told.heat.counts)) == 90
    assert sum(told.heat.never) == 10


def test_heat_puts_a_latency_into_its_bucket(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", [1 * MS, 20 * MS], intended_ns=[0, 30 * S])
    whole = view(run)
    heat = tell_latency(whole, whole).heat
    for at_ns, latency_ns in ((0, 1 * MS), (30 * S, 20 * MS)):
        row = heat.counts[at_ns // heat.window_ns]
        assert sum(row) == 1
        bucket = row.index(1)
        assert heat.edges_ns[bucket] <= latency_ns < heat.edges_ns[bucket + 1]


def test_groups_split_by_phase_and_rung(tmp_path: Path) -> None:
    phases = (
        PhaseRecord(name="warmup", start_ns=0, end_ns=1 * S, measure=False),
        PhaseRecord(name="one", start_ns=1 * S, end_ns=2 * S, measure=True),
        PhaseRecord(name="two", start_ns=2 * S, end_ns=4 * S, measure=True),
    )
    phase = np.repeat([0, 1, 2], [100, 100, 200])
    run = fabricate(
        tmp_path / "run",
        np.where(phase == 2, 80 * MS, 10 * MS),
        phases=phases,
        phase=phase,
        rung=np.where(np.arange(400) % 2, "small", "large"),
    )
    whole = view(run)
    groups = {(each.by, each.name): each for each in tell_latency(whole, whole.on("all")).groups}
    assert ("phase", "warmup") not in groups
    assert groups["phase", "one"].attained == 1
    assert groups["phase", "two"].attained == 0
    assert groups["phase", "two"].per_second == 100
    assert groups["rung", "large"].scheduled == groups["rung", "small"].scheduled == 150
    assert groups["rung", "small"].p50_ns == 80 * MS


def test_attainment_is_of_all_that_were_scheduled(tmp_path: Path) -> None:
    latency = np.array([1 * MS] * 50 + [30 * MS] * 30 + [400 * MS] * 10 + [NEVER] * 10)
    run = fabricate(tmp_path / "run", latency)
    told = tell_attainment(view(run).on("all"))
    marks = {mark.budget_ns: mark.share for mark in told.marks}
    assert (marks[1 * MS], marks[20 * MS], marks[50 * MS], marks[1_000 * MS]) == (0.5, 0.5, 0.8, 0.9)
    assert told.own == 0.8
    assert told.own_budgets_ns == (50 * MS,)
    (curve,) = told.curves
    assert list(curve.shares) == sorted(curve.shares)
    assert curve.shares[-1] == 0.9


def ladder_run(path: Path) -> Run:
    """60 s at 100/s, degraded from 20 s to 33 s, a fault from 19 s to 30 s."""
    at = np.arange(6_000) * (S // 100)
    low = (at >= 20 * S) & (at < 33 * S)
    return fabricate(
        path,
        np.full(6_000, 5 * MS),
        intended_ns=at,
        rung=np.where(low, "small", "large"),
        degraded=np.where(low, "breaker", "none"),
        faults=(FaultRecord(kind="server", what="large.delay_ms=80", begin_ns=19 * S, end_ns=30 * S),),
    )


def test_ladder_tells_when_quality_went_and_came_back(tmp_path: Path) -> None:
    whole = view(ladder_run(tmp_path / "run"))
    told = tell_ladder(whole, whole.on("all"))
    (episode,) = told.episodes
    assert (episode.degrade_ns, episode.recover_ns) == (1 * S, 3 * S)
    assert episode.full_share == pytest.approx(1 / 11)
    assert [(turn.at_ns, turn.before, turn.after) for turn in told.turns] == [
        (20 * S, "large", "small"),
        (33 * S, "small", "large"),
    ]
    assert told.full_share == pytest.approx(47 / 60)
    assert {band.name: band.total for band in told.bands} == {"large": 4_700, "small": 1_300}
    assert sum(told.scheduled) == sum(sum(band.counts) for band in told.bands) == 6_000
    assert told.flaps_total == 0


def test_the_reasons_of_degraded_answers_are_counted(tmp_path: Path) -> None:
    rungs = ["large"] * 4 + ["small"] * 4 + ["rules"] * 2
    degraded = ["none"] * 4 + ["budget", "overload", "overload", "overload", "breaker", "none"]
    whole = view(fabricate(tmp_path, np.full(10, 5 * MS), rung=rungs, degraded=degraded))
    told = [(each.rung, each.why, each.total, each.share) for each in tell_ladder(whole, whole).causes]
    assert told == [("small", "overload", 3, 0.3), ("small", "budget", 1, 0.1), ("rules", "breaker", 1, 0.1)]


def test_a_fault_that_nothing_recovers_from(tmp_path: Path) -> None:
    at = np.arange(3_000) * (S // 100)
    run = fabricate(
        tmp_path / "run",
        np.full(3_000, 5 * MS),
        intended_ns=at,
        degraded=np.where(at >= 10 * S, "error", "none"),
        faults=(FaultRecord(kind="proxy", what="", begin_ns=10 * S, end_ns=12 * S),),
    )
    whole = view(run)
    (episode,) = tell_ladder(whole, whole).episodes
    assert (episode.degrade_ns, episode.recover_ns) == (0, None)


def test_a_phase_that_costs_quality_is_an_episode_and_the_next_one_inherits_it(tmp_path: Path) -> None:
    phases = (
        PhaseRecord(name="calm", start_ns=0, end_ns=10 * S, measure=True),
        PhaseRecord(name="flash", start_ns=10 * S, end_ns=20 * S, measure=True),
        PhaseRecord(name="after", start_ns=20 * S, end_ns=30 * S, measure=True),
    )
    at = np.arange(3_000) * (S // 100)
    run = fabricate(
        tmp_path / "run",
        np.full(3_000, 5 * MS),
        intended_ns=at,
        degraded=np.where((at >= 12 * S) & (at < 24 * S), "overload", "none"),
        phases=phases,
        phase=at // (10 * S),
    )
    whole = view(run)
    (episode,) = tell_ladder(whole, whole).episodes
    assert (episode.trigger, episode.name) == ("phase", "flash")
    assert (episode.degrade_ns, episode.recover_ns) == (2 * S, 4 * S)


def test_flapping_counts_short_returns(tmp_path: Path) -> None:
    at = np.arange(6_000) * (S // 100)
    second = at // S
    low = np.isin(second, [10, 13, 16, 40])  # back for 2 s, 2 s, then 23 s
    whole = view(
        fabricate(tmp_path / "run", np.full(6_000, 5 * MS), intended_ns=at, degraded=np.where(low, "overload", "none"))
    )
    assert tell_ladder(whole, whole).flaps_total == 2


def test_seconds_without_requests_change_nothing(tmp_path: Path) -> None:
    run = fabricate(
        tmp_path / "run", [5 * MS] * 3, intended_ns=[0, 20 * S, 40 * S], degraded=["none", "overload", "none"]
    )
    whole = view(run)
    told = tell_ladder(whole, whole)
    assert told.turns == ()
    assert told.flaps_total == 0


def test_quality_weighs_in_time_answers_with_their_agreement(tmp_path: Path) -> None:
    rung = np.repeat(["large", "small"], [60, 40])
    degraded = np.repeat(["none", "overload"], [60, 40])
    repeats = [
        Repeat(
            row=60 + i,
            rung="small",
            route="cards",
            reference="cards" if i < 15 else "loans",
            reference_rung="large",
            same=i < 15,
        )
        for i in range(20)
    ]
    repeats.append(Repeat(row=99, rung="small", route="cards", reference="", reference_rung="", same=None))
    run = fabricate(tmp_path / "run", np.full(100, 5 * MS), rung=rung, degraded=degraded, repeats=tuple(repeats))
    told = tell_quality(run, view(run).on("all"), seconds=1.0)
    small = next(each for each in told.rungs if each.rung == "small")
    assert small.agreement is not None
    assert (small.agreement.value, small.agreement.n) == (0.75, 20)
    assert small.agreement.low < 0.75 < small.agreement.high
    assert told.adjusted_goodput_per_s == pytest.approx(60 + 40 * 0.75)
    assert told.without_reference == 1
    assert [(each.by, each.expected, each.answered, each.requests) for each in told.pairs] == [
        ("reference", "loans", "cards", 5)
    ]


def test_of_who_tells_no_rung_nothing_is_known_of_quality(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", np.full(10, 5 * MS), rung="", degraded="")
    assert tell_quality(run, view(run), seconds=1.0).adjusted_goodput_per_s is None
    assert tell_ladder(view(run), view(run)).full_share is None


def test_goodput_is_unknown_where_nobody_asked_again(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", np.full(10, 5 * MS), rung="small", degraded="overload")
    told = tell_quality(run, view(run), seconds=1.0)
    assert told.adjusted_goodput_per_s is None
    assert told.degraded is None


def test_degraded_answers_that_miss_their_label(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", np.full(10, 5 * MS), rung="rules", degraded="error")
    cards = run.record.routes.index("cards")
    run = edited(run, route=cards)  # every second payload's label is `loans`
    told = tell_quality(run, view(run), seconds=1.0)
    assert [(each.by, each.expected, each.answered, each.requests) for each in told.pairs] == [
        ("label", "loans", "cards", 5)
    ]
    assert told.rungs[0].accuracy is not None
    assert told.rungs[0].accuracy.value == 0.5


def test_waterfall_adds_up_to_the_latency(tmp_path: Path) -> None:
    latency = np.array([10 * MS] * 9 + [100 * MS])
    run = fabricate(tmp_path / "run", latency, lag_ns=1 * MS)
    stages = np.zeros((10, len(STAGES)), np.int32)
    stages[:, STAGES.index("queue")], stages[:, STAGES.index("infer")] = 1_000, 2_000
    run = edited(run, server_us=4_000, stages_us=stages)
    told = tell_waterfall(view(run))
    assert told is not None
    steps = {step.name: step for step in told.steps}
    assert steps["generator"].mean_ns == 1 * MS
    assert steps["connection"].mean_ns == 5_000
    assert (steps["queue"].mean_ns, steps["infer"].mean_ns, steps["untold"].mean_ns) == (1 * MS, 2 * MS, 1 * MS)
    assert steps["outside the server"].late_mean_ns == 100 * MS - 1 * MS - 5_000 - 4 * MS
    assert sum(step.mean_ns for step in told.steps) == pytest.approx(latency.mean(), abs=len(told.steps))
    # The server thinks that the late one was in time.
    assert (told.late, told.gap.late, told.gap.claimed_in_time) == (1, 1, 1)
    assert told.gap.max_ns == 100 * MS - 1 * MS - 5_000 - 4 * MS


def test_no_waterfall_where_no_server_tells(tmp_path: Path) -> None:
    run = edited(fabricate(tmp_path / "run", [5 * MS] * 4), server_us=NEVER)
    assert tell_waterfall(view(run)) is None


def test_littles_law_holds_and_is_another_sum(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", np.full(1_000, 20 * MS), rate=100.0)
    told = tell_little(view(run))
    assert told is not None
    # 100/s x 20 ms; the last one's stay reaches beyond the end.
    assert told.expected == pytest.approx(2.0, rel=0.01)
    assert told.in_flight == pytest.approx(2.0, rel=0.01)
    assert told.in_flight_max == 2
    assert told.agrees


def test_littles_law_fails_for_what_piles_up_to_the_end(tmp_path: Path) -> None:
    latency = np.full(1_000, 20 * MS)
    latency[-100:] = 60 * S
    told = tell_little(view(fabricate(tmp_path / "run", latency, rate=100.0)))
    assert told is not None
    assert not told.agrees


def test_throughput_counts_what_came_in_time(tmp_path: Path) -> None:
    latency = np.array(([10 * MS] * 8 + [80 * MS] + [NEVER]) * 10)
    run = fabricate(tmp_path / "run", latency, phases=(PhaseRecord(name="p", start_ns=0, end_ns=2 * S, measure=True),))
    told = tell_throughput(view(run).on("all"))
    assert (told.scheduled_per_s, told.answered_per_s, told.goodput_per_s) == (50, 45, 40)


def test_failures_by_class_and_the_slowest_first(tmp_path: Path) -> None:
    status = np.array([200] * 6 + [429] * 3 + [500])
    run = fabricate(tmp_path / "run", np.array([1, 9, 3, 4, 5, 60, 1, 1, 1, 1]) * MS, status=status)
    run = edited(run, decision_high=1, decision_low=np.arange(10))
    told = tell_failures(view(run))
    assert [(each.what, each.outcome, each.requests) for each in told.classes] == [
        ("HTTP 429", "shed", 3),
        ("HTTP 500", "error", 1),
    ]
    assert [each.row for each in told.worst[:3]] == [5, 1, 4]
    assert told.worst[0].outcome == "late"
    assert told.worst[0].decision_id == f"{(1 << 64) | 5:032x}"
