from __future__ import annotations

import pytest

from budgets.criticality import COHORTS, CRITICAL, CRITICAL_PLUS, SHEDDABLE, SHEDDABLE_PLUS
from budgets.shedding import LEVELS, STEPS, VERDICTS, Arrivals, Cause, Pressure, Verdict, Walk, lay

ADMIT, INLINE, FLOOR, REJECT = range(len(VERDICTS))


def arrivals(*levels: int) -> Arrivals:
    counted = Arrivals()
    for level in levels:
        counted.add(level)
    return counted


def table(cause: Cause, seen: Arrivals, pressure: float, rejectable: float = 1.0) -> list[int]:
    walk, other = Walk(cause), Walk(Cause.MODEL if cause is Cause.LOOP else Cause.LOOP)
    walk.take(seen, pressure, rejectable)
    return lay(walk, other)


ONE_OF_EACH = arrivals(*range(LEVELS))


def test_verdicts_are_ordered_worse_later() -> None:
    assert Verdict.ADMIT < Verdict.INLINE < Verdict.FLOOR < Verdict.REJECT
    assert max(Verdict.FLOOR, Verdict.INLINE) is Verdict.FLOOR
    assert Verdict.REJECT >= Verdict.REJECT


@pytest.mark.parametrize("cause", Cause)
def test_no_class_is_ever_worse_off_than_a_less_critical_one(cause: Cause) -> None:
    given = dict.fromkeys((CRITICAL_PLUS, CRITICAL, SHEDDABLE_PLUS, SHEDDABLE), Verdict.ADMIT)
    for step in (step for step in STEPS if step.cause is cause):
        assert step.verdict > given[step.rank]
        assert all(given[rank] >= step.verdict for rank in given if rank > step.rank)
        given[step.rank] = step.verdict
    assert given[CRITICAL_PLUS] < Verdict.REJECT


def test_no_pressure_takes_nothing() -> None:
    assert table(Cause.MODEL, ONE_OF_EACH, 0.0) == table(Cause.LOOP, ONE_OF_EACH, 0.0) == [ADMIT] * LEVELS
    assert table(Cause.MODEL, Arrivals(), 0.9) == [ADMIT] * LEVELS


def test_model_pressure_takes_the_executor_from_the_least_critical() -> None:
    assert table(Cause.MODEL, ONE_OF_EACH, 0.25) == [ADMIT] * 384 + [INLINE] * 128
    assert table(Cause.MODEL, ONE_OF_EACH, 0.5 + 10 / LEVELS) == [ADMIT] * 246 + [INLINE] * 266


def test_its_share_is_of_those_that_come_not_of_the_levels() -> None:
    seen = arrivals(*range(128, 256), *range(128, 256), *range(128, 256), 400)
    taken = table(Cause.MODEL, seen, 0.5)
    assert sum(taken[128:256]) / 128 == pytest.approx(0.5, abs=0.01)
    assert taken[256:] == [INLINE] * 256


def test_loop_pressure_walks_its_steps_in_order() -> None:
    loop = [step for step in STEPS if step.cause is Cause.LOOP]
    whole = [table(Cause.LOOP, ONE_OF_EACH, taken / len(loop)) for taken in range(len(loop) + 1)]
    for taken, step in enumerate(loop):
        before, after = [laid[step.rank * COHORTS + 5] for laid in whole[taken : taken + 2]]
        assert VERDICTS[after] is step.verdict
        assert before < after
    assert whole[-1] == [FLOOR] * 128 + [REJECT] * 384


def test_a_step_is_taken_by_cohorts_the_last_first() -> None:
    assert table(Cause.LOOP, ONE_OF_EACH, 0.5 / 7)[384:] == [ADMIT] * 64 + [FLOOR] * 64


def test_only_a_share_of_the_critical_is_rejected_the_others_are_spared() -> None:
    walk = Walk(Cause.LOOP)
    walk.take(ONE_OF_EACH, 1.0, 0.25)
    laid = lay(Walk(Cause.MODEL), walk)
    assert laid[128:256] == [FLOOR] * 96 + [REJECT] * 32
    assert walk.spared == range(128, 224)
    assert laid[:128] == [FLOOR] * 128
    assert laid[256:] == [REJECT] * 256
    walk.take(ONE_OF_EACH, 1.0, 1.0)
    assert walk.spared == range(0)


def test_the_worse_of_both_pressures_counts() -> None:
    model, loop = Walk(Cause.MODEL), Walk(Cause.LOOP)
    model.take(ONE_OF_EACH, 0.5, 1.0)
    loop.take(ONE_OF_EACH, 0.5 / 7, 1.0)
    assert lay(model, loop) == lay(loop, model) == [ADMIT] * 256 + [INLINE] * 192 + [FLOOR] * 64


def test_a_level_at_the_edge_is_split_to_the_share() -> None:
    walk = Walk(Cause.MODEL)
    walk.take(arrivals(*[200] * 50), 0.3, 1.0)
    assert list(walk.edge) == [200]
    given = [walk.split(200, ADMIT) for _ in range(1_000)]
    assert abs(given.count(INLINE) - 300) <= 1
    assert walk.split(199, ADMIT) == ADMIT


def test_arrivals_forget_all_but_the_last_thousand() -> None:
    seen = arrivals(*[500] * 1_000, *[130] * 400)
    assert (seen.of(SHEDDABLE), seen.of(CRITICAL)) == (600, 400)
    for _ in range(600):
        seen.add(130)
    assert (seen.of(SHEDDABLE), seen.of(CRITICAL), seen.of(SHEDDABLE_PLUS)) == (0, 1_000, 0)


def test_pressure_rises_with_the_error_and_falls_without() -> None:
    pressure, values = Pressure(0.98), []
    for error in (1.0, 1.0, 1.0, 0.0, 0.0, -1.0, -1.0):
        pressure.follow(error)
        values.append(pressure.value)
    assert values[0] < values[1] < values[2]
    assert values[3] == values[4] > 0.0, "on target it stays"
    assert values[4] > values[5] > values[6]


def test_pressure_is_bounded_and_does_not_wind_up() -> None:
    pressure = Pressure(0.98)
    for _ in range(1_000):
        pressure.follow(1e9)
    assert pressure.value == 0.98
    windows = 0
    while pressure.value > 0.0:
        pressure.follow(-3.0)
        windows += 1
    assert windows < 30
    pressure.follow(1.0)
    assert pressure.value > 0.0, "a long calm does not make it slow to rise"


def test_its_steps_shrink_with_what_is_let_in() -> None:
    low, high = Pressure(0.98), Pressure(0.98)
    for _ in range(20):
        high.follow(3.0)
    before = high.value
    low.follow(1.0)
    high.follow(1.0)
    assert abs(high.value - before) < 0.5 * low.value


def test_pressure_fades_from_anywhere_within_two_seconds_and_at_once_after_years() -> None:
    pressure = Pressure(1.0)
    for _ in range(1_000):
        pressure.follow(3.0)
    pressure.fade(1)
    assert 0.7 < pressure.value < 1.0
    pressure.fade(19)
    assert pressure.value == 0.0
    pressure.follow(3.0)
    pressure.fade(10**15)
    assert pressure.value == 0.0
