"""Every request of a run before it begins: when, with which budget, from which row. The same seed, the same bytes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from loadtest.arrival.phase import expected, phase_arrivals
from loadtest.distribution import Distribution, Sampling, choose
from loadtest.errors import ScenarioError
from loadtest.run import PhaseRecord
from loadtest.sample import MAX_REQUESTS, NOT_SAID, PLANNED
from loadtest.scenario.spec import PhaseSpec, Scenario

CHANNEL = "chat"  # where a scenario names none


class Schedule(NamedTuple):
    """`planned`: sample.PLANNED, ascending in time; the others say what its numbers mean."""

    planned: np.ndarray
    phases: tuple[PhaseRecord, ...]
    criticalities: tuple[str, ...]
    channels: tuple[str, ...]


def plan(scenario: Scenario, payload_count: int, seed: int) -> Schedule:
    """Draw a run. Each purpose has its own stream of chance, so another mix leaves every arrival where it was.

    Raises: ScenarioError: a phase that can't be, or more requests than a run may have; said before they are made.
    """
    _check_count(sum(expected(phase) or 0.0 for phase in scenario.phases))
    # Another purpose goes to the end: a stream is known by its place.
    of_arrivals, of_payload, of_budget, of_channel, of_criticality = np.random.SeedSequence(seed).spawn(5)
    phases, times_ns = _phases(scenario.phases, of_arrivals)
    count = sum(len(times) for times in times_ns)
    if not count:
        raise ScenarioError("phases: not one request would be sent; raise `rate` or `for`")
    planned = np.zeros(count, PLANNED)
    planned["intended_ns"] = np.concatenate(times_ns)
    planned["phase"] = np.repeat(np.arange(len(phases)), [len(times) for times in times_ns])
    planned["payload"] = Sampling.parse(scenario.payload.sample).draw(_rng(of_payload), count, payload_count)
    planned["budget_ns"] = Distribution.parse(scenario.budget.deadline).draw(_rng(of_budget), count)
    planned["channel"] = choose(tuple(scenario.mix.values()) or (1.0,), _rng(of_channel), count)
    planned["criticality"] = NOT_SAID
    if scenario.criticality:
        planned["criticality"] = choose(tuple(scenario.criticality.values()), _rng(of_criticality), count)
    return Schedule(planned, phases, tuple(scenario.criticality), tuple(scenario.mix) or (CHANNEL,))


def _check_count(total: float) -> None:
    if total > MAX_REQUESTS:
        raise ScenarioError(
            f"phases: {total:,.0f} requests, but a run has at most {MAX_REQUESTS:,}; lower `rate` or `for`"
        )


def _phases(specs: list[PhaseSpec], seeds: np.random.SeedSequence) -> tuple[tuple[PhaseRecord, ...], list[np.ndarray]]:
    """One after the other. A phase has its own chance too: it is the same whatever the ones before it are."""
    records, times_ns, start_ns, count = [], [], 0, 0
    for at, (spec, seed) in enumerate(zip(specs, seeds.spawn(len(specs)), strict=True)):
        try:
            times_ns.append(start_ns + phase_arrivals(spec, _rng(seed)))
        except ScenarioError as error:
            raise ScenarioError(f"phases[{at}] ({spec.name}): {error}") from error
        count += len(times_ns[-1])
        _check_count(count)
        end_ns = start_ns + int(spec.for_)
        records.append(PhaseRecord(name=spec.name, start_ns=start_ns, end_ns=end_ns, measure=spec.measure))
        start_ns = end_ns
    return tuple(records), times_ns


def _rng(seed: np.random.SeedSequence) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64DXSM(seed))
