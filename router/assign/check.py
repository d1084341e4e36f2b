"""What can be wrong with queues.toml beyond single values: names that lead nowhere, conditions, circles, times."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from router.assign.hours import Calendar
from router.assign.policy import STEP_FACTS, TRIGGER_FACTS
from router.assign.score import find_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from router.assign.policy import Policy, QueuePolicy, Step, Trigger

    Check = Callable[[str, Mapping[str, object]], object]
    """Given a condition and an example of what it may name. Raises: ValueError: what is wrong, what is allowed."""


def find_problems(policy: Policy, checks: Check) -> list[str]:
    """All of them, each with its key and what is allowed; none: the policy can take effect."""
    problems = [] if policy.queues else ["queues: there is none; a queue is a table [queues.NAME]"]
    for name, hours in policy.hours.items():
        try:
            Calendar(hours)
        except ValueError as error:
            problems.append(f"hours.{name}: {error}")
    for name, score in policy.scores.items():
        if score.kind == "onnx" and not score.file:
            problems.append(f"scores.{name}: file: is needed with kind = 'onnx'")
        if score.kind == "linear" and (score.file or not score.weights):
            problems.append(f"scores.{name}: kind = 'linear' needs weights, and no file")
        problems += [
            f"scores.{name}: {key}: {value} is no number to reckon with"
            for key, value in {"bias": score.bias, **score.weights}.items()
            if not isfinite(value)
        ]
        problems += [f"scores.{name}.weights: {unknown}" for unknown in find_unknown(list(score.weights))]
    for name, queue in policy.queues.items():
        problems += [f"queues.{name}.{problem}" for problem in _of_queue(policy, name, queue, checks)]
    circle = _circle(policy)
    if circle:
        problems.append(
            f"queues.{circle[0]}.overflow: {' -> '.join(circle)} is a circle of triggers that act as a task comes in; "
            "give one of them after_s"
        )
    return problems


def _of_queue(policy: Policy, name: str, queue: QueuePolicy, checks: Check) -> Iterator[str]:
    if queue.hours is not None:
        yield from _unknown("hours", (queue.hours,), policy.hours)
    if queue.escalate_to is not None:
        yield from _unknown("escalate_to", (queue.escalate_to,), policy.queues)
    if queue.score is not None:
        yield from _unknown("score", (queue.score,), policy.scores)
    if (queue.rank == "score") != (queue.score is not None):
        yield "score: goes with rank = 'score', and is needed there"
    yield from _undeclared(policy, "skills", queue.skills)
    for number, step in enumerate(queue.steps):
        last = number == len(queue.steps) - 1
        yield from (f"steps[{number}].{found}" for found in _of_step(policy, step, checks, is_last=last))
    before_s = 0.0
    for number, trigger in enumerate(queue.overflow):
        yield from (f"overflow[{number}].{found}" for found in _of_trigger(policy, name, trigger, checks))
        if trigger.after_s < before_s:
            yield f"overflow[{number}].after_s: {trigger.after_s:g} comes behind {before_s:g}; put the sooner one first"
        before_s = trigger.after_s


def _of_step(policy: Policy, step: Step, checks: Check, *, is_last: bool) -> Iterator[str]:
    if (step.for_s is None) != is_last:
        yield "for_s: the last step has none, for it lasts" if is_last else "for_s: only the last step has none"
    yield from _undeclared(policy, "skills", step.skills)
    yield from _unknown("queues", step.queues, policy.queues)
    if step.when is not None:
        yield from _wrong(step.when, STEP_FACTS, checks)


def _of_trigger(policy: Policy, name: str, trigger: Trigger, checks: Check) -> Iterator[str]:
    yield from _wrong(trigger.when, TRIGGER_FACTS, checks)
    if trigger.queue is not None:
        yield from _unknown("queue", (trigger.queue,), policy.queues)
    if trigger.queue == name:
        yield "queue: is the queue itself"
    if trigger.queue is not None and trigger.then:
        yield f"then: a task that moves to {trigger.queue} is not also to be {trigger.then!r}; leave one out"
    if trigger.queue is None and not trigger.then and not trigger.priority:
        yield "queue: a trigger needs something to do: queue, priority or then"


def _wrong(condition: str, facts: Mapping[str, object], checks: Check) -> Iterator[str]:
    try:
        checks(condition, facts)
    except ValueError as error:
        yield f"when: {error}"


def _unknown(key: str, named: Iterable[str], there: Collection[str]) -> Iterator[str]:
    known = ", ".join(sorted(there))
    for name in named:
        if name not in there:
            yield f"{key}: {name!r} is not there; {f'there are {known}' if known else 'there is none'}"


def _undeclared(policy: Policy, key: str, named: Iterable[str]) -> Iterator[str]:
    """Skills are free words until the file lists them."""
    return _unknown(key, named, policy.skills) if policy.skills else iter(())


def _circle(policy: Policy) -> list[str]:
    """A way round by triggers that act at once. What acts later is bounded by the engine: a task moves a few times."""
    others = {name: policy.queues.keys() - {name} for name in policy.queues}
    leads = {
        name: [trigger.queue for trigger in queue.overflow if not trigger.after_s and trigger.queue in others[name]]
        for name, queue in policy.queues.items()
    }
    for start in leads:
        ways: list[list[str]] = [[start]]
        seen: set[str] = set()
        while ways:
            way = ways.pop()
            for queue in leads[way[-1]]:
                if queue == start and len(way) > 1:
                    return [*way, start]
                if queue is not None and queue not in seen:
                    seen.add(queue)
                    ways.append([*way, queue])
    return []
