"""What is counted of each queue and each resource, and how the levels of the one follow from the other's."""

from __future__ import annotations

from dataclasses import dataclass, field

from router.assign.transition import Presence
from router.insight.figures import AGENT_LEVELS, A, L, Q
from router.insight.meter import DAY_MS, HOUR_MS, Meter


@dataclass(slots=True)
class QueueTally:
    meter: Meter
    waiting: dict[str, int] = field(default_factory=dict)
    """Tasks and when they came, the first first."""


@dataclass(slots=True)
class AgentTally:
    meter: Meter
    kind: str = "agent"
    queues: tuple[str, ...] = ()
    presence: str = Presence.OFFLINE.value
    capacity: int = 0
    busy: int = 0
    """Weight of its assignments and wrap-ups."""

    def levels(self) -> tuple[int, ...]:
        """What it adds to the levels, by `L`."""
        if self.presence == Presence.OFFLINE:
            return (0,) * AGENT_LEVELS
        is_available = self.presence == Presence.AVAILABLE
        is_working = is_available or self.presence == Presence.BUSY or self.busy > 0
        return min(self.busy, self.capacity), self.capacity * is_working, self.capacity, 1, int(is_available)


class Tally:
    """All of them, by name; made when they are first counted."""

    def __init__(self) -> None:
        self.queues: dict[str, QueueTally] = {}
        self.agents: dict[str, AgentTally] = {}
        self._forgot_ms = 0

    def queue(self, name: str, now_ms: int) -> QueueTally:
        found = self.queues.get(name)
        if found is None:
            found = self.queues[name] = QueueTally(Meter(len(Q), len(L), now_ms))
        return found

    def agent(self, name: str, now_ms: int) -> AgentTally:
        found = self.agents.get(name)
        if found is None:
            found = self.agents[name] = AgentTally(Meter(len(A), AGENT_LEVELS, now_ms, fine_ms=HOUR_MS))
        return found

    def count(self, queue: str, counter: Q, now_ms: int, amount: int = 1) -> None:
        if amount:
            self.queue(queue, now_ms).meter.add(counter, amount, now_ms)

    def forget(self, now_ms: int) -> None:
        """Whoever was not there for a day."""
        if now_ms < self._forgot_ms + HOUR_MS:
            return
        self._forgot_ms = now_ms
        for name, agent in list(self.agents.items()):
            is_gone = agent.presence == Presence.OFFLINE and not agent.busy
            if is_gone and agent.meter.now_ms < now_ms - DAY_MS - HOUR_MS:
                del self.agents[name]

    def change(self, agent: AgentTally, now_ms: int, **fields: object) -> None:
        """Set fields, and keep the levels of the agent and its queues right."""
        before, queues = agent.levels(), agent.queues
        for name, value in fields.items():
            setattr(agent, name, value)
        for level, (was, now) in enumerate(zip(before, agent.levels(), strict=True)):
            if was == now and agent.queues == queues:
                continue
            agent.meter.shift(level, now - was, now_ms)
            for name in queues:
                self.queue(name, now_ms).meter.shift(level, -was, now_ms)
            for name in agent.queues:
                self.queue(name, now_ms).meter.shift(level, now, now_ms)
