"""Signals of a conversation: the customer writes, a bot has had its turn, somebody is upset or asks for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign import line, moving, pausing
from router.assign.errors import Conflict
from router.assign.hold import expect_customer, holder_of
from router.assign.transition import TERMINAL, WAITING, TaskState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.assign.command import Signal
    from router.assign.entity import Task
    from router.assign.policy import MoodPolicy
    from router.assign.state import State

_MOODS_KEPT = 8


def take(state: State, command: Signal) -> str:
    """Note a signal, and move the task where it asks for that."""
    task = state.task(command.task_id)
    if task.state in TERMINAL or task.state is TaskState.WRAPPING:
        raise Conflict(f"task {task.id} is {task.state.value}: its conversation is over")
    if command.source != "customer":
        moving.check_fence(task, -1 if command.fence is None else command.fence)
    if command.queue:
        state.queue_policy(command.queue)
    was_upset = task.is_upset
    _note(state, task, command)
    reason = _why_hand_off(state, task, command)
    if reason:
        moving.hand_off(state, task, command.queue, reason)
    elif task.state in {*WAITING, TaskState.SCHEDULED} and command.queue and command.queue != task.queue:
        moving.move(state, task, command.queue, "transferred", is_excluding=False, reason="signal")
    elif task.state in WAITING and task.is_upset != was_upset:
        line.look_again(state, task)
    elif task.state is TaskState.PAUSED and command.source == "customer":
        pausing.resume_now(state, task)
    return task.id


def _note(state: State, task: Task, command: Signal) -> None:
    moving.add_context(task, command.context)
    if command.sentiment is not None:
        task.moods = (*task.moods, command.sentiment)[-_MOODS_KEPT:]
        task.is_upset = is_upset(state.policy.mood, task.moods, was_upset=task.is_upset)
    task.turns += command.is_turn
    task.failed_turns += command.is_failed
    if command.source == "customer":
        expect_customer(state, task)
    state.tell(
        "task.signal", task, source=command.source, sentiment=command.sentiment, is_upset=task.is_upset,
        wants_human=command.wants_human, turns=task.turns, failed_turns=task.failed_turns, to_queue=command.queue,
    )  # fmt: skip


def _why_hand_off(state: State, task: Task, command: Signal) -> str:
    """Why a task goes from a bot to people now; empty: it does not."""
    holder = holder_of(state, task)
    is_with_people = task.kinds == moving.PEOPLE or (holder is not None and holder.kind == "agent")
    is_with_bot = holder is not None and holder.kind == "bot"
    bot = state.policy.bot
    reasons = {
        "explicit": command.wants_human,
        "upset": holder is not None and task.is_upset,
        "decided": is_with_bot and command.queue not in {"", task.queue},
        "bot_turns": is_with_bot and task.turns >= bot.max_turns,
        "bot_failed": is_with_bot and task.failed_turns >= bot.max_failed,
    }
    return "" if is_with_people else next((reason for reason, holds in reasons.items() if holds), "")


def is_upset(policy: MoodPolicy, moods: Sequence[float], *, was_upset: bool) -> bool:
    """With hysteresis: one very bad turn or a steady fall begins it, some good ones in a row end it."""
    recent = moods[-3:]
    is_bad = moods[-1] <= policy.floor
    is_falling = len(recent) == 3 and (recent[2] - recent[0]) / 2 < policy.slope  # noqa: PLR2004 - three turns
    if is_bad or is_falling:
        return True
    calm = moods[-policy.calm_after :]
    return was_upset and not (len(calm) == policy.calm_after and min(calm) > 0)
