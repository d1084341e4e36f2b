"""What events alone tell about tasks and resources, written without a look at the engine: I4, I9 and I10."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from router.assign.invariant import Violation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.assign.entity import Resource, Task
    from router.assign.event import Event
    from router.assign.state import State

_ENDED = ("completed", "canceled")
_TO = {
    "task.queued": "queued", "task.requeued": "queued", "task.transferred": "queued", "task.escalated": "queued",
    "task.overflowed": "queued", "task.scheduled": "scheduled", "task.paused": "paused", "task.resumed": "assigned",
    "task.released": "queued", "task.wrapping": "wrapping", "task.completed": "completed", "task.canceled": "canceled",
}  # fmt: skip
_IN_HAND = ("assigned", "paused", "wrapping")


@dataclass(slots=True)
class Told:
    """One task, as its events have it."""

    seq: int = 0
    state: str = ""
    queue: str = ""
    holder: str = ""
    step: int = 0
    live: dict[str, str] = field(default_factory=dict)  # offer: resource


@dataclass(slots=True)
class Fold:
    """All that was told so far."""

    tasks: dict[str, Told] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)  # of resources, queues and the engine
    presences: dict[str, str] = field(default_factory=dict)
    created: int = 0
    ended: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_ENDED, 0))

    def take(self, events: Iterable[Event], state: State) -> list[Violation]:
        """Fold the events of one step, then hold what they tell against the state."""
        found = []
        subjects = []
        for event in events:
            about_task = event.type.startswith(("task.", "offer."))
            subjects.append((event.subject, about_task))
            found += self._of_task(event) if about_task else self._of_other(event)
        for subject, about_task in dict.fromkeys(subjects):
            found += self._compare(subject, state, about_task=about_task)
        return found

    def _of_task(self, event: Event) -> list[Violation]:
        told = self.tasks.get(event.subject)
        if told is None or (told.state in _ENDED and event.seq == 1):  # its id was forgotten, and is used again
            told = self.tasks[event.subject] = Told()
            self.created += 1
        found = []
        if event.seq != told.seq + 1:
            found.append(Violation("I10", event.subject, f"{event.type}: after {told.seq} came {event.seq}"))
        if told.state in _ENDED:
            found.append(Violation("I4", event.subject, f"{event.type} after it was {told.state}"))
        told.seq = event.seq
        told.queue = event.data.get("queue", told.queue)
        found += self._offer(told, event) if event.type.startswith("offer.") else self._task(told, event)
        return found

    def _offer(self, told: Told, event: Event) -> list[Violation]:
        offer_id, resource_id = event.data["offer_id"], event.data["resource_id"]
        if event.type == "offer.issued":
            if told.state not in {"queued", "offered"} or resource_id in told.live.values():
                return [Violation("I1", event.subject, f"offered to {resource_id} while {told.state}, {told.live}")]
            told.live[offer_id] = resource_id
            told.state = "offered"
            return []
        if told.live.pop(offer_id, None) != resource_id:
            return [Violation("I10", event.subject, f"{event.type} of {offer_id}, which was not live")]
        if event.type != "offer.accepted" and not told.live and told.state == "offered":
            told.state = "queued"
        return []

    def _task(self, told: Told, event: Event) -> list[Violation]:
        if event.type == "task.assigned":
            if told.holder:
                return [Violation("I1", event.subject, f"assigned to {event.data['resource_id']} beside {told.holder}")]
            told.state, told.holder = "assigned", event.data["resource_id"]
        elif event.type == "task.step_changed":
            told.step = event.data["step"]
        elif event.type in _TO:
            told.state = _TO[event.type]
            if told.state not in _IN_HAND:
                told.holder = ""
            if told.state in _ENDED:
                self.ended[told.state] += 1
        return []

    def _of_other(self, event: Event) -> list[Violation]:
        is_queue = event.type.startswith("queue.")  # one that a policy left out for a while begins anew
        before = 0 if is_queue and event.seq == 1 else self.seqs.get(event.subject, 0)
        self.seqs[event.subject] = event.seq
        if event.type == "resource.presence":
            self.presences[event.subject] = event.data["presence"]
        elif event.type == "resource.missed":
            self.presences[event.subject] = "missed"
        elif event.type == "resource.lost":
            self.presences[event.subject] = "offline"
        if event.seq != before + 1:
            return [Violation("I10", event.subject, f"{event.type}: after {before} came {event.seq}")]
        return []

    def _compare(self, subject: str, state: State, *, about_task: bool) -> list[Violation]:
        task, resource = state.tasks.get(subject), state.resources.get(subject)
        if about_task:
            return self._compare_task(subject, task)
        return self._compare_resource(resource) if resource is not None else []

    def _compare_task(self, task_id: str, task: Task | None) -> list[Violation]:
        told = self.tasks[task_id]
        if task is None:
            if told.state not in _ENDED:
                return [Violation("I9", task_id, f"was {told.state} and is gone")]
            del self.tasks[task_id]
            return []
        held = task.assignment.resource_id if task.assignment is not None and task.state in _IN_HAND else ""
        live = {offer.id: offer.resource_id for offer in task.offers if offer.state == "pending"}
        is_so = (told.seq, told.state, told.queue, told.holder, told.live)
        is_kept = (task.seq, task.state, task.queue, held, live)
        return [] if is_so == is_kept else [Violation("I10", task_id, f"events tell {is_so}, the state is {is_kept}")]

    def _compare_resource(self, resource: Resource) -> list[Violation]:
        is_so = (self.seqs.get(resource.id, 0), self.presences.get(resource.id, "offline"))
        is_kept = (resource.seq, resource.presence)
        return [] if is_so == is_kept else [Violation("I10", resource.id, f"events tell {is_so}, is {is_kept}")]

    def check(self, state: State) -> list[Violation]:
        """Everything, and I9: what came in has ended or is there."""
        found = [each for name, task in state.tasks.items() for each in self._compare_task(name, task)]
        found += [each for resource in state.resources.values() for each in self._compare_resource(resource)]
        for gone in [name for name, told in self.tasks.items() if name not in state.tasks and told.state in _ENDED]:
            del self.tasks[gone]
        missing = [name for name in self.tasks if name not in state.tasks]
        if missing:
            found.append(Violation("I9", ", ".join(missing), "are gone"))
        is_open = sum(task.state not in _ENDED for task in state.tasks.values())
        if self.created != sum(self.ended.values()) + is_open:
            found.append(Violation("I9", "all", f"created {self.created}, ended {self.ended}, open {is_open}"))
        return found
