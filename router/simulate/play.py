"""The engine that serves customers, run through a day: virtual time jumps from one happening to the next.

What happens by itself, timers of offers, steps and wrap-ups among it, is the engine's; what people do is drawn here.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from router.assign.command import (
    Accept,
    CancelTask,
    Command,
    CompleteTask,
    CreateTask,
    Decline,
    EscalateTask,
    SetPresence,
    Tick,
)
from router.assign.errors import Expired, Full, LostRace, Refused
from router.assign.transition import WAITING, TaskState
from router.simulate.day import shares
from router.simulate.played import Journey, Meter, Played

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.assign.command import Propose
    from router.assign.engine import Engine, Stepped
    from router.assign.entity import Assignment, Task
    from router.assign.event import Event
    from router.assign.gather import Matching
    from router.simulate.day import Customer, Day

    Answer = Callable[[Engine, Matching], Propose]

_WAIT_BEGINS = frozenset(("task.queued", "task.requeued", "task.escalated", "task.transferred"))
_TAKE_CHANGES_EVERY = 1_000


class SimulationError(Exception):
    """The engine refused what an agent or customer did, or lost somebody: a defect, not a result."""


def play(day: Day, engine: Engine, answer: Answer) -> Played:
    """Run an engine that has seen nothing yet. Args: answer: pairs for a `Matching`. Raises: SimulationError."""
    run = _Run(day, engine, answer)
    run.sign_on()
    run.run()
    return run.played


class _Run:
    """State of one run: the engine, and what is going to happen."""

    def __init__(self, day: Day, engine: Engine, answer: Answer) -> None:
        self._day, self._engine, self._answer = day, engine, answer
        self._agents = {agent.resource.id: agent for agent in day.agents}
        self._coming: list[tuple[int, int, Callable[..., None], tuple[str, ...]]] = []
        self._pushed = 0
        self._next = 0
        self._now_ns = min([day.start_ns, *(shift[0] for agent in day.agents for shift in agent.shifts)])
        self._held: dict[str, tuple[str, int]] = {}
        self.played = Played(day, meters={name: Meter(agent) for name, agent in self._agents.items()})

    def sign_on(self) -> None:
        """Everybody is known from the start and comes to their shifts."""
        for agent in self._day.agents:
            self._do(agent.resource)
            for begin_ns, end_ns in agent.shifts:
                self._later(begin_ns, self._begin_shift, agent.resource.id)
                self._later(end_ns, self._end_shift, agent.resource.id)

    def run(self) -> None:
        """Until nothing is going to happen any more: all shifts have ended and all that was begun is done."""
        customers = self._day.customers
        while self._coming or self._next < len(customers):
            at_ns = self._coming[0][0] if self._coming else customers[-1].at_ns
            if self._next < len(customers):
                at_ns = min(at_ns, customers[self._next].at_ns)
            due_ns = self._engine.due_ns()
            if due_ns is not None and due_ns <= at_ns:
                self._now_ns = max(self._now_ns, due_ns)
                self._do(Tick())
                continue
            self._now_ns = at_ns
            if self._coming and self._coming[0][0] <= at_ns:
                _, _, happen, subject = heapq.heappop(self._coming)
                happen(*subject)
            else:
                self._arrive(customers[self._next])
                self._next += 1

    def _later(self, at_ns: int, happen: Callable[..., None], *subject: str) -> None:
        self._pushed += 1
        heapq.heappush(self._coming, (at_ns, self._pushed, happen, subject))

    def _do(self, command: Command) -> None:
        """One step. Raises: SimulationError: it was refused."""
        try:
            stepped = self._engine.step(command, self._now_ns)
        except Refused as error:
            raise SimulationError(f"{command!r} was refused: {error.code}: {error}") from error
        self._see(stepped)

    def _see(self, stepped: Stepped) -> None:
        self.played.steps += 1
        for event in stepped.events:
            self._meet(event)
        for matching in stepped.matchings:
            self._do(self._answer(self._engine, matching))
        if self.played.steps % _TAKE_CHANGES_EVERY == 0:
            self._engine.take_changes()  # nobody keeps them here

    def _meet(self, event: Event) -> None:
        kind = event.type
        if kind.startswith("offer."):
            self._meet_offer(event)
        elif kind.startswith("task."):
            self._meet_task(event)
        elif kind in {"resource.presence", "resource.missed", "resource.lost"}:
            meter = self.played.meters[event.subject]
            meter.advance(self._now_ns)
            resource = self._engine.state.resources[event.subject]
            meter.presence, meter.capacity = resource.presence.value, resource.capacity

    def _meet_offer(self, event: Event) -> None:
        kind = event.type
        self.played.declined += kind == "offer.declined"
        self.played.expired += kind == "offer.expired"
        if kind != "offer.issued":
            return
        self.played.offers += 1
        offer_id, agent = event.data["offer_id"], self._agents[event.data["resource_id"]]
        if agent.resource.kind != "agent":
            return
        how, when, _ = shares(self._day.seed, offer_id)
        if how < agent.miss_share:
            return
        declines = how < agent.miss_share + agent.decline_share
        at_ns = self._now_ns + agent.reaction.at_ns(when)
        self._later(at_ns, self._decline if declines else self._accept, offer_id, agent.resource.id)

    def _meet_task(self, event: Event) -> None:
        journey = self.played.journeys[event.subject]
        task = self._engine.state.tasks.get(event.subject)
        self._hold(event.subject, task)
        if event.type in _WAIT_BEGINS and not journey.waiting_since_ns:
            journey.waiting_since_ns = self._now_ns
            if journey.customer.patience_ns is not None:
                self._later(self._now_ns + journey.customer.patience_ns, self._leave, event.subject)
        elif event.type == "task.assigned" and task is not None and task.assignment is not None:
            self._begin(journey, task, task.assignment)
        elif event.type in {"task.completed", "task.canceled"}:
            journey.stop_waiting(self._now_ns)
            journey.end = "completed" if event.type == "task.completed" else event.data.get("reason", "canceled")

    def _begin(self, journey: Journey, task: Task, assignment: Assignment) -> None:
        """An agent took it: the talk begins, and when it will end is known."""
        journey.stop_waiting(self._now_ns)
        agent = self._agents[assignment.resource_id]
        self.played.meters[assignment.resource_id].answered += 1
        if not journey.answered_ns:
            journey.answered_ns, journey.answered_by = self._now_ns, assignment.resource_id
        journey.legs += 1
        handling_ns = journey.customer.handling_ns
        if agent.handling is not None:
            handling_ns = agent.handling.at_ns(shares(self._day.seed, f"{assignment.id}/handling")[0])
        self._later(self._now_ns + round(handling_ns / agent.speed), self._finish, task.id, assignment.id)

    def _hold(self, task_id: str, task: Task | None) -> None:
        """What agents hold, whatever brought it about."""
        assignment = None if task is None or task.ended_ns else task.assignment
        after = ("", 0) if assignment is None else (assignment.resource_id, assignment.weight)
        before = self._held.get(task_id, ("", 0))
        if before == after:
            return
        for (resource_id, weight), sign in ((before, -1), (after, 1)):
            if resource_id:
                meter = self.played.meters[resource_id]
                meter.advance(self._now_ns)
                meter.used += sign * weight
        if assignment is None:
            self._held.pop(task_id, None)
        else:
            self._held[task_id] = after
        if before[0] and before[0] != after[0]:
            self._later(self._now_ns, self._go_home, before[0])

    # What people do

    def _arrive(self, customer: Customer) -> None:
        task: CreateTask = customer.task
        self.played.journeys[task.id] = journey = Journey(customer)
        try:
            stepped = self._engine.step(task, self._now_ns)
        except Full:
            journey.end = "full"
            return
        except Refused as error:
            raise SimulationError(f"{task!r} was refused: {error.code}: {error}") from error
        self._see(stepped)

    def _leave(self, task_id: str) -> None:
        journey = self.played.journeys[task_id]
        patience_ns = journey.customer.patience_ns or 0
        if journey.waiting_since_ns and journey.waiting_since_ns + patience_ns <= self._now_ns:
            task = self._engine.state.tasks[task_id]
            if task.state in WAITING:  # who is to be called back has left already
                self._do(CancelTask(task_id=task_id, reason="abandoned", actor="customer"))

    def _accept(self, offer_id: str, resource_id: str) -> None:
        self._react(Accept(offer_id=offer_id, resource_id=resource_id, actor=resource_id))

    def _decline(self, offer_id: str, resource_id: str) -> None:
        self._react(Decline(offer_id=offer_id, resource_id=resource_id, actor=resource_id))

    def _react(self, command: Accept | Decline) -> None:
        """The offer may have been taken back meanwhile, or have run out."""
        try:
            stepped = self._engine.step(command, self._now_ns)
        except (LostRace, Expired):
            self.played.late += 1
            return
        self._see(stepped)

    def _finish(self, task_id: str, assignment_id: str) -> None:
        """The talk is over: wrap-up begins; or a bot that could not help hands over."""
        task, assignment = self._live(task_id, assignment_id)
        if task is None or assignment is None or _is_wrapping(task):
            return
        agent = self._agents[assignment.resource_id]
        draw = shares(self._day.seed, f"{assignment.id}/outcome")[0]
        if agent.resource.kind != "agent" and draw >= agent.resource.success:
            self._do(EscalateTask(task_id=task_id, reason="failed", actor=assignment.resource_id))
            return
        self._do(CompleteTask(task_id=task_id, actor=assignment.resource_id))
        if _is_wrapping(task):
            wrap_ns = agent.wrap.at_ns(shares(self._day.seed, f"{assignment.id}/wrap")[0])
            self._later(self._now_ns + wrap_ns, self._wrap_up, task_id, assignment_id)

    def _wrap_up(self, task_id: str, assignment_id: str) -> None:
        task, assignment = self._live(task_id, assignment_id)
        if task is not None and assignment is not None and _is_wrapping(task):
            self._do(CompleteTask(task_id=task_id, actor=assignment.resource_id))

    def _live(self, task_id: str, assignment_id: str) -> tuple[Task | None, Assignment | None]:
        """The task while it is still held under that assignment."""
        task = self._engine.state.tasks.get(task_id)
        if task is None or task.ended_ns or task.assignment is None or task.assignment.id != assignment_id:
            return None, None
        return task, task.assignment

    def _begin_shift(self, resource_id: str) -> None:
        session = f"{resource_id}@{self._now_ns}"
        self._do(SetPresence(resource_id=resource_id, presence="available", session=session, actor=resource_id))

    def _end_shift(self, resource_id: str) -> None:
        self._do(SetPresence(resource_id=resource_id, presence="draining", actor=resource_id))
        self._go_home(resource_id)

    def _go_home(self, resource_id: str) -> None:
        resource = self._engine.state.resources[resource_id]
        if resource.presence.value == "draining" and not resource.tasks:
            self._do(SetPresence(resource_id=resource_id, presence="offline", actor=resource_id))


def _is_wrapping(task: Task) -> bool:
    return task.state is TaskState.WRAPPING
