"""What a task asks of a resource, as a value: tasks with the same requirement wait in the same group."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from router.assign.policy import Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.assign.entity import Resource, Task
    from router.assign.policy import QueuePolicy

_ANY = Step()


class Signature(NamedTuple):
    """A requirement. Whoever meets it is eligible, whatever his presence and load."""

    queue: str
    others: tuple[str, ...]  # queues whose resources may help
    channel: str
    weight: int
    hard: tuple[tuple[str, int], ...]  # of the task and its queue
    soft: tuple[tuple[str, int], ...]  # of the step
    kinds: tuple[str, ...]
    condition: str
    only: tuple[str, ...]  # the preferred, while a step asks for them

    @property
    def asked_queues(self) -> dict[str, None]:
        """Whose resources may help, each once."""
        return dict.fromkeys((self.queue, *self.others))


def steps_of(queue: QueuePolicy) -> tuple[Step, ...]:
    """At least one."""
    return queue.steps or (_ANY,)


def signature_of(queue: QueuePolicy, task: Task, step: Step) -> Signature:
    """What a task asks for during a step."""
    hard = dict(queue.skills)
    for skill, least in task.skills.items():
        hard[skill] = max(least, hard.get(skill, 0))
    kinds = task.kinds or step.kinds
    if task.kinds and step.kinds:
        kinds = tuple(kind for kind in step.kinds if kind in task.kinds) or task.kinds
    return Signature(
        queue=task.queue,
        others=step.queues,
        channel=task.channel,
        weight=task.weight,
        hard=tuple(sorted(hard.items())) if hard else (),
        soft=tuple(sorted(step.skills.items())) if step.skills else (),
        kinds=kinds,
        condition=step.when or "",
        only=task.preferred if step.preferred else (),
    )


def in_queue(resource: Resource, asked: Signature) -> bool:
    return asked.queue in resource.queues or any(other in resource.queues for other in asked.others)


def has_channel(resource: Resource, asked: Signature) -> bool:
    return asked.channel in resource.channels


def is_kind(resource: Resource, asked: Signature) -> bool:
    return not asked.kinds or resource.kind in asked.kinds


def has_hard_skills(resource: Resource, asked: Signature) -> bool:
    return _has(resource.skills, asked.hard)


def has_soft_skills(resource: Resource, asked: Signature) -> bool:
    return _has(resource.skills, asked.soft)


def _has(skills: dict[str, int], needs: tuple[tuple[str, int], ...]) -> bool:
    for skill, least in needs:  # noqa: SIM110 - all() takes three times as long, which 10,000 resources make count
        if skills.get(skill, 0) < least:
            return False
    return True


def is_named(resource: Resource, asked: Signature) -> bool:
    return not asked.only or resource.id in asked.only


FILTERS: tuple[tuple[str, Callable[[Resource, Signature], bool]], ...] = (
    ("queue", in_queue),
    ("channel", has_channel),
    ("kind", is_kind),
    ("skills", has_hard_skills),
    ("step_skills", has_soft_skills),
    ("preferred", is_named),
)
"""In the order in which they are told; a step's condition comes last (`State.holds`)."""
