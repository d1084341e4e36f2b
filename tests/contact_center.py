"""A small contact center: the engine and its statistics on a clock in seconds, told what happens in a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.assign.command import (
    Accept,
    CancelTask,
    CompleteTask,
    CreateTask,
    Decline,
    PutResource,
    SetPresence,
    Tick,
    TransferTask,
)
from router.assign.engine import Engine
from router.assign.entity import ChannelLimit
from router.assign.policy import ChannelPolicy, Policy, QueuePolicy
from router.insight.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.assign.command import Command
    from router.assign.entity import Task
    from router.assign.event import Event

S = 1_000_000_000
START_S = 1_767_600_000  # 2026-01-05 08:00 UTC, a Monday; a full hour


def policy_of(*names: str, channels: dict[str, ChannelPolicy] | None = None, **more: Any) -> Policy:
    return Policy(queues={name: QueuePolicy(**more) for name in names}, channels=channels or {})


class Center:
    """Times are seconds since `START_S`; what is due by then happens first."""

    def __init__(
        self, policy: Policy, compile_condition: Callable[[str], Any] = lambda text: lambda facts: False
    ) -> None:
        self.engine = Engine(compile_condition, policy)
        self.state = self.engine.state
        self.statistics = Statistics(policy)
        self.events: list[Event] = []
        self.now_s = 0.0

    @property
    def now_ns(self) -> int:
        return START_S * S + round(self.now_s * S)

    def at(self, second: float) -> Center:
        while (due_ns := self.engine.due_ns()) is not None and due_ns <= START_S * S + round(second * S):
            self.now_s = max(self.now_s, (due_ns - START_S * S) / S)
            self._step(Tick(), max(due_ns, START_S * S))
        self.now_s = second
        return self

    def do(self, command: Command) -> None:
        self._step(command, self.now_ns)

    def _step(self, command: Command, now_ns: int) -> None:
        for event in self.engine.step(command, now_ns).events:
            self.events.append(event)
            self.statistics.fold(event)

    def agent(self, name: str, *queues: str, presence: str = "available", **more: Any) -> None:
        more.setdefault("channels", {"chat": ChannelLimit()})
        self.do(PutResource(id=name, queues=queues, **more))
        if presence != "offline":
            self.do(SetPresence(resource_id=name, presence=presence, session=f"{name}-1"))

    def presence(self, name: str, presence: str) -> None:
        self.do(SetPresence(resource_id=name, presence=presence, session=f"{name}-1"))

    def task(self, name: str, queue: str, **more: Any) -> Task:
        self.do(CreateTask(id=name, queue=queue, **more))
        return self.state.tasks[name]

    def accept(self, name: str) -> None:
        self.do(Accept(offer_id=f"{name}-{self.state.tasks[name].offers_total}"))

    def decline(self, name: str) -> None:
        self.do(Decline(offer_id=f"{name}-{self.state.tasks[name].offers_total}"))

    def complete(self, name: str) -> None:
        self.do(CompleteTask(task_id=name))

    def abandon(self, name: str) -> None:
        self.do(CancelTask(task_id=name, reason="abandoned"))

    def transfer(self, name: str, queue: str) -> None:
        self.do(TransferTask(task_id=name, queue=queue))
