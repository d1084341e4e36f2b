"""What holds after every step: I1 to I8 as far as a state shows them, and that what is derived is right.

Recomputed from tasks and resources alone, with none of the engine's own bookkeeping, so that the two can disagree.
What needs a look at two states, or at events, is checked by the tests' runner: I4, I9, I10, I13.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from router.assign.rank import free_key
from router.assign.transition import TERMINAL, WAITING, AssignmentState, OfferState, Presence, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.assign.entity import Assignment, Offer, Resource, Task
    from router.assign.state import State

_HELD_BY = {
    TaskState.ASSIGNED: AssignmentState.ACTIVE,
    TaskState.PAUSED: AssignmentState.PAUSED,
    TaskState.WRAPPING: AssignmentState.WRAPPING,
}
_LIVE = frozenset(_HELD_BY.values())
_FOR_GOOD = -1


class Violation(NamedTuple):
    """What is not as it must be."""

    invariant: str
    """I1 … I8 of the design, or `index`."""
    subject: str
    detail: str


class Excess(NamedTuple):
    """How far a resource is over what it may hold."""

    weight: int = 0
    tasks: int = 0
    """Over the most of a channel, all channels together."""
    exclusive: int = 0
    """Tasks beside an exclusive one."""


def check(state: State) -> list[Violation]:
    """Everything. O(tasks x resources)."""
    found = [each for task in state.tasks.values() for each in _of_task(state, task)]
    found += [each for resource in state.resources.values() for each in _of_resource(state, resource)]
    found += [
        each for task in state.tasks.values() if task.state is TaskState.QUEUED for each in _of_waiting(state, task)
    ]
    return found + list(_of_totals(state))


def check_touched(state: State, ids: Iterable[str]) -> list[Violation]:
    """Of some tasks and resources, and of whoever has to do with them: a few microseconds each."""
    tasks = {name for name in ids if name in state.tasks}
    resources = {name for name in ids if name in state.resources}
    for name in tuple(tasks):
        resources.update(owner for owner, _ in holdings(state.tasks[name]) if owner in state.resources)
    found = [each for name in sorted(tasks) for each in _of_task(state, state.tasks[name])]
    return found + [each for name in sorted(resources) for each in _of_resource(state, state.resources[name])]


def holdings(task: Task) -> Iterator[tuple[str, int]]:
    """Resource and weight of each thing through which a task holds capacity."""
    for offer in task.offers:
        if offer.state is OfferState.PENDING:
            yield offer.resource_id, offer.weight
    if task.assignment is not None and task.assignment.state in _LIVE:
        yield task.assignment.resource_id, task.assignment.weight


def excess(state: State, resource: Resource) -> Excess:
    """A supervisor's force, or a limit that was lowered, may make one; nothing else."""
    counts = _counts(state, resource)
    most = {name: limit.most for name, limit in resource.channels.items()}
    has_exclusive = any(state.channel(channel).exclusive for channel in counts)
    return Excess(
        max(0, resource.used - resource.capacity),
        sum(max(0, count - most.get(channel, 0)) for channel, count in counts.items()),
        counts.total() - 1 if has_exclusive else 0,
    )


def _counts(state: State, resource: Resource) -> Counter[str]:
    """Tasks by channel of those through which it holds more than nothing: a paused one may weigh nothing."""
    return Counter(
        state.tasks[name].channel
        for name in resource.tasks
        if name in state.tasks and any(owner == resource.id and weight for owner, weight in holdings(state.tasks[name]))
    )


def _of_task(state: State, task: Task) -> Iterator[Violation]:
    live = [offer for offer in task.offers if offer.state is OfferState.PENDING]
    held = task.assignment if task.assignment is not None and task.assignment.state in _LIVE else None
    expected = _HELD_BY.get(task.state)
    if (held.state if held is not None else None) is not expected:
        yield Violation("I1", task.id, f"is {task.state}, its assignment {held.state if held else None}")
    if bool(live) is not (task.state is TaskState.OFFERED):
        yield Violation("I3", task.id, f"is {task.state} with {len(live)} live offers")
    if len({offer.resource_id for offer in live}) != len(live):
        yield Violation("I1", task.id, "has two live offers to one resource")
    if len({offer.id for offer in task.offers}) != len(task.offers):
        yield Violation("I1", task.id, "has two offers of one id")
    if task.queue not in state.queues and task.state not in TERMINAL:
        yield Violation("I3", task.id, f"is in the queue {task.queue}, which there is not")
    yield from _of_clock(state, task)
    for offer in live:
        yield from _of_offer(state, task, offer)
    if held is not None:
        yield from _of_assignment(state, task, held)


def _of_clock(state: State, task: Task) -> Iterator[Violation]:
    """Its timer, its age and its end."""
    is_over = task.state in TERMINAL
    if not is_over and state.armed_ns("task", task.id) == 0:
        yield Violation("I3", task.id, f"is {task.state} without a timer")
    if is_over is not bool(task.ended_ns) or (is_over and state.armed_ns("task", task.id)):
        yield Violation("I4", task.id, f"is {task.state}, ended at {task.ended_ns}, with or without a timer")
    if task.state in WAITING and not task.queued_ns:
        yield Violation("I7", task.id, "waits without an age")


def _of_offer(state: State, task: Task, offer: Offer) -> Iterator[Violation]:
    resource = state.resources.get(offer.resource_id)
    if resource is None:
        yield Violation("I5", offer.id, "is to nobody")
        return
    if resource.tasks.count(task.id) != 1:
        yield Violation("I2", offer.id, f"is {resource.tasks.count(task.id)} times with {resource.id}")
    if resource.presence is not Presence.AVAILABLE or resource.is_suspect:
        yield Violation("I5", offer.id, f"is live, {resource.id} {resource.presence}, suspect {resource.is_suspect}")
    if offer.fence != resource.epoch:
        yield Violation("I5", offer.id, f"was made in epoch {offer.fence}, {resource.id} is in {resource.epoch}")


def _of_assignment(state: State, task: Task, held: Assignment) -> Iterator[Violation]:
    resource = state.resources.get(held.resource_id)
    if resource is None:
        yield Violation("I1", task.id, f"is with {held.resource_id}, who is not there")
    elif resource.tasks.count(task.id) != 1:
        yield Violation("I2", task.id, f"is {resource.tasks.count(task.id)} times with {resource.id}")


def _of_resource(state: State, resource: Resource) -> Iterator[Violation]:
    held = [state.tasks.get(name) for name in resource.tasks]
    total = 0
    for name, task in zip(resource.tasks, held, strict=True):
        weights = [weight for owner, weight in holdings(task) if owner == resource.id] if task is not None else []
        if len(weights) != 1:
            yield Violation("I2", resource.id, f"holds {name}, which is {len(weights)} times with it")
        total += sum(weights)
    if resource.used != total or total < 0:
        yield Violation("I2", resource.id, f"uses {resource.used}, and holds {total}")
    if resource.presence is Presence.OFFLINE and resource.is_suspect:
        yield Violation("I5", resource.id, "is suspect, and offline")
    if resource.is_suspect and not resource.lost_ns:
        yield Violation("I3", resource.id, "is suspect for ever")
    if resource.presence is Presence.MISSED and not resource.missed_until_ns:
        yield Violation("I3", resource.id, "has missed, for ever")


def _of_waiting(state: State, task: Task) -> Iterator[Violation]:
    """It is where whoever can take it looks for it, and nobody who could take it now is without anything to do."""
    group = state.index.group_of(task.id)
    if group is None:
        yield Violation("index", task.id, "waits in no group")
        return
    members = {each.id for each in state.resources.values() if is_eligible(state, task, each)}
    free = {name for name in members if has_room(state, state.resources[name], task.channel, task.weight)}
    if members != group.members:
        yield Violation("index", task.id, f"members are {sorted(group.members)}, not {sorted(members)}")
    present = sum(state.resources[name].presence is not Presence.OFFLINE for name in members)
    if present != group.present:
        yield Violation("index", task.id, f"present are {group.present}, not {present}")
    if not is_gathered(state, task.queue):
        # Who was given very much in one step goes on in the next.
        idle = sorted(n for n in free if not state.resources[n].seek_ns and not is_excluded(state, task, n))
        if idle:
            yield Violation("I6", task.id, f"waits while {', '.join(idle)} could take it")


def _of_totals(state: State) -> Iterator[Violation]:
    """Books that are kept beside the tasks."""
    is_open = [task for task in state.tasks.values() if task.state not in TERMINAL]
    is_talking = [task for task in is_open if task.state is not TaskState.WRAPPING]
    waiting = Counter(task.queue for task in is_open if task.state in WAITING)
    placed = sorted(task_id for group in state.groups.values() for task_id in group.waiting())
    scheduled = sorted(name for names in state.scheduled.values() for name in names)
    books: tuple[tuple[str, object, object], ...] = (
        ("waiting", {q.name: q.waiting for q in state.queues.values() if q.waiting}, dict(waiting)),
        ("keys", state.open_by_key, {task.dedupe_key: task.id for task in is_talking if task.dedupe_key}),
        ("placed", placed, sorted(task.id for task in is_open if task.state is TaskState.QUEUED)),
        ("scheduled", scheduled, sorted(task.id for task in is_open if task.state is TaskState.SCHEDULED)),
        ("ended", sorted(state.ended), sorted(task.id for task in state.tasks.values() if task.state in TERMINAL)),
        ("sizes", sum(group.size for group in state.groups.values()), len(placed)),
    )
    for name, kept, counted in books:
        if kept != counted:
            yield Violation("index", name, f"kept are {kept}, counted {counted}")
    for group in state.groups.values():
        asked = group.signature
        queue, known = state.queue_policy(asked.queue), [state.resources[name] for name in sorted(group.members)]
        in_turn = sorted(
            free_key(queue, asked.channel, each) for each in known if has_room(state, each, asked.channel, asked.weight)
        )
        if in_turn != list(group.free):
            yield Violation("index", asked.queue, f"free are {list(group.free)}, not {in_turn}")
        for service_class, line in group.lines.items():
            ids = [key[2] for key in line.by_order]
            ages = [_urgency(state, state.tasks[name]) for name in ids if name in state.tasks]
            if ages != sorted(ages, reverse=True) or {key[2] for key in line.by_target} != set(ids):
                yield Violation("index", group.signature.queue, f"the line of {service_class} is not in order: {ids}")


def _urgency(state: State, task: Task) -> Fraction:
    """Of two tasks of one class the greater goes first, at any time."""
    policy = state.policy
    named = policy.classes.get(task.service_class)
    slope = Fraction(str(named.slope)) if named is not None else Fraction(1)
    priority = task.priority + (policy.mood.priority if task.is_upset else 0)
    return priority * Fraction(str(policy.priority_s)) * 10**9 - slope * task.queued_ns


def _urgency_now(state: State, task: Task) -> float:
    """With what the nearness of its target adds, in microseconds: a boost is computed with floats."""
    named = state.policy.classes.get(task.service_class)
    boost_s = named.boost_s if named is not None else 0.0
    left_s = (task.target_ns - state.now_ns) / 1e9
    near = min(1.0, max(0.0, 1.0 - left_s / task.target_s)) if task.target_ns and task.target_s else 0.0
    return (int(_urgency(state, task) // 1_000) + int(boost_s * near * 1e6)) // 10


# Who may take what, from the policy's words.


def is_hard_eligible(state: State, task: Task, resource: Resource) -> bool:
    """What no step and no waiting relaxes."""
    skills = (*task.skills.items(), *state.queue_policy(task.queue).skills.items())
    return (
        task.channel in resource.channels
        and (not task.kinds or resource.kind in task.kinds)
        and all(resource.skills.get(name, 0) >= least for name, least in skills)
    )


def is_eligible(state: State, task: Task, resource: Resource) -> bool:
    """As its step stands; whatever the presence, the load, and whom it is not offered to for a while."""
    steps = state.queue_policy(task.queue).steps
    if not is_hard_eligible(state, task, resource):
        return False
    if not steps:
        return task.queue in resource.queues
    step = steps[task.step]
    return (
        not {task.queue, *step.queues}.isdisjoint(resource.queues)
        and (not step.kinds or resource.kind in step.kinds or bool(task.kinds and not {*task.kinds} & {*step.kinds}))
        and all(resource.skills.get(name, 0) >= least for name, least in step.skills.items())
        and (step.when is None or state.holds(step.when, resource))
        and (not step.preferred or not task.preferred or resource.id in task.preferred)
    )


def is_excluded(state: State, task: Task, resource_id: str) -> bool:
    """For good, or for a while."""
    until_ns = task.excluded.get(resource_id, 0)
    return until_ns == _FOR_GOOD or until_ns > state.now_ns


def has_room(state: State, resource: Resource, channel: str, weight: int) -> bool:
    """Whether it could be offered one more task now."""
    if resource.presence is not Presence.AVAILABLE or resource.is_suspect or resource.ramp_ns:
        return False
    limit = resource.channels.get(channel)
    if limit is None:
        return False
    counts = _counts(state, resource)
    alone = state.channel(channel).exclusive or any(state.channel(name).exclusive for name in counts)
    return (
        resource.used + (weight if limit.weight is None else limit.weight) <= resource.capacity - resource.reserve
        and counts[channel] < limit.most
        and not (alone and counts)
    )


def is_gathered(state: State, queue: str) -> bool:
    """Whether a queue is matched in batches, so that tasks and resources may wait for each other for a moment."""
    policy = state.queue_policy(queue)
    kind = state.policy.scores[policy.score].kind if policy.score is not None else ""
    return policy.window_ms > 0 or kind == "onnx"


def passed_over(state: State, task: Task, resource: Resource, order: str) -> list[Task]:
    """Whom a task that was offered just now has overtaken: older ones of its queue, class and step (I6, I7).

    By score one may be, as long as the policy lets it.
    """
    policy = state.queue_policy(task.queue)
    is_scored = order == "score" or policy.rank == "score"
    allowed_ns = int(policy.max_overtake_s * 1e9) if is_scored else 0
    return [
        other
        for other in state.tasks.values()
        if other.state is TaskState.QUEUED
        and (other.queue, other.service_class, other.step, other.channel, other.weight)
        == (task.queue, task.service_class, task.step, task.channel, task.weight)
        and other.queued_ns < task.queued_ns - allowed_ns
        and _urgency_now(state, other) > _urgency_now(state, task)
        and is_eligible(state, other, resource)
        and not is_excluded(state, other, resource.id)
    ]
