"""A log becomes a day: who came, how long they took, and who was there, to be played again under other policies.

The log's commands are replayed by the engine, as recovery does, and its events tell what happened. What cannot be
known is drawn: who was answered might have left later, so their patience is what they waited and an exponential rest,
whose mean is the waiting of all over the number who left (the maximum-likelihood estimate from censored times); who
left was never served, so takes a time that others of the queue took.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from router.assign.command import Command, CreateTask, PutResource
from router.assign.errors import Refused
from router.policy.errors import PolicyError
from router.simulate.day import AT_ONCE, Agent, Customer, Day, S, Sampled, Spread, shares

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.assign.engine import Engine
    from router.assign.event import Event
    from router.assign.policy import Policy

_SIGNED_ON = frozenset(("available", "missed"))
_WAIT_BEGINS = frozenset(("task.queued", "task.requeued", "task.escalated", "task.transferred"))


@dataclass(slots=True)
class _Customer:
    at_ns: int
    task: CreateTask
    waiting_since_ns: int = 0
    waited_ns: int = 0
    assigned_ns: int = 0
    holder: str = ""
    handled_ns: int = 0
    """Of the last to hold it; 0: nobody had finished."""
    wrapping_ns: int = 0
    has_left: bool = False


@dataclass(slots=True)
class _Agent:
    resource: PutResource
    shifts: list[tuple[int, int]] = field(default_factory=list)
    since_ns: int = 0
    """0: is not signed on."""
    reactions_ns: list[int] = field(default_factory=list)
    wraps_ns: list[int] = field(default_factory=list)
    handled_ns: list[int] = field(default_factory=list)
    offers: int = 0
    declined: int = 0
    expired: int = 0
    escalated: int = 0


class Record:
    """What a log tells. `read` it once, `draw` as many days as are wanted."""

    def __init__(self) -> None:
        self.policy: Policy | None = None
        self.left_out = 0
        """Commands that the engine could not repeat."""
        self._customers: dict[str, _Customer] = {}
        self._agents: dict[str, _Agent] = {}
        self._offered_ns: dict[str, int] = {}
        self._now_ns = 0

    def read(self, commands: Iterable[tuple[int, Command]], engine: Engine) -> None:
        """Replay (time, command) from the log's beginning. Raises: PolicyError: it holds no task."""
        for self._now_ns, command in commands:
            try:
                stepped = engine.step(command, self._now_ns)
            except Refused:  # about what came before the log's beginning
                self.left_out += 1
                continue
            if isinstance(command, CreateTask) and stepped.subject == command.id:
                self._customers.setdefault(command.id, _Customer(self._now_ns, command))
            elif isinstance(command, PutResource):
                self._agents.setdefault(command.id, _Agent(command)).resource = command
            for event in stepped.events:
                self._meet(event, engine)
            engine.take_changes()
        self.policy = engine.state.policy
        if not self._customers or not self._agents:
            raise PolicyError(f"the log holds {len(self._customers)} tasks and {len(self._agents)} resources to play")
        for agent in self._agents.values():
            self._sign_off(agent)

    def check_fit(self, policy: Policy, policy_path: str) -> None:
        """A log speaks of queues that a policy must have. Raises: PolicyError."""
        queues = {each.task.queue for each in self._customers.values()}
        queues |= {queue for each in self._agents.values() for queue in each.resource.queues}
        gone = sorted(queues - set(policy.queues))
        if gone:
            raise PolicyError(f"{policy_path}: the log has tasks or agents of {', '.join(gone)}: no such queues here")

    def draw(self, seed: int) -> Day:
        """What is not known is drawn from the seed; the rest is as it was."""
        rates = self._leaving_rates()
        handled = self._handled()
        customers = [self._customer(each, seed, rates, handled) for each in self._customers.values()]
        customers.sort(key=lambda each: (each.at_ns, each.task.id))
        agents = tuple(_agent(each) for each in self._agents.values() if each.shifts)
        return Day(
            start_ns=customers[0].at_ns, end_ns=self._now_ns, customers=tuple(customers), agents=agents, seed=seed
        )

    def _meet(self, event: Event, engine: Engine) -> None:
        kind = event.type
        if kind.startswith("resource."):
            agent = self._agents.get(event.subject)
            if agent is not None:
                is_on = engine.state.resources[event.subject].presence.value in _SIGNED_ON
                if is_on and not agent.since_ns:
                    agent.since_ns = self._now_ns
                elif not is_on:
                    self._sign_off(agent)
        elif kind.startswith("offer."):
            self._meet_offer(event)
        elif event.subject in self._customers:
            self._meet_task(event, self._customers[event.subject])

    def _meet_offer(self, event: Event) -> None:
        agent = self._agents[event.data["resource_id"]]
        offer_id = event.data["offer_id"]
        match event.type:
            case "offer.issued":
                agent.offers += 1
                self._offered_ns[offer_id] = self._now_ns
            case "offer.accepted":
                agent.reactions_ns.append(self._now_ns - self._offered_ns.pop(offer_id, self._now_ns))
            case "offer.declined":
                agent.declined += 1
            case "offer.expired":
                agent.expired += 1

    def _meet_task(self, event: Event, customer: _Customer) -> None:
        kind = event.type
        if kind == "task.assigned":
            customer.waited_ns += _since(customer.waiting_since_ns, self._now_ns)
            customer.waiting_since_ns = 0
            customer.assigned_ns, customer.holder = self._now_ns, event.data["resource_id"]
        elif kind in _WAIT_BEGINS:
            if customer.holder and kind == "task.escalated":
                self._agents[customer.holder].escalated += 1
            self._talk_over(customer)
            customer.waiting_since_ns = customer.waiting_since_ns or self._now_ns
        elif kind == "task.wrapping":
            self._talk_over(customer)
            customer.wrapping_ns = self._now_ns
        elif kind == "task.completed":
            self._talk_over(customer)
            if customer.wrapping_ns:
                self._agents[customer.holder].wraps_ns.append(self._now_ns - customer.wrapping_ns)
        elif kind == "task.canceled":
            customer.waited_ns += _since(customer.waiting_since_ns, self._now_ns)
            customer.has_left = bool(customer.waiting_since_ns) and event.data.get("reason") == "abandoned"
            customer.waiting_since_ns = 0

    def _talk_over(self, customer: _Customer) -> None:
        if customer.assigned_ns:
            customer.handled_ns = self._now_ns - customer.assigned_ns
            self._agents[customer.holder].handled_ns.append(customer.handled_ns)
            customer.assigned_ns = 0

    def _sign_off(self, agent: _Agent) -> None:
        if agent.since_ns and agent.since_ns < self._now_ns:
            agent.shifts.append((agent.since_ns, self._now_ns))
        agent.since_ns = 0

    def _leaving_rates(self) -> dict[str, float]:
        """How many leave in a ns of waiting, by queue; a queue that nobody left has none."""
        left: dict[str, int] = {}
        waited_ns: dict[str, int] = {}
        for each in self._customers.values():
            queue = each.task.queue
            left[queue] = left.get(queue, 0) + each.has_left
            spent_ns = each.waited_ns + _since(each.waiting_since_ns, self._now_ns)
            waited_ns[queue] = waited_ns.get(queue, 0) + spent_ns
        return {queue: count / max(1, waited_ns[queue]) for queue, count in left.items() if count}

    def _handled(self) -> dict[str, Sampled]:
        """How long people took, by queue."""
        seen: dict[str, list[int]] = {}
        for each in self._customers.values():
            if each.handled_ns and self._agents[each.holder].resource.kind == "agent":
                seen.setdefault(each.task.queue, []).append(each.handled_ns)
        return {queue: Sampled(tuple(sorted(times))) for queue, times in seen.items()}

    def _customer(self, each: _Customer, seed: int, rates: dict[str, float], handled: dict[str, Sampled]) -> Customer:
        queue = each.task.queue
        handling, patience, _ = shares(seed, each.task.id)
        handling_ns = each.handled_ns
        if not handling_ns or self._agents[each.holder].resource.kind != "agent":
            handling_ns = handled[queue].at_ns(handling) if queue in handled else self._usual_ns(queue)
        patience_ns: int | None = None
        if each.has_left:
            patience_ns = each.waited_ns
        elif queue in rates:
            patience_ns = each.waited_ns + round(-math.log1p(-patience) / rates[queue])
        # Keys of the client's would merge what is no repetition here.
        task = msgspec.structs.replace(each.task, key="", digest=b"", dedupe_key="", customer_lease_s=0.0)
        return Customer(at_ns=each.at_ns, stream=queue, task=task, handling_ns=handling_ns, patience_ns=patience_ns)

    def _usual_ns(self, queue: str) -> int:
        """What the policy expects where nobody of the queue was served."""
        assert self.policy is not None  # noqa: S101 - `read` has refused a log without one
        return round(self.policy.queues[queue].aht_s * S) if queue in self.policy.queues else 300 * S


def _agent(each: _Agent) -> Agent:
    is_person = each.resource.kind == "agent"
    legs = len(each.handled_ns)
    resource = each.resource if is_person or not legs else _with_success(each.resource, 1 - each.escalated / legs)
    return Agent(
        resource=msgspec.structs.replace(resource, key="", digest=b""),
        shifts=tuple(each.shifts),
        reaction=_sampled(each.reactions_ns),
        wrap=_sampled(each.wraps_ns),
        handling=None if is_person or not each.handled_ns else Sampled(tuple(sorted(each.handled_ns))),
        decline_share=each.declined / each.offers if each.offers else 0.0,
        miss_share=each.expired / each.offers if each.offers else 0.0,
    )


def _with_success(resource: PutResource, success: float) -> PutResource:
    return msgspec.structs.replace(resource, success=success)


def _sampled(times_ns: list[int]) -> Sampled | Spread:
    return Sampled(tuple(sorted(times_ns))) if times_ns else AT_ONCE


def _since(began_ns: int, now_ns: int) -> int:
    return now_ns - began_ns if began_ns else 0
