"""What simulated agents saw: counted, and the times that customers waited for them. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


_COUNTS = (
    *("offers", "accepted", "lost_races", "expired", "refused", "reconnected", "over_capacity", "completed"),
    "in_time",
)


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Times in ms. Percentiles of several runs together: None, as those of each do not tell them."""

    count: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float


class AgentsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All agents of a run together."""

    agents: int
    offers: int
    accepted: int
    lost_races: int
    """Accepts answered 409: somebody else had it, or it was taken back."""
    expired: int
    """Accepts answered 410."""
    refused: int
    """Other answers than these."""
    reconnected: int
    over_capacity: int
    """Times that an agent held more than it may: by its own count of what it had accepted, or by what it was told."""
    completed: int
    in_time: int
    """Accepted within the queue's target."""
    waiting: int
    """Tasks in the server's queues when the agents had gone."""
    offered: Waits | None = None
    """From the task's creation to its first offer, by the server's clock."""
    assigned: Waits | None = None
    """From the task's creation to its assignment, by the server's clock."""
    told: Waits | None = None
    """From an offer's issue to its arrival at the agent: by two clocks, so only where both are one machine's."""


class Task(msgspec.Struct, frozen=True):
    """What an agent reads of a task."""

    id: str
    state: str
    created_at: datetime
    weight: int = 0
    target_at: datetime | None = None
    assignment: Assignment | None = None


class Assignment(msgspec.Struct, frozen=True):
    started_at: datetime
    weight: int = 0


class Offer(msgspec.Struct, frozen=True):
    id: str
    task_id: str
    issued_at: datetime
    weight: int
    fence: int = 0


@dataclass(slots=True)
class Book:
    """Written by all agents of a run."""

    agents: int
    counts: Counter[str] = field(default_factory=Counter)
    offered_ms: list[float] = field(default_factory=list)
    assigned_ms: list[float] = field(default_factory=list)
    told_ms: list[float] = field(default_factory=list)

    def offer(self, offer: Offer, task: Task, now: datetime) -> None:
        """An offer came. Args: now: wall clock of the agent."""
        self.counts["offers"] += 1
        self.told_ms.append(_ms(offer.issued_at, now))
        if offer.id == f"{task.id}-1":
            self.offered_ms.append(_ms(task.created_at, offer.issued_at))

    def accepted(self, task: Task) -> None:
        self.counts["accepted"] += 1
        if task.assignment is not None:
            self.assigned_ms.append(_ms(task.created_at, task.assignment.started_at))
            self.counts["in_time"] += task.target_at is not None and task.assignment.started_at <= task.target_at

    def refused(self, status: int) -> None:
        """An accept that was not taken."""
        self.counts[{409: "lost_races", 410: "expired"}.get(status, "refused")] += 1

    def close(self, waiting: int) -> AgentsRecord:
        return AgentsRecord(
            agents=self.agents,
            **{name: self.counts[name] for name in _COUNTS},
            waiting=waiting,
            offered=_waits(self.offered_ms),
            assigned=_waits(self.assigned_ms),
            told=_waits(self.told_ms),
        )


class Hands:
    """What one agent has accepted and not yet given back, by its own count: never more than the server's."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._weights: dict[str, int] = {}

    def take(self, task_id: str, weight: int) -> bool:
        """Whether that is more than it may hold."""
        self._weights[task_id] = weight
        return sum(self._weights.values()) > self._capacity

    def give_back(self, task_id: str) -> None:
        self._weights.pop(task_id, None)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._weights


def together(records: Sequence[AgentsRecord]) -> AgentsRecord | None:
    """Several runs against one server as one; None of none.

    The agents of each are the same ones, and what the last one left in the queues is what waited in the end.
    Args: records: by the ends of their runs.
    """
    if not records:
        return None
    return AgentsRecord(
        agents=max(each.agents for each in records),
        **{name: sum(getattr(each, name) for each in records) for name in _COUNTS},
        waiting=records[-1].waiting,
        offered=_all_waits([each.offered for each in records]),
        assigned=_all_waits([each.assigned for each in records]),
        told=_all_waits([each.told for each in records]),
    )


def _all_waits(parts: Sequence[Waits | None]) -> Waits | None:
    known = [each for each in parts if each is not None]
    if len(known) <= 1:
        return known[0] if known else None
    count, max_ms = sum(each.count for each in known), max(each.max_ms for each in known)
    return Waits(count=count, p50_ms=None, p99_ms=None, max_ms=max_ms)


def _ms(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() * 1e3


def _waits(values_ms: Sequence[float]) -> Waits | None:
    if not values_ms:
        return None
    ascending = sorted(values_ms)

    def at(share: float) -> float:
        return round(ascending[math.ceil(share * len(ascending)) - 1], 3)

    return Waits(count=len(ascending), p50_ms=at(0.5), p99_ms=at(0.99), max_ms=at(1))
