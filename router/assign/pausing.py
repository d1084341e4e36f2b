"""A customer who is silent: the task holds less of its agent, until the customer is back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign.capacity import weight_for
from router.assign.errors import Conflict
from router.assign.hold import expect_customer
from router.assign.match import seek_tasks
from router.assign.moving import move
from router.assign.transition import ASSIGNMENT, TASK, AssignmentMove, TaskMove, TaskState, follow

if TYPE_CHECKING:
    from router.assign.command import PauseTask, ResumeTask
    from router.assign.entity import Task
    from router.assign.state import State


def pause(state: State, command: PauseTask) -> str:
    task = state.task(command.task_id)
    pause_now(state, task)
    return task.id


def pause_now(state: State, task: Task) -> None:
    """The customer is silent: it holds less of its agent."""
    task.state = follow(TASK, task.state, TaskMove.PAUSE, f"task {task.id}")
    assignment = task.assignment
    assert assignment is not None  # noqa: S101 - only an assigned task can be paused
    assignment.state = follow(ASSIGNMENT, assignment.state, AssignmentMove.PAUSE, f"task {task.id}")
    resource = state.resources[assignment.resource_id]
    before, assignment.weight = assignment.weight, min(assignment.weight, state.channel(task.channel).paused_weight)
    state.reweigh(resource, task.channel, before, assignment.weight)
    task.pause_ns = 0
    state.tell("task.paused", task, resource_id=resource.id, queue=task.queue, weight=assignment.weight)
    seek_tasks(state, resource)


def resume(state: State, command: ResumeTask) -> str:
    task = state.task(command.task_id)
    if task.state is not TaskState.PAUSED:
        raise Conflict(f"task {task.id} is {task.state.value}, not paused")
    resume_now(state, task)
    return task.id


def resume_now(state: State, task: Task) -> None:
    """The customer is back: with the same agent where there is room, else in the queue, this agent preferred."""
    assignment = task.assignment
    assert assignment is not None  # noqa: S101 - a paused task has one
    resource = state.resources[assignment.resource_id]
    state.reweigh(resource, task.channel, assignment.weight, 0)
    held, assignment.weight = assignment.weight, 0
    if not state.has_room(resource, task.channel, task.weight, is_back=True):
        state.reweigh(resource, task.channel, 0, held)
        assignment.weight = held
        task.preferred = (resource.id, *(name for name in task.preferred if name != resource.id))
        move(state, task, task.queue, "requeued", is_excluding=False, reason="no_room")
        return
    assignment.weight = weight_for(resource, task.channel, task.weight)
    state.reweigh(resource, task.channel, 0, assignment.weight)
    assignment.state = follow(ASSIGNMENT, assignment.state, AssignmentMove.RESUME, f"task {task.id}")
    task.state = follow(TASK, task.state, TaskMove.RESUME, f"task {task.id}")
    expect_customer(state, task)
    state.tell("task.resumed", task, resource_id=resource.id, queue=task.queue, weight=assignment.weight)
