"""Schedules: the same seed gives the same bytes, and one purpose's chance does not move another's."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from loadtest.errors import ScenarioError
from loadtest.quantity import Ns
from loadtest.sample import NOT_SAID, PLANNED
from loadtest.scenario.spec import BudgetSpec, PayloadSpec, PhaseSpec, Scenario
from loadtest.schedule import Schedule, plan

S = 1_000_000_000


def scenario(**fields: object) -> Scenario:
    phases = [
        PhaseSpec(name="warmup", rate=50.0, for_=Ns(5 * S), measure=False),
        PhaseSpec(name="steady", rate=200.0, for_=Ns(20 * S)),
        PhaseSpec(name="burst", arrivals="gamma:0.5", rate=[100.0, 400.0], for_=Ns(10 * S)),
    ]
    budget, payload = BudgetSpec(deadline="20ms:1,50ms:3"), PayloadSpec(sample="zipf(1.1)")
    return Scenario(**{"name": "s", "phases": phases, "budget": budget, "payload": payload, **fields})  # type: ignore[arg-type]


def of_phase(schedule: Schedule, at: int) -> np.ndarray:
    """Its times from its own start, ns."""
    planned = schedule.planned
    found: np.ndarray = planned["intended_ns"][planned["phase"] == at] - schedule.phases[at].start_ns
    return found


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    first, again, other = plan(scenario(), 100, 7), plan(scenario(), 100, 7), plan(scenario(), 100, 8)
    assert first.planned.dtype == PLANNED
    assert first.planned.tobytes() == again.planned.tobytes()
    assert first.phases == again.phases
    assert len(np.intersect1d(first.planned["intended_ns"], other.planned["intended_ns"])) < 5


def test_phases_follow_each_other_and_do_not_overlap() -> None:
    schedule = plan(scenario(), 100, 7)
    assert [(phase.name, phase.start_ns, phase.end_ns, phase.measure) for phase in schedule.phases] == [
        ("warmup", 0, 5 * S, False),
        ("steady", 5 * S, 25 * S, True),
        ("burst", 25 * S, 35 * S, True),
    ]
    times_ns = schedule.planned["intended_ns"]
    assert np.all(np.diff(times_ns) >= 0)
    for at, phase in enumerate(schedule.phases):
        inside = times_ns[schedule.planned["phase"] == at]
        assert inside[0] >= phase.start_ns
        assert inside[-1] < phase.end_ns
        assert len(inside) > 100


def test_a_phase_keeps_its_arrivals_whatever_comes_before_it() -> None:
    plain = scenario()
    faster = [msgspec.structs.replace(plain.phases[0], rate=90.0), *plain.phases[1:]]
    first, other = plan(plain, 100, 7), plan(msgspec.structs.replace(plain, phases=faster), 100, 7)
    assert len(of_phase(first, 0)) != len(of_phase(other, 0))
    for at in (1, 2):
        assert np.array_equal(of_phase(first, at), of_phase(other, at))


@pytest.mark.parametrize(
    ("changed", "moves"),
    [
        ({"mix": {"voice": 1.0, "chat": 2.0}}, {"channel"}),
        ({"criticality": {"critical": 1.0, "sheddable": 2.0}}, {"criticality"}),
        ({"budget": BudgetSpec(deadline="exp(50ms)")}, {"budget_ns"}),
        ({"payload": PayloadSpec(sample="uniform")}, {"payload"}),
    ],
)
def test_what_is_changed_moves_nothing_else(changed: dict[str, object], moves: set[str]) -> None:
    before, after = plan(scenario(), 100, 7).planned, plan(scenario(**changed), 100, 7).planned
    assert {name for name in PLANNED.names or () if not np.array_equal(before[name], after[name])} == moves


def test_mix_and_criticality_are_shares() -> None:
    schedule = plan(scenario(mix={"voice": 3, "chat": 1}, criticality={"critical": 1, "sheddable": 1}), 10, 1)
    assert (schedule.channels, schedule.criticalities) == (("voice", "chat"), ("critical", "sheddable"))
    assert np.mean(schedule.planned["channel"] == 0) == pytest.approx(0.75, abs=0.03)
    assert np.mean(schedule.planned["criticality"] == 1) == pytest.approx(0.5, abs=0.03)


def test_without_them_all_are_chat_and_no_criticality_is_said() -> None:
    schedule = plan(scenario(), 10, 1)
    assert (schedule.channels, schedule.criticalities) == (("chat",), ())
    assert not schedule.planned["channel"].any()
    assert set(schedule.planned["criticality"].tolist()) == {NOT_SAID}


def test_payloads_and_budgets_are_the_scenarios() -> None:
    planned = plan(scenario(), 10, 1).planned
    assert set(planned["payload"].tolist()) == set(range(10))
    assert np.mean(planned["budget_ns"] == 50_000_000) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("phases", "says"),
    [
        (
            [PhaseSpec(name="p", rate=1e6, for_=Ns(3_600 * S))],
            "3,600,000,000 requests, but a run has at most 10,000,000",
        ),
        ([PhaseSpec(name="p", arrivals="constant", rate=1.0, for_=Ns(0))], "not one request"),
    ],
)
def test_a_run_of_too_many_or_of_none_is_refused(phases: list[PhaseSpec], says: str) -> None:
    with pytest.raises(ScenarioError, match=says):
        plan(scenario(phases=phases), 10, 1)
