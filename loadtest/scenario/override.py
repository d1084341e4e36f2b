"""A scenario as the command line changes it."""

from __future__ import annotations

from typing import TypedDict, Unpack

import msgspec

from loadtest.errors import ScenarioError
from loadtest.quantity import Ns, decode_quantity, encode_quantity
from loadtest.scenario.check import problems
from loadtest.scenario.explain import explain
from loadtest.scenario.spec import ArrivalsSpec, FaultSpec, GateSpec, PhaseSpec, Scenario, TraceSpec

STEADY, WARMUP = "steady", "warmup"
TRACE = "trace:"


class Overrides(TypedDict, total=False):
    """None, as if it were not there."""

    url: str | None
    rate: float | None  # requests per second
    arrivals: str | None  # as in a file, or `trace:FILE`, relative to the current directory
    duration: Ns | None
    warmup: Ns | None  # 0: none
    seed: int | None
    gates: tuple[GateSpec, ...] | None


def with_overrides(scenario: Scenario, *, has_pid: bool = False, **given: Unpack[Overrides]) -> Scenario:
    """Replace what is given.

    Any of rate, arrivals and duration makes one phase, `steady`, of all that are measured; what is not given is that
    of the first of them. `warmup` replaces the phases that are not measured; without it they stay, at the new rate
    if theirs was one number. Gates replace those of the file; faults that would end after the phases that are replaced
    are left out.

    Raises: ScenarioError: the scenario cannot be like that, e.g. because a gate is on a phase that is gone.
    """
    target = scenario.target
    if (url := given.get("url")) is not None:
        target = msgspec.structs.replace(target, url=url)
    seed, gates = given.get("seed"), given.get("gates")
    phases = _phases(scenario.phases, given)
    changed = msgspec.structs.replace(
        scenario,
        target=target,
        seed=scenario.seed if seed is None else seed,
        gates=scenario.gates if gates is None else list(gates),
        phases=phases,
        faults=scenario.faults if phases == scenario.phases else _within(scenario.faults, phases),
    )
    where = f"{scenario.name}, as the command line changes it"
    raw = msgspec.to_builtins(changed, enc_hook=encode_quantity)
    try:
        msgspec.convert(raw, Scenario, dec_hook=decode_quantity)
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{where}: {explain(error, raw, Scenario)}") from None
    found = problems(changed, has_pid=has_pid)
    if found:
        raise ScenarioError(f"{where}: {found[0]}")
    return changed


def _phases(phases: list[PhaseSpec], given: Overrides) -> list[PhaseSpec]:
    rate, warmup = given.get("rate"), given.get("warmup")
    measured = [phase for phase in phases if phase.measure]
    if rate is not None or given.get("arrivals") is not None or given.get("duration") is not None:
        steady = _steady(measured[0], given)
        first = next(at for at, phase in enumerate(phases) if phase.measure)
        kept = [_at_rate(phase, rate) for phase in phases[:first]]
        phases, measured = [*kept, steady], [steady]
    if warmup is None:
        return phases
    return [*_warmup(measured[0], warmup), *measured]


def _within(faults: list[FaultSpec], phases: list[PhaseSpec]) -> list[FaultSpec]:
    run_ns = sum(phase.for_ for phase in phases)
    return [fault for fault in faults if fault.at + fault.for_ <= run_ns]


def _steady(first: PhaseSpec, given: Overrides) -> PhaseSpec:
    text, rate, duration = given.get("arrivals"), given.get("rate"), given.get("duration")
    arrivals, own_rate = first.arrivals, first.rate
    if text is not None and text.startswith(TRACE):
        arrivals, own_rate = ArrivalsSpec(trace=TraceSpec(file=text.removeprefix(TRACE))), None
    elif text is not None:
        arrivals = text
    elif rate is not None and not isinstance(arrivals, str):
        arrivals = "poisson"
    return PhaseSpec(
        name=STEADY,
        arrivals=arrivals,
        rate=own_rate if rate is None else rate,
        for_=first.for_ if duration is None else duration,
    )


def _at_rate(phase: PhaseSpec, rate: float | None) -> PhaseSpec:
    is_number = isinstance(phase.rate, int | float)
    return msgspec.structs.replace(phase, rate=rate) if rate is not None and is_number else phase


def _warmup(first: PhaseSpec, for_ns: Ns) -> list[PhaseSpec]:
    """At the rate that follows. Raises: ScenarioError: that is not one number."""
    if not for_ns:
        return []
    if not isinstance(first.arrivals, str) or not isinstance(first.rate, int | float):
        raise ScenarioError(f"--warmup: phase {first.name!r} has no single rate to warm up at; give --rate")
    return [PhaseSpec(name=WARMUP, arrivals=first.arrivals, rate=first.rate, for_=for_ns, measure=False)]
