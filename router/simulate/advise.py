"""Whom to teach what: each lesson that could help, played on the same days, the one that shortens waits most first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from router.simulate.compare import Estimate, estimate
from router.simulate.draw import draw_day
from router.simulate.run import outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from router.simulate.measure import Outcome
    from router.simulate.run import Candidate, Compile, Tell
    from router.simulate.world import World

_TAUGHT = "{}_taught"


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """One agent of a crew learns one skill; differences to the world as it is, day by day."""

    crew: str
    skill: str
    level: int
    asa_s: Estimate | None
    """None: on no day was anybody answered without the lesson."""
    service_level: Estimate


def advise(
    world: World, candidate: Candidate, compile_condition: Compile, days: range, tell: Tell
) -> tuple[Lesson, ...]:
    """Args: days: their seeds; tell: called with worlds done and in all. Raises: SimulationError."""
    targets_s = {name: queue.target_s for name, queue in candidate.policy.queues.items()}

    def played(changed: World) -> list[Outcome]:
        return [outcome_of(draw_day(changed, seed), candidate, compile_condition, targets_s) for seed in days]

    found = list(lessons(world))
    tell(0, len(found) + 1)
    base, told = played(world), []
    for number, (crew, skill, level) in enumerate(found, 1):
        tell(number, len(found) + 1)
        after = played(taught(world, crew, skill, level))
        asa, share = _gaps(base, after, "asa_s"), _gaps(base, after, "service_level")
        if share:  # else nobody came who was answered or left
            mean = estimate(asa) if asa else None
            told.append(Lesson(crew=crew, skill=skill, level=level, asa_s=mean, service_level=estimate(share)))
    return tuple(sorted(told, key=lambda each: -math.inf if each.asa_s is None else each.asa_s.mean))


def lessons(world: World) -> Iterator[tuple[str, str, int]]:
    """(crew, skill, level) of people who lack what customers ask for: the highest level that any of them needs."""
    wanted: dict[str, int] = {}
    for stream in world.streams.values():
        for skill, level in stream.skills.items():
            wanted[skill] = max(level, wanted.get(skill, 0))
    for name, crew in world.crews.items():
        for skill, level in wanted.items():
            if crew.kind == "agent" and crew.skills.get(skill, 0) < level:
                yield name, skill, level


def taught(world: World, crew: str, skill: str, level: int) -> World:
    """The same world, but one agent of the crew has the skill."""
    before = world.crews[crew]
    pupil = msgspec.structs.replace(before, count=1, skills={**before.skills, skill: level})
    others = {crew: msgspec.structs.replace(before, count=before.count - 1)} if before.count > 1 else {}
    rest = {name: each for name, each in world.crews.items() if name != crew}
    return msgspec.structs.replace(world, crews={**rest, **others, _TAUGHT.format(crew): pupil})


def _gaps(base: Sequence[Outcome], after: Sequence[Outcome], field: str) -> list[float]:
    pairs = ((getattr(a.lines[0], field), getattr(b.lines[0], field)) for a, b in zip(after, base, strict=True))
    return [mine - other for mine, other in pairs if mine is not None and other is not None]
