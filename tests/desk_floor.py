"""A floor of agents for tests of the engine: virtual time, every command logged, a replay at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from router.assign import command as do
from router.assign.engine import Engine, Stepped
from router.assign.entity import ChannelLimit, Task
from router.assign.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.assign.event import Event
    from router.assign.transition import Presence

START_NS = 1_780_000_000_000_000_000
S = 1_000_000_000


def policy(document: dict[str, Any]) -> Policy:
    """As queues.toml is read."""
    return msgspec.convert(document, Policy)


def evaluate(text: str) -> Callable[[dict[str, Any]], bool]:
    """Conditions in Python instead of CEL, so that a test of the engine is of the engine alone."""
    code = compile(text, "condition", "eval")
    return lambda facts: bool(eval(code, {"__builtins__": {}}, facts))


class Floor:
    """`do` steps a command now, `wait` lets time pass and fires timers when they are due, not later."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.policy = policy(document)
        self.engine = Engine(evaluate, self.policy)
        self.now_ns = START_NS
        self.log: list[tuple[do.Command, int]] = []
        self.events: list[Event] = []

    def do(self, command: do.Command) -> Stepped:
        stepped = self.engine.step(command, self.now_ns)
        if not stepped.is_repeat:
            self.log.append((command, self.now_ns))
            self.events.extend(stepped.events)
        return stepped

    def wait(self, seconds: float) -> None:
        until_ns = self.now_ns + round(seconds * S)
        while (due_ns := self.engine.due_ns()) is not None and due_ns <= until_ns:
            self.now_ns = max(self.now_ns, due_ns)
            self.do(do.Tick())
        self.now_ns = until_ns

    def task(self, name: str, queue: str = "cards", **more: Any) -> Task:
        self.do(do.CreateTask(id=name, queue=queue, **more))
        return self.get(name)

    def agent(self, name: str, *queues: str, most: int = 3, presence: str = "available", **more: Any) -> None:
        """Put a resource and let it sign in."""
        channels = more.pop("channels", None) or {"chat": ChannelLimit(most=most)}
        capacity = more.pop("capacity", most)
        self.do(do.PutResource(id=name, queues=queues or ("cards",), channels=channels, capacity=capacity, **more))
        self.do(do.SetPresence(resource_id=name, presence=presence, session=f"{name}-1"))

    def accept(self, name: str) -> Stepped:
        """The live offer of a task."""
        return self.do(do.Accept(offer_id=self.offer_of(name)))

    def offer_of(self, name: str) -> str:
        """The id of the one live offer of a task."""
        (offer,) = [each for each in self.get(name).offers if each.state.value == "pending"]
        return offer.id

    def asked(self, name: str) -> list[str]:
        """Whom a task is offered to."""
        return [each.resource_id for each in self.get(name).offers if each.state.value == "pending"]

    def holder(self, name: str) -> str | None:
        assignment = self.get(name).assignment
        return None if assignment is None else assignment.resource_id

    def presence(self, name: str) -> Presence:
        return self.engine.state.resources[name].presence

    def get(self, name: str) -> Task:
        return self.engine.state.tasks[name]

    def told(self, subject: str) -> list[str]:
        """The types of all events about a subject."""
        return [event.type for event in self.events if event.subject == subject]

    def last(self, kind: str) -> dict[str, Any]:
        return next(event.data for event in reversed(self.events) if event.type == kind)

    def replayed(self) -> Engine:
        """The log, played again from the beginning."""
        engine = Engine(evaluate, self.policy)
        for command, now_ns in self.log:
            engine.step(command, now_ns)
        return engine

    def restored(self) -> Engine:
        """A new engine from the rows of a checkpoint of everything."""
        rows = [(change.kind, change.id, change.body) for change in self.engine.take_changes()]
        return Engine.restore([(k, n, body) for k, n, body in rows if body is not None], evaluate)
