"""What a run of `tests.bench.overload` sends: parts with rates, a budget, faults; as a scenario of the load tester."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from loadtest import conductor, schedule
from loadtest.quantity import MS, Ns, S
from loadtest.scenario.spec import BudgetSpec, FaultSpec, PayloadSpec, PhaseSpec, Scenario, TargetSpec, ValiditySpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadtest.schedule import Schedule

# Enough for four times a budget at the highest rates here: a request must not wait for a connection.
CONNECTIONS = 512
CLASSES = ("critical", "sheddable")
_DRAWN_BY = "plan"  # the conductor's name for what draws a schedule


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a run. `critical`: how many of its requests a second are critical, the others sheddable."""

    name: str
    rate: float
    seconds: float
    critical: float | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent. `lag_ms`: how late the generator may be at its p99; `critical` of parts is for all or for none."""

    parts: tuple[Part, ...]
    budget_ms: float
    seed: int
    lag_ms: float
    warm_up_s: float
    faults: tuple[FaultSpec, ...] = ()
    connections: int = CONNECTIONS


def server_fault(at_s: float, for_s: float, **what: dict[str, object]) -> FaultSpec:
    """As PUT /v1/admin/faults; times from the start of the run, warm-up included."""
    return FaultSpec(at=_ns(at_s), for_=_ns(for_s), kind="server", set=what)


def scenario(url: str, plan: Plan, payload: Path) -> Scenario:
    """Each text with a made-up word, so that no cache knows it."""
    first = plan.parts[0]
    phases = [PhaseSpec(name=each.name, rate=each.rate, for_=_ns(each.seconds))
              for each in plan.parts]  # fmt: skip
    if plan.warm_up_s:
        warm_up = PhaseSpec(name="warm-up", rate=first.rate, for_=_ns(plan.warm_up_s), measure=False)
        phases.insert(0, warm_up)
    return Scenario(
        name="overload",
        seed=plan.seed,
        target=TargetSpec(url=url, connections=plan.connections, timeout=_ns(5)),
        payload=PayloadSpec(from_=str(payload), label=None, fresh=True),
        budget=BudgetSpec(deadline=f"{plan.budget_ms:.3f}ms"),
        criticality={} if first.critical is None else dict.fromkeys(CLASSES, 1.0),
        phases=phases,
        faults=list(plan.faults),
        validity=ValiditySpec(lag_p99=Ns(round(plan.lag_ms * MS))),
    )


@contextmanager
def mixing(plan: Plan) -> Iterator[None]:
    """While this lasts, each part has its own mix of criticalities, where a scenario has one for the whole run."""
    if plan.parts[0].critical is None:
        yield
        return
    draw = schedule.plan

    def by_part(scenario: Scenario, payload_count: int, seed: int) -> Schedule:
        drawn = draw(scenario, payload_count, seed)
        parts = {each.name: each for each in (msgspec.structs.replace(plan.parts[0], name="warm-up"), *plan.parts)}
        chance = np.random.default_rng(seed)
        for at, phase in enumerate(drawn.phases):
            part, here = parts[phase.name], drawn.planned["phase"] == at
            is_sheddable = chance.random(int(here.sum())) >= (part.critical or 0.0) / part.rate
            drawn.planned["criticality"][here] = is_sheddable
        return drawn

    setattr(conductor, _DRAWN_BY, by_part)
    try:
        yield
    finally:
        setattr(conductor, _DRAWN_BY, draw)


def _ns(seconds: float) -> Ns:
    return Ns(round(seconds * S))
