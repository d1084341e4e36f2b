"""The engine's state: entities, what is derived from them, and what a step has changed and told so far."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Literal

from router.assign import deadline
from router.assign.capacity import Load, fits, weight_for
from router.assign.entity import Queue, Resource, Task
from router.assign.errors import Unknown
from router.assign.event import Event
from router.assign.hours import Calendar
from router.assign.index import Index
from router.assign.ordered import Ordered
from router.assign.policy import BUILT_IN, ChannelPolicy
from router.assign.transition import TERMINAL, WAITING, Presence, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.assign.entity import Kept, Offer
    from router.assign.gather import Matching
    from router.assign.policy import Policy, QueuePolicy
    from router.assign.requirement import Signature

    Condition = Callable[[dict[str, Any]], bool]

Kind = Literal["task", "resource", "queue"]
_PLAIN = ChannelPolicy()


class State:
    """One shard. Mutated by the handlers of `Engine.step` only; whoever else has it reads."""

    def __init__(self, compile_condition: Callable[[str], Condition], policy: Policy) -> None:
        self.policy = policy
        self.epoch = 0
        self.position = 0  # of the last command
        self.now_ns = 0
        self.tasks_total = 0
        self.ended_total = 0
        self.matchings_total = 0
        self.system_seq = 0  # of events that are about no task, resource or queue
        self.tasks: dict[str, Task] = {}
        self.resources: dict[str, Resource] = {}
        self.queues: dict[str, Queue] = {}
        self.keys: OrderedDict[str, Kept] = OrderedDict()
        self.ended: deque[str] = deque()  # tasks that are kept in memory, the first to go first
        # Derived.
        self.open_by_key: dict[str, str] = {}
        self.loads: dict[str, Load] = {}
        self.scheduled: dict[str, set[str]] = {}  # by queue
        self.timers: Ordered[tuple[int, Kind, str]] = Ordered()
        self._armed: dict[tuple[Kind, str], int] = {}
        self._compile = compile_condition
        self.step_conditions: dict[str, Condition] = {}
        self.trigger_conditions: dict[str, Condition] = {}
        self.calendars: dict[str, Calendar] = {}
        self.index = Index(self)
        # Of the step under way, and (touched) since the last look of a checkpoint.
        self.cause = ""
        self.events: list[Event] = []
        self.matchings: list[Matching] = []
        self._unsettled: dict[tuple[Kind, str], None] = {}
        self.adopt(policy)

    @property
    def groups(self) -> dict[Signature, Any]:
        return self.index.groups

    # Policy.

    def adopt(self, policy: Policy) -> None:
        """Take a policy: compile its conditions, make its queues and calendars.

        Raises: ValueError, and what the compiler raises; nothing has changed.
        """
        queues = policy.queues.values()
        steps = sorted({step.when for queue in queues for step in queue.steps if step.when})
        triggers = sorted({trigger.when for queue in queues for trigger in queue.overflow})
        step_conditions = {text: self._compile(text) for text in steps}
        trigger_conditions = {text: self._compile(text) for text in triggers}
        calendars = {name: Calendar(hours) for name, hours in policy.hours.items()}
        self.step_conditions, self.trigger_conditions, self.calendars = step_conditions, trigger_conditions, calendars
        self.policy = policy
        for name in policy.queues:
            if name not in self.queues:
                self.queues[name] = Queue(name=name)
            self.touch("queue", name)

    def channel(self, name: str) -> ChannelPolicy:
        return self.policy.channels.get(name) or BUILT_IN.get(name, _PLAIN)

    def queue_policy(self, name: str) -> QueuePolicy:
        found = self.policy.queues.get(name)
        if found is None:
            raise Unknown(f"queue {name!r}: there is none; there are {', '.join(sorted(self.policy.queues))[:500]}")
        return found

    def is_open(self, queue: str) -> bool:
        """By hand, else by its hours."""
        by_hand, hours = self.queues[queue].is_open_by_hand, self.queue_policy(queue).hours
        if by_hand is not None:
            return by_hand
        return hours is None or self.calendars[hours].is_open(self.now_ns)

    # Entities.

    def task(self, task_id: str) -> Task:
        found = self.tasks.get(task_id)
        if found is None:
            raise Unknown(f"task {task_id[:100]!r}: there is none, or it ended a while ago")
        return found

    def resource(self, resource_id: str) -> Resource:
        found = self.resources.get(resource_id)
        if found is None:
            raise Unknown(f"resource {resource_id[:100]!r}: there is none; PUT it first")
        return found

    def offer(self, offer_id: str) -> tuple[Task, Offer]:
        """Raises: Unknown."""
        task = self.tasks.get(offer_id.rpartition("-")[0])
        for offer in () if task is None else task.offers:
            if offer.id == offer_id:
                assert task is not None  # noqa: S101 - the loop is empty without one
                return task, offer
        raise Unknown(f"offer {offer_id[:100]!r}: there is none, or it ended a while ago")

    def holds(self, condition: str, resource: Resource) -> bool:
        """Whether a step's condition holds for a resource."""
        return not condition or condition in self.index.traits[resource.id]

    def position_of(self, task: Task) -> int:
        """1-based place among those who wait in its queue; 0: it doesn't wait."""
        return self.index.position_of(task, self.now_ns) if task.state in WAITING else 0

    # Capacity.

    def has_room(self, resource: Resource, channel: str, weight: int, *, is_back: bool = False) -> bool:
        exclusive = self.channel(channel).exclusive
        return fits(resource, self.loads[resource.id], channel, weight, is_exclusive=exclusive, is_back=is_back)

    def is_ready(self, resource: Resource) -> bool:
        """Whether it may be offered anything now."""
        return resource.presence is Presence.AVAILABLE and not resource.is_suspect and not resource.ramp_ns

    def hold(self, resource: Resource, task: Task) -> int:
        """Take of a resource's capacity what a task weighs; returns how much."""
        weight = weight_for(resource, task.channel, task.weight)
        resource.tasks.append(task.id)
        self.reweigh(resource, task.channel, 0, weight)
        return weight

    def release(self, resource: Resource, task: Task, weight: int) -> None:
        """Give back all that a task still holds."""
        resource.tasks.remove(task.id)
        self.reweigh(resource, task.channel, weight, 0)

    def reweigh(self, resource: Resource, channel: str, before: int, after: int) -> None:
        """What is held for a task changes."""
        if bool(before) != bool(after):
            exclusive = self.channel(channel).exclusive
            self.loads[resource.id].add(channel, is_exclusive=exclusive, sign=1 if after else -1)
        resource.used += after - before
        self.touch("resource", resource.id)
        self.index.refresh(resource)

    def free_dedupe_key(self, task: Task) -> None:
        """From now on the same key makes another task."""
        if task.dedupe_key and self.open_by_key.get(task.dedupe_key) == task.id:
            del self.open_by_key[task.dedupe_key]

    # What a step tells and changes.

    def tell(self, kind: str, subject: Task | Resource | Queue, /, **data: Any) -> None:  # noqa: ANN401
        """Add an event about a task, resource or queue, with the next number of its subject."""
        subject.seq += 1
        name = subject.name if isinstance(subject, Queue) else subject.id
        self._add(kind, name, subject.seq, data)
        if isinstance(subject, Task):
            subject.version += 1
            self.touch("task", name)
        else:
            self.touch("resource" if isinstance(subject, Resource) else "queue", name)

    def tell_all(self, kind: str, /, **data: Any) -> None:  # noqa: ANN401
        """Add an event about the engine itself."""
        self.system_seq += 1
        self._add(kind, "engine", self.system_seq, data)

    def _add(self, kind: str, subject: str, seq: int, data: dict[str, Any]) -> None:
        self.events.append(
            Event(
                id=f"{self.position}-{len(self.events)}", type=kind, subject=subject, seq=seq,
                position=self.position, at_ns=self.now_ns, epoch=self.epoch, cause=self.cause, data=data,
            )
        )  # fmt: skip

    def touch(self, kind: Kind, name: str) -> None:
        """Its timers are set and it is written at the end of the step."""
        self._unsettled[kind, name] = None

    def settle(self) -> list[tuple[Kind, str]]:
        """The end of a step: place who has changed, set the timers of all that was touched; returns what it was."""
        self.index.settle()
        touched = list(self._unsettled)
        self._unsettled.clear()
        for kind, name in touched:
            self._arm(kind, name)
        return touched

    def _arm(self, kind: Kind, name: str) -> None:
        due_ns = deadline.of(self, kind, name)
        before_ns = self._armed.pop((kind, name), 0)
        if before_ns != due_ns:
            if before_ns:
                self.timers.remove((before_ns, kind, name))
            if due_ns:
                self.timers.add((due_ns, kind, name))
        if due_ns:
            self._armed[kind, name] = due_ns

    def armed_ns(self, kind: Kind, name: str) -> int:
        """When its timer fires; 0: it has none."""
        return self._armed.get((kind, name), 0)

    # Building.

    def insert_resource(self, resource: Resource) -> None:
        """Add or replace a resource, with what it holds."""
        load = self.loads[resource.id] = Load()
        self.resources[resource.id] = resource
        for task_id in resource.tasks:
            task = self.tasks[task_id]
            if held_weight(task, resource.id):
                load.add(task.channel, is_exclusive=self.channel(task.channel).exclusive)
        self.index.insert(resource)
        self.touch("resource", resource.id)

    def insert_task(self, task: Task) -> None:
        """Add a task that is restored."""
        self.tasks[task.id] = task
        if task.state in TERMINAL:
            return
        if task.dedupe_key and task.state is not TaskState.WRAPPING:
            self.open_by_key[task.dedupe_key] = task.id
        if task.state is TaskState.SCHEDULED:
            self.scheduled.setdefault(task.queue, set()).add(task.id)
        self.touch("task", task.id)


def held_weight(task: Task, resource_id: str) -> int:
    """What a task holds of a resource: for its offer, or for its assignment."""
    if task.assignment is not None and task.assignment.resource_id == resource_id:
        return task.assignment.weight
    return sum(o.weight for o in task.offers if o.resource_id == resource_id and o.state.value == "pending")
