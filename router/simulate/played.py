"""What came of a day, as it is kept while it is played: customers' journeys, and agents' time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.simulate.day import Agent, Customer, Day

_AT_WORK = frozenset(("available", "busy"))


@dataclass(slots=True)
class Journey:
    """What one customer met with. `waited_ns`: all time in queues, also after a bot; `end`: completed or why not."""

    customer: Customer
    waited_ns: int = 0
    waiting_since_ns: int = 0
    """0: is not waiting."""
    answered_ns: int = 0
    """When somebody first took it; 0: nobody did."""
    answered_by: str = ""
    legs: int = 0
    end: str = ""
    """Empty: still waits when everybody has gone home."""

    def stop_waiting(self, now_ns: int) -> None:
        if self.waiting_since_ns:
            self.waited_ns += now_ns - self.waiting_since_ns
            self.waiting_since_ns = 0


@dataclass(slots=True)
class Meter:
    """One agent's time: on duty, and of that, weighted by what it held, busy."""

    agent: Agent
    used: int = 0
    capacity: int = 0
    presence: str = "offline"
    since_ns: int = 0
    busy_ns: int = 0
    """Weight times time."""
    duty_ns: int = 0
    """Capacity times time."""
    answered: int = 0

    def advance(self, now_ns: int) -> None:
        """Who is on the way out is on duty as long as there is something in their hands."""
        if self.presence in _AT_WORK or (self.used and self.presence != "offline"):
            elapsed_ns = now_ns - self.since_ns
            self.busy_ns += min(self.used, self.capacity) * elapsed_ns
            self.duty_ns += self.capacity * elapsed_ns
        self.since_ns = now_ns


@dataclass(slots=True)
class Played:
    """What came of a day."""

    day: Day
    journeys: dict[str, Journey] = field(default_factory=dict)
    meters: dict[str, Meter] = field(default_factory=dict)
    offers: int = 0
    declined: int = 0
    expired: int = 0
    late: int = 0
    """Accepts that came when the offer was gone."""
    steps: int = 0
