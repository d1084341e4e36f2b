"""Whatever happens: no inversion among the classes, no rejection that outlives its evidence, bounds that hold."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from budgets.allowance import Allowance
from budgets.criticality import CLASSES, COHORTS, CRITICAL, CRITICAL_PLUS
from budgets.deadline import NS_PER_MS as MS
from budgets.limit import Limit
from budgets.overload import WINDOW_NS, Overload, OverloadSettings
from budgets.shedding import LEVELS, Arrivals, Cause, Verdict, Walk, lay

START_NS = 5 * 10**12
AGES_NS = 10**18
LIMIT_JOBS = 32


class Moment(NamedTuple):
    """Something that happens some time after the moment before it."""

    after_ns: int
    levels: list[int]  # that arrive
    lag_ns: int | None
    wait_share: float | None
    in_line: int


MOMENTS = st.lists(
    st.builds(
        Moment,
        st.one_of(st.integers(0, 3 * WINDOW_NS), st.sampled_from([20 * MS, WINDOW_NS, 3_600_000 * MS])),
        st.lists(st.one_of(st.integers(0, LEVELS - 1), st.sampled_from([0, 200, 511])), max_size=8),
        st.one_of(st.none(), st.integers(0, 500 * MS)),
        st.one_of(st.none(), st.floats(0, 3)),
        st.integers(0, LIMIT_JOBS + 1),
    ),
    max_size=40,
)
SETTINGS = st.builds(
    OverloadSettings,
    max_reject_share=st.floats(0, 1),
    queue_target_share=st.floats(0.01, 1),
    utilisation_share=st.floats(0.01, 1),
)


def controlled(options: OverloadSettings) -> Overload:
    return Overload(options, max_jobs=LIMIT_JOBS, smallest_budget_ns=50 * MS)


def live(control: Overload, moments: list[Moment]) -> tuple[int, list[object]]:
    """Let it all happen. Returns: when it ended, and everything the control answered."""
    now_ns, answers = START_NS, list[object]()
    for moment in moments:
        now_ns += moment.after_ns
        if moment.lag_ns is not None:
            control.lagged(moment.lag_ns, now_ns)
        if moment.wait_share is not None:
            for _ in range(25):
                control.waited(int(moment.wait_share * 50 * MS), 50 * MS, moment.wait_share < 1, now_ns)
        for level in moment.levels:
            answers.append(control.judge(level, now_ns))
            answers.append(control.admits_run(level // COHORTS, 8 * MS, moment.in_line, now_ns))
    return now_ns, answers


@given(SETTINGS, MOMENTS)
@settings(deadline=None)
def test_no_level_ever_fares_worse_than_a_less_critical_one_in_its_window(
    options: OverloadSettings, moments: list[Moment]
) -> None:
    control = controlled(options)
    now_ns, _ = live(control, moments)
    control.judge(0, now_ns + WINDOW_NS)  # a window begins; all that follows is in it
    worst_so_far = Verdict.ADMIT
    for level in range(LEVELS):
        given_here = [control.judge(level, now_ns + WINDOW_NS) for _ in range(3)]
        assert min(given_here) >= worst_so_far, level
        worst_so_far = max(given_here)
        if level < COHORTS:
            assert worst_so_far < Verdict.REJECT, "critical-plus is never turned away"


@given(SETTINGS, MOMENTS, st.integers(0, LIMIT_JOBS + 1), st.lists(st.integers(1, 900 * MS), min_size=4, max_size=4))
@settings(deadline=None)
def test_the_executor_is_never_refused_to_a_class_and_given_to_a_lesser_one(
    options: OverloadSettings, moments: list[Moment], in_line: int, costs_ns: list[int]
) -> None:
    control = controlled(options)
    now_ns, _ = live(control, moments)
    admitted = [
        deepcopy(control).admits_run(rank, cost_ns, in_line, now_ns + 1) for rank, cost_ns in enumerate(costs_ns)
    ]
    assert admitted == sorted(admitted, reverse=True)
    assert in_line > 0 or all(admitted), "an idle executor is for anybody"


@given(SETTINGS, MOMENTS)
@settings(deadline=None)
def test_no_pressure_outlives_a_silence(options: OverloadSettings, moments: list[Moment]) -> None:
    for silence_ns in (6_000 * MS, AGES_NS):
        control = controlled(options)
        now_ns, _ = live(control, [*moments, Moment(0, [], 0, None, 0)])
        for tick in range(5):  # the loop's lag is over; a control without a monitor would not know
            control.lagged(0, now_ns + tick)
        assert {control.judge(level, now_ns + silence_ns) for level in range(LEVELS)} == {Verdict.ADMIT}
        assert control.shed_share == control.reject_pressure == 0.0
        assert control.brownout_step == 0


@given(SETTINGS, MOMENTS)
@settings(deadline=None)
def test_readings_stay_within_their_bounds(options: OverloadSettings, moments: list[Moment]) -> None:
    control = controlled(options)
    _, answers = live(control, moments)
    assert 0.0 <= control.shed_share <= 0.98
    assert 0.0 <= control.reject_pressure <= 1.0
    assert 0.0 <= control.allowance_share <= 1.0
    assert 2.0 <= control.limit <= LIMIT_JOBS
    counted = sum(sum(control.verdicts(rank).values()) for rank in range(CLASSES))
    assert counted == len(answers) // 2
    assert control.verdicts(CRITICAL_PLUS)[Verdict.REJECT] == 0


@given(SETTINGS, MOMENTS)
@settings(deadline=None)
def test_dark_decides_as_enforce_would_and_off_refuses_nothing(
    options: OverloadSettings, moments: list[Moment]
) -> None:
    enforced, dark, off = (
        controlled(OverloadSettings(mode=mode, max_reject_share=options.max_reject_share))
        for mode in ("enforce", "dark", "off")
    )
    assert (enforced.enforces, dark.enforces, off.enforces) == (True, False, False)
    _, wanted = live(enforced, moments)
    assert live(dark, moments)[1] == wanted
    assert set(live(off, moments)[1]) <= {Verdict.ADMIT, True}


@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 500)), min_size=20, max_size=150),
)
@settings(deadline=None, max_examples=40)
def test_of_the_critical_no_more_are_turned_away_than_allowed(share: float, windows: list[tuple[int, int]]) -> None:
    """Over the last ten seconds, but for the arrivals of the window in which it is noticed."""
    control = controlled(OverloadSettings(max_reject_share=share))
    arrived, rejected, now_ns = list[int](), list[int](), START_NS
    for count, lag_ms in windows:
        now_ns += WINDOW_NS
        control.lagged(lag_ms * MS, now_ns)
        given_here = [control.judge(CRITICAL * COHORTS + (7 * at) % COHORTS, now_ns) for at in range(count)]
        arrived.append(count)
        rejected.append(given_here.count(Verdict.REJECT))
        assert sum(rejected[-90:]) <= share * (sum(arrived[-100:]) + 1) + 2 * max(arrived[-100:])


@given(st.lists(st.integers(0, LEVELS - 1), min_size=1, max_size=1_200), st.floats(0, 0.98))
def test_model_pressure_takes_that_share_of_the_recent_arrivals(levels: list[int], pressure: float) -> None:
    arrivals, model, loop = Arrivals(), Walk(Cause.MODEL), Walk(Cause.LOOP)
    for level in levels:
        arrivals.add(level)
    model.take(arrivals, pressure, 1.0)
    recent, table = levels[-1_000:], lay(model, loop)
    taken = sum(table[level] > 0 for level in recent)
    at_edge = sum(level in model.edge for level in recent)
    assert taken <= pressure * len(recent) + 1e-6
    assert taken + at_edge >= pressure * len(recent) - 1e-6
    assert len(table) == LEVELS


@given(st.lists(st.tuples(st.floats(0, 4), st.integers(0, 64), st.integers(0, 64)), max_size=120))
def test_the_limit_never_leaves_room_for_less_than_one_to_wait(seen: list[tuple[float, int, int]]) -> None:
    limit = Limit(LIMIT_JOBS, 0.25)
    for delay_share, peak, started in seen:
        limit.follow(delay_share, peak, started)
        assert limit.admits(CRITICAL, 1)
        for in_line in range(LIMIT_JOBS + 2):
            admitted = [limit.admits(rank, in_line) for rank in range(CLASSES)]
            assert admitted == sorted(admitted, reverse=True)
        assert limit.admits(CRITICAL_PLUS, LIMIT_JOBS - 1)
        assert not limit.admits(CRITICAL_PLUS, LIMIT_JOBS)


@given(
    st.floats(0.01, 1),
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 10**9), st.integers(0, 3), st.integers(0, 10**10)), max_size=60
    ),
)
def test_waiting_jobs_are_given_no_more_time_than_was_filled_in(
    refill_share: float, draws: list[tuple[int, int, int, int]]
) -> None:
    allowance, now_ns, given_ns, dearest_ns = Allowance(refill_share), START_NS, 0, 0
    allowance.draw(0, 0, 0, START_NS)
    for rank, cost_ns, in_line, after_ns in draws:
        now_ns += after_ns
        if allowance.draw(rank, cost_ns, in_line, now_ns) and in_line:
            given_ns += cost_ns
            dearest_ns = max(dearest_ns, cost_ns)
        assert 0.0 <= allowance.share <= 1.0
        assert given_ns <= 10**9 + refill_share * (now_ns - START_NS) + dearest_ns + 1
