"""The whole of a simulation: each day under each policy, measured and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from router.assign.engine import Engine
from router.simulate.compare import CONFIDENCE, Comparison, policy_result
from router.simulate.measure import measure
from router.simulate.play import play

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from router.assign.policy import Policy
    from router.simulate.day import Day
    from router.simulate.measure import Outcome
    from router.simulate.play import Answer

    Compile = Callable[[str], Callable[[dict[str, Any]], bool]]
    Tell = Callable[[int, int], None]


class Candidate(NamedTuple):
    """A policy and what it is called."""

    name: str
    policy: Policy
    answer: Answer


class Plan(NamedTuple):
    """What is asked for. Days are drawn with the seeds from `seed` on, one after the other."""

    world: str
    description: str
    draw: Callable[[int], Day]
    seed: int
    days: int


def simulate(plan: Plan, candidates: Sequence[Candidate], compile_condition: Compile, tell: Tell) -> Comparison:
    """All policies meet the same days; targets are those of the first. Args: tell: called with runs done and in all.

    Raises: SimulationError.
    """
    targets_s = {name: queue.target_s for name, queue in candidates[0].policy.queues.items()}
    outcomes: list[list[Outcome]] = [[] for _ in candidates]
    total = plan.days * len(candidates)
    for number in range(plan.days):
        day = plan.draw(plan.seed + number)
        for at, candidate in enumerate(candidates):
            tell(number * len(candidates) + at, total)
            outcomes[at].append(outcome_of(day, candidate, compile_condition, targets_s))
    tell(total, total)
    return Comparison(
        world=plan.world,
        description=plan.description,
        seed=plan.seed,
        days=plan.days,
        confidence=CONFIDENCE,
        targets_s=targets_s,
        policies=tuple(
            policy_result(each.name, each.policy.version, outcomes[at], outcomes[0] if at else None)
            for at, each in enumerate(candidates)
        ),
    )


def outcome_of(day: Day, candidate: Candidate, compile_condition: Compile, targets_s: Mapping[str, float]) -> Outcome:
    """One day under one policy. Raises: SimulationError."""
    engine = Engine(compile_condition, playable(candidate.policy))
    return measure(play(day, engine, candidate.answer), targets_s)


def playable(policy: Policy) -> Policy:
    """Customers here say no single words, so nothing is paused for want of one; ended tasks need not be remembered."""
    channels = {name: msgspec.structs.replace(channel, pause_after_s=0.0) for name, channel in policy.channels.items()}
    return msgspec.structs.replace(policy, channels=channels, keep_closed=100)
