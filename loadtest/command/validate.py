"""`takt loadtest validate FILE`: what a scenario will do, or everything that is wrong with it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

import numpy as np

from loadtest.errors import PASSED, USAGE, ScenarioError
from loadtest.fault.timeline import describe
from loadtest.gate.expression import parse, show
from loadtest.payload import Payload, load_payloads
from loadtest.quantity import MS, write_ns
from loadtest.sample_size import allowed_misses
from loadtest.scenario.check import problems
from loadtest.scenario.read import parse_scenario
from loadtest.scenario.spec import GateSpec, PhaseSpec, RateSpec, Scenario
from loadtest.schedule import Schedule, plan
from loadtest.terminal import facts, note, say, table


def run(args: Namespace) -> int:
    """Returns: 0, or 2 where the scenario is wrong. Raises: ScenarioError: it can't even be read."""
    scenario = parse_scenario(args.file)
    found = problems(scenario, has_pid=True)
    for problem in found:
        note(f"{args.file}: {problem}")
    if found:
        return USAGE
    payloads = load_payloads(scenario.payload)
    schedule = plan(scenario, len(payloads), scenario.seed)
    say(f"{args.file}: is right. With seed {scenario.seed} it does this:")
    facts(_facts(scenario, schedule, payloads))
    say("")
    table(("phase", "from", "for", "arrivals", "rate", "requests", ""), _phases(scenario, schedule))
    if scenario.faults:
        say("")
        table(("fault", "from", "for", "what"), _faults(scenario))
    if scenario.target.start is None and any(fault.kind == "sigstop" for fault in scenario.faults):
        note(f"{args.file}: its `sigstop` needs to know the server's process: run it with --start or --pid")
    if scenario.gates:
        say("")
        table(("gate", "on", "confidence", "requests", "may miss"), _gates(scenario, schedule))
    return PASSED


def _facts(scenario: Scenario, schedule: Schedule, payloads: tuple[Payload, ...]) -> Iterator[tuple[str, str]]:
    """Name and value."""
    target, planned = scenario.target, schedule.planned
    labelled = sum(payload.label is not None for payload in payloads)
    budgets_ms = planned["budget_ns"] / MS
    yield "name", scenario.name + (f": {scenario.description}" if scenario.description else "")
    yield "target", f"{target.url.rstrip('/')}{target.path}, {target.connections} connections"
    yield "payload", f"{len(payloads):,} rows, {labelled:,} with a label; {scenario.payload.sample}"
    if scenario.agents is not None:
        yield "agents", f"{scenario.agents.count:,}, the last signs in after {write_ns(scenario.agents.arrive)}"
    yield "budget", f"{scenario.budget.deadline}: {budgets_ms.min():.4g} to {budgets_ms.max():.4g} ms"
    for key, words, weights in (
        ("channels", schedule.channels, scenario.mix),
        ("criticality", schedule.criticalities, scenario.criticality),
    ):
        if weights:
            shares = (f"{word} {weights[word] / sum(weights.values()):.0%}" for word in words)
            yield key, ", ".join(shares)
    minutes = schedule.phases[-1].end_ns / 60e9
    yield "requests", f"{len(planned):,} in {minutes:.1f} minutes"


def _phases(scenario: Scenario, schedule: Schedule) -> Iterator[tuple[str, ...]]:
    for spec, record, count in zip(scenario.phases, schedule.phases, _counts(schedule), strict=True):
        yield (
            spec.name,
            write_ns(record.start_ns),
            write_ns(spec.for_),
            *_arrivals(spec),
            f"{count:,}",
            "" if spec.measure else "not measured",
        )


def _arrivals(phase: PhaseSpec) -> tuple[str, str]:
    """How regular they are, and their rate."""
    match phase.arrivals, phase.rate:
        case str(process), RateSpec(ramp=(first, last)):
            return process, f"{first:g} to {last:g}/s"
        case str(process), RateSpec(diurnal=day) if day is not None:
            return process, f"{day.low:g} to {day.high:g}/s and back in {write_ns(day.period)}"
        case str(process), list(rates):
            return process, f"{', '.join(f'{rate:g}' for rate in rates)}/s"
        case str(process), rate:
            return process, f"{rate:g}/s"
        case kinds, _ if (spec := kinds.mmpp) is not None:
            return "mmpp", f"{spec.low:g} or {spec.high:g}/s"
    return "trace", "as recorded"


def _counts(schedule: Schedule) -> list[int]:
    """Requests of each phase."""
    counts: list[int] = np.bincount(schedule.planned["phase"], minlength=len(schedule.phases)).tolist()
    return counts


def _gates(scenario: Scenario, schedule: Schedule) -> Iterator[tuple[str, ...]]:
    """Each condition, and how many independent misses it survives: too few requests can prove nothing."""
    for gate in scenario.gates:
        count = sum(
            count
            for phase, count in zip(schedule.phases, _counts(schedule), strict=True)
            if gate.on == phase.name or (gate.on == "all" and phase.measure)
        )
        for condition in parse(gate.expr):
            alone = GateSpec(expr=show(condition), on=gate.on, confidence=gate.confidence)
            yield alone.expr, gate.on, f"{gate.confidence:g}", f"{count:,}", _may_miss(alone, count)


def _may_miss(gate: GateSpec, count: int) -> str:
    """Of a gate of one condition."""
    try:
        (misses,) = allowed_misses(gate, count)
    except ScenarioError:  # such as a time, which is measured once
        return "-"
    return "too few requests to pass" if misses is None else f"{misses:,}"


def _faults(scenario: Scenario) -> Iterator[tuple[str, ...]]:
    for fault in scenario.faults:
        yield fault.kind, write_ns(fault.at), write_ns(fault.for_), describe(fault)
