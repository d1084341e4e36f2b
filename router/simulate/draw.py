"""A world becomes a day: arrivals, handling times and patience are drawn once, and every policy meets the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from router.assign.command import CreateTask, PutResource
from router.simulate.day import Agent, Customer, Day, S, shares
from router.simulate.world import SLOT_S, Crew, Stream, World, limits

if TYPE_CHECKING:
    from collections.abc import Iterator


def draw_day(world: World, seed: int) -> Day:
    """The same world and seed give the same day; a stream's customers do not depend on the other streams."""
    drawn = [each for name, stream in world.streams.items() for each in _customers(world, name, stream, seed)]
    drawn.sort(key=lambda each: (each.at_ns, each.task.id))
    return Day(
        start_ns=world.at_ns(world.from_),
        end_ns=world.at_ns(world.to),
        customers=tuple(drawn),
        agents=tuple(each for name, crew in world.crews.items() for each in _agents(world, name, crew)),
        seed=seed,
    )


def _customers(world: World, name: str, stream: Stream, seed: int) -> Iterator[Customer]:
    """Poisson in each slot: a number, then even times within it."""
    rng = np.random.default_rng([seed, *name.encode()])
    rates = np.array(world.rates(stream))
    slots = np.repeat(np.arange(len(rates)), rng.poisson(rates))
    begins_ns = world.at_ns(world.from_)
    offsets_s = np.sort((slots + rng.random(len(slots))) * SLOT_S)
    for number, offset_s in enumerate(offsets_s.tolist()):
        task_id = f"{name}-{number:06d}"
        handling, patience, _ = shares(seed, task_id)
        yield Customer(
            at_ns=begins_ns + round(offset_s * S),
            stream=name,
            task=CreateTask(
                id=task_id,
                queue=stream.queue,
                channel=stream.channel,
                skills=stream.skills,
                priority=stream.priority,
                service_class=stream.service_class,
                context=dict(stream.context),
            ),
            handling_ns=stream.handling.at_ns(handling),
            patience_ns=None if stream.patience is None else stream.patience.at_ns(patience),
        )


def _agents(world: World, name: str, crew: Crew) -> Iterator[Agent]:
    spans = crew.shifts or (f"{world.from_}-{world.to}",)
    shifts = tuple((world.at_ns(start), world.at_ns(end)) for start, end in (span.split("-") for span in spans))
    for number in range(1, crew.count + 1):
        yield Agent(
            resource=PutResource(
                id=f"{name}-{number:0{len(str(crew.count))}d}",
                kind=crew.kind,
                queues=crew.queues,
                channels=limits(crew),
                capacity=crew.capacity,
                skills=crew.skills,
                attributes=dict(crew.attributes),
                cost=crew.cost,
                success=crew.success,
            ),
            shifts=shifts,
            reaction=crew.reaction,
            wrap=crew.wrap,
            handling=crew.handling,
            speed=crew.speed,
            decline_share=crew.decline_share,
            miss_share=crew.miss_share,
        )
