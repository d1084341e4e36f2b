"""Small days for tests of the simulator: who comes is written down, so that what must come of it can be worked out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.assign.command import CreateTask, Propose, PutResource
from router.assign.engine import Engine
from router.assign.entity import ChannelLimit
from router.assign.policy import ChannelPolicy, Policy, QueuePolicy
from router.simulate.day import Agent, Customer, Day, S, Spread
from router.simulate.play import play
from router.simulate.played import Played

if TYPE_CHECKING:
    from router.assign.command import Command
    from router.assign.engine import Stepped
    from router.assign.event import Event
    from router.assign.gather import Matching

START_NS = 1_767_600_000_000_000_000  # 2026-01-05 08:00 UTC


def always(seconds: float) -> Spread:
    return Spread(mean_s=seconds, kind="constant")


def customer(name: str, at_s: float, handling_s: float, patience_s: float | None = None, **task: Any) -> Customer:
    return Customer(
        at_ns=START_NS + round(at_s * S),
        stream="test",
        task=CreateTask(id=name, **{"queue": "line", **task}),
        handling_ns=round(handling_s * S),
        patience_ns=None if patience_s is None else round(patience_s * S),
    )


def agent(name: str, shift_s: tuple[float, float] = (0, 3600), **more: Any) -> Agent:
    resource = {"queues": ("line",), "channels": {"chat": ChannelLimit()}, **more.pop("resource", {})}
    shift = START_NS + round(shift_s[0] * S), START_NS + round(shift_s[1] * S)
    return Agent(resource=PutResource(id=name, **resource), shifts=(shift,), **more)


def day(customers: list[Customer], agents: list[Agent], seed: int = 0) -> Day:
    end_ns = START_NS + 3600 * S
    return Day(start_ns=START_NS, end_ns=end_ns, customers=tuple(customers), agents=tuple(agents), seed=seed)


def policy(**queues: dict[str, Any]) -> Policy:
    named = {name: QueuePolicy(**more) for name, more in (queues or {"line": {}}).items()}
    return Policy(queues=named, channels={"chat": ChannelPolicy(wrap_s=60.0)})


class Watched(Engine):
    """Keeps what it was told and what it told."""

    def __init__(self, chosen: Policy) -> None:
        super().__init__(never, chosen)
        self.commands: list[tuple[int, Command]] = []
        self.events: list[Event] = []

    def step(self, command: Command, now_ns: int) -> Stepped:
        stepped = super().step(command, now_ns)
        if not stepped.is_repeat:
            self.commands.append((now_ns, command))
            self.events.extend(stepped.events)
        return stepped


def never(source: str) -> Any:
    raise NotImplementedError(source)


def no_pairs(engine: Engine, matching: Matching) -> Propose:
    return Propose(number=matching.number, pairs=())


def run(played: Day, chosen: Policy | None = None) -> Played:
    return play(played, Watched(chosen or policy()), no_pairs)
