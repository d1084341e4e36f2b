"""The engine under virtual time, as fast as it goes: customers from arrays, servers that accept by themselves.

A plain loop over three things that come next: an arrival, an end of service or of patience, and the engine's own timer.
What is recorded is when each customer's service began and with whom.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from router.assign.command import CancelTask, CompleteTask, CreateTask, PutResource, SetPresence, Tick
from router.assign.engine import Engine
from router.assign.entity import ChannelLimit
from router.assign.policy import Policy, QueuePolicy
from router.assign.transition import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.assign.command import Command, Propose
    from router.assign.gather import Matching

NEVER = -1
START_NS = 1_767_600_000_000_000_000  # 2026-01-05, a Monday
_FOREVER_NS = 1 << 62
_CHANGES = 2_000


@dataclass(slots=True)
class Server:
    """Who serves, one at a time."""

    id: str
    queues: tuple[str, ...]
    skills: dict[str, int] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Line:
    """What came of it, by customer; times are those that were given, ns."""

    starts: list[int]
    servers: list[str]
    ends: list[int]
    left: int = 0
    completed: int = 0
    steps: int = 0
    engine: Engine | None = None


def no_conditions(source: str) -> Callable[[dict[str, Any]], bool]:
    raise NotImplementedError(source)


def line_policy(*queues: str, **more: Any) -> Policy:
    """Queues without relaxation, hours or triggers: first come, first served, by whoever has been idle longest."""
    ttl = {"ttl_s": 7_776_000.0, "most": 1_000_000}
    return Policy(queues={name: QueuePolicy(**{**ttl, **more}) for name in queues}, keep_closed=0)


def servers(count: int, *queues: str) -> list[Server]:
    return [Server(f"s{number:04d}", queues) for number in range(count)]


@dataclass(slots=True)
class Customers:
    """Arrays of the same length; `queue`, `skills` and `priority` of each are those of its kind."""

    arrivals: Sequence[int]
    services: Sequence[int]
    patiences: Sequence[int] | None = None
    kinds: Sequence[int] | None = None
    tasks: tuple[dict[str, Any], ...] = ({"queue": "line"},)
    """What a task of each kind is created with."""


def drive(  # noqa: C901 - one plain loop: a million arrivals go through it
    policy: Policy,
    staff: Sequence[Server],
    customers: Customers,
    see: Callable[[Engine, Command], None] | None = None,
    answer: Callable[[Engine, Matching], Propose] | None = None,
) -> Line:
    """Serve them all. Args: see: called after each step, to watch; answer: pairs for matchings."""
    engine = Engine(no_conditions, policy)
    arrivals, services, patiences = customers.arrivals, customers.services, customers.patiences
    count = len(arrivals)
    line = Line([NEVER] * count, [""] * count, [NEVER] * count, engine=engine)
    coming: list[tuple[int, int, bool]] = []
    _sign_on(engine, staff)
    due_ns = engine.due_ns

    def step(command: Command, at_ns: int) -> None:
        line.steps += 1
        stepped = engine.step(command, START_NS + at_ns)
        for event in stepped.events:
            if event.type == "task.assigned":
                number = int(event.subject)
                line.starts[number] = at_ns
                line.servers[number] = event.data["resource_id"]
                heapq.heappush(coming, (at_ns + services[number], number, True))
            elif event.type == "task.completed":
                line.completed += 1
                line.ends[int(event.subject)] = at_ns
        if line.steps % _CHANGES == 0:
            engine.take_changes()
        if see is not None:
            see(engine, command)
        for matching in stepped.matchings if answer is not None else ():
            step(answer(engine, matching), at_ns)  # type: ignore[misc]  # there is one: see the line before

    following = 0
    while following < count or coming:
        arrival = arrivals[following] if following < count else _FOREVER_NS
        at_ns = min(arrival, coming[0][0]) if coming else arrival
        due = due_ns()
        if due is not None and due - START_NS <= at_ns:
            step(Tick(), max(0, due - START_NS))
        elif arrival <= at_ns:
            kind = customers.kinds[following] if customers.kinds is not None else 0
            if patiences is not None:
                heapq.heappush(coming, (at_ns + patiences[following], following, False))
            step(CreateTask(id=f"{following:07d}", **customers.tasks[kind]), at_ns)
            following += 1
        else:
            _, number, is_served = heapq.heappop(coming)
            if is_served:
                step(CompleteTask(task_id=f"{number:07d}"), at_ns)
            elif line.starts[number] == NEVER and engine.state.tasks[f"{number:07d}"].state in WAITING:
                line.left += 1
                step(CancelTask(task_id=f"{number:07d}", reason="abandoned"), at_ns)
    return line


def _sign_on(engine: Engine, staff: Sequence[Server]) -> None:
    for each in staff:
        engine.step(
            PutResource(
                id=each.id,
                kind="workflow",
                queues=each.queues,
                channels={"chat": ChannelLimit(most=1)},
                skills=each.skills,
                attributes=each.attributes,
            ),
            START_NS,
        )
        engine.step(SetPresence(resource_id=each.id, presence="available", session=each.id), START_NS)
