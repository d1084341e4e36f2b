"""What the command line changes in a scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.errors import ScenarioError
from loadtest.quantity import Ns
from loadtest.scenario.override import with_overrides
from loadtest.scenario.read import parse_scenario
from loadtest.scenario.spec import ArrivalsSpec, FaultSpec, GateSpec, PhaseSpec, RateSpec, Scenario, TraceSpec

S = 1_000_000_000


def scenario(*phases: PhaseSpec, **fields: object) -> Scenario:
    warmup = PhaseSpec(name="early", rate=5.0, for_=Ns(3 * S), measure=False)
    gates = [GateSpec(expr="p99 <= 50ms")]
    return Scenario(**{"name": "s", "phases": [warmup, *phases], "gates": gates, **fields})  # type: ignore[arg-type]


CALM = PhaseSpec(name="calm", arrivals="constant", rate=20.0, for_=Ns(30 * S))
FLASH = PhaseSpec(name="flash", rate=[20.0, 200.0], for_=Ns(10 * S))


def shown(changed: Scenario) -> list[tuple[str, object, object, int, bool]]:
    return [(p.name, p.arrivals, p.rate, p.for_ // S, p.measure) for p in changed.phases]


def test_nothing_given_changes_nothing() -> None:
    plain = scenario(CALM, FLASH)
    assert with_overrides(plain) == plain
    nothing: dict[str, None] = dict.fromkeys(["url", "rate", "arrivals", "duration", "warmup", "seed", "gates"])
    assert with_overrides(plain, **nothing) == plain  # type: ignore[arg-type]


def test_a_rate_makes_one_phase_of_all_that_are_measured() -> None:
    assert shown(with_overrides(scenario(CALM, FLASH), rate=50.0)) == [
        ("early", "poisson", 50.0, 3, False),
        ("steady", "constant", 50.0, 30, True),
    ]


def test_what_is_not_given_is_the_first_measured_phases() -> None:
    assert shown(with_overrides(scenario(CALM, FLASH), duration=Ns(60 * S), arrivals="gamma:0.5")) == [
        ("early", "poisson", 5.0, 3, False),
        ("steady", "gamma:0.5", 20.0, 60, True),
    ]
    assert shown(with_overrides(scenario(FLASH, CALM), duration=Ns(60 * S)))[-1][2] == [20.0, 200.0]


def test_a_trace_takes_the_place_of_the_rate() -> None:
    changed = with_overrides(scenario(CALM), arrivals="trace:day.csv", duration=Ns(5 * S))
    assert shown(changed)[-1] == ("steady", ArrivalsSpec(trace=TraceSpec(file="day.csv")), None, 5, True)


def test_a_rate_takes_the_place_of_a_trace() -> None:
    traced = PhaseSpec(name="t", arrivals=ArrivalsSpec(trace=TraceSpec(file="day.csv")), for_=Ns(9 * S))
    assert shown(with_overrides(scenario(traced), rate=7.0))[-1] == ("steady", "poisson", 7.0, 9, True)


def test_a_warmup_takes_the_place_of_what_is_not_measured() -> None:
    assert shown(with_overrides(scenario(CALM, FLASH), warmup=Ns(8 * S))) == [
        ("warmup", "constant", 20.0, 8, False),
        ("calm", "constant", 20.0, 30, True),
        ("flash", "poisson", [20.0, 200.0], 10, True),
    ]
    assert shown(with_overrides(scenario(CALM), warmup=Ns(8 * S), rate=70.0))[0] == (
        "warmup",
        "constant",
        70.0,
        8,
        False,
    )
    assert [each[0] for each in shown(with_overrides(scenario(CALM), warmup=Ns(0)))] == ["calm"]


def test_a_warmup_needs_one_rate() -> None:
    climb = PhaseSpec(name="climb", rate=RateSpec(ramp=(1.0, 9.0)), for_=Ns(9 * S))
    with pytest.raises(ScenarioError, match="--warmup: phase 'climb' has no single rate"):
        with_overrides(scenario(climb), warmup=Ns(8 * S))
    assert len(with_overrides(scenario(climb), warmup=Ns(8 * S), rate=5.0).phases) == 2


def test_address_seed_and_gates_are_replaced() -> None:
    gates = (GateSpec(expr="attainment() >= 0.9", confidence=0.95),)
    changed = with_overrides(scenario(CALM), url="http://10.0.0.1:80", seed=9, gates=gates)
    assert changed.target.url == "http://10.0.0.1:80"
    assert (changed.seed, changed.gates) == (9, list(gates))
    assert with_overrides(scenario(CALM), gates=()).gates == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"url": "nowhere"}, r"target\.url"),
        ({"arrivals": "posson"}, r"phases\[1\]\.arrivals"),
        ({"rate": 9.0, "gates": (GateSpec(expr="p99 <= 5ms", on="calm"),)}, r"gates\[0\]\.on.*there are steady"),
        ({"duration": Ns(0)}, r"phases\[1\]\.for"),
        ({"rate": 0.0}, r"phases\[0\]\.rate: expected .* > 0"),
        ({"rate": 2e6}, r"phases\[0\]\.rate: expected .* <= 1000000"),
        ({"seed": -1}, r"seed: expected .* >= 0"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(ScenarioError, match=f"as the command line changes it: {says}"):
        with_overrides(scenario(CALM), **given)  # type: ignore[arg-type]


def test_a_fault_that_no_longer_fits_is_left_out() -> None:
    dead = parse_scenario("dead-store")
    assert [fault.at + fault.for_ for fault in dead.faults] == [25 * S]
    assert with_overrides(dead, duration=Ns(4 * S), gates=()).faults == []
    assert with_overrides(dead, duration=Ns(20 * S), gates=()).faults == dead.faults  # after 5 s of warm-up


def test_a_fault_that_never_fitted_is_a_mistake_in_the_file() -> None:
    late = FaultSpec(at=Ns(30 * S), for_=Ns(9 * S), kind="server", set={"loop": {"delay_ms": 1}})
    with pytest.raises(ScenarioError, match=r"faults\[0\]\.at: it ends 39\.0 s into the run, which takes 33\.0 s"):
        with_overrides(scenario(CALM, faults=[late]), seed=2)


def test_a_process_that_is_known_may_be_frozen(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        'name = "s"\nphases = [{ name = "p", rate = 5, for = "9s" }]\n'
        'faults = [{ at = "1s", for = "1s", kind = "sigstop" }]'
    )
    frozen = parse_scenario(path)
    assert with_overrides(frozen, has_pid=True, seed=2).seed == 2
    with pytest.raises(ScenarioError, match="sigstop"):
        with_overrides(frozen, seed=2)
