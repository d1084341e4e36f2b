"""Steps of relaxation: whom a task is offered to as its wait grows. One clock, which no offer resets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign.requirement import signature_of, steps_of

if TYPE_CHECKING:
    from router.assign.entity import Task
    from router.assign.group import Group
    from router.assign.state import State


def place(state: State, task: Task) -> Group:
    """Put a waiting task where its active step says. One that nobody who is signed in can meet is skipped at once."""
    queue = state.queue_policy(task.queue)
    steps = steps_of(queue)
    begins_ns = task.stepped_ns
    active, ends_ns = 0, 0
    for number, step in enumerate(steps):
        active = number
        ends_ns = 0 if step.for_s is None or number == len(steps) - 1 else begins_ns + int(step.for_s * 1e9)
        if not ends_ns or state.now_ns < ends_ns:
            break
        begins_ns = ends_ns
    signature = signature_of(queue, task, steps[active])
    for number in range(active, len(steps)):
        candidate = signature if number == active else signature_of(queue, task, steps[number])
        if state.index.present(candidate):
            if number != active:  # what was skipped has had its time
                active, signature, ends_ns = number, candidate, _end_ns(state, task, number)
            break
    if active != task.step:
        task.step = active
        state.tell("task.step_changed", task, queue=task.queue, step=active)
    task.step_ns = ends_ns
    state.touch("task", task.id)
    state.index.displace(task)
    return state.index.place(task, signature)


def _end_ns(state: State, task: Task, number: int) -> int:
    """When a step ends on the clock of the task; 0: the last one does not."""
    steps = steps_of(state.queue_policy(task.queue))
    if number == len(steps) - 1 or steps[number].for_s is None:
        return 0
    spent_s = sum(step.for_s or 0.0 for step in steps[: number + 1])
    return max(state.now_ns + 1, task.stepped_ns + int(spent_s * 1e9))
