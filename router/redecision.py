"""A message of a running conversation, decided anew: what a signal with a text makes of its task."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from budgets.deadline import NS_PER_MS
from router.domain.interaction import Interaction
from router.errors import NotAdmitted
from router.handover import new_queue
from router.policy.point import Request

if TYPE_CHECKING:
    from budgets.deadline import Budget
    from router.assembly import App
    from router.assign.entity import Task


class Redecided(NamedTuple):
    """What goes into the `Signal`."""

    queue: str = ""
    """Where the task is to go; empty: it stays."""
    wants_human: bool = False
    decision_id: str = ""
    """Of the log; empty: nobody could decide in time, and the signal counts without it."""


async def redecide(app: App, task: Task, text: str, budget: Budget) -> Redecided:
    """Ask the pipeline about a message of the customer. Creates no task.

    A guard binds: frustration, fraud words or a wish for a person move the task. A model is believed only while no
    person has the task, or is waited for: see `router.handover.new_queue`.
    Raises: msgspec.ValidationError: the text is none that an interaction may have.
    """
    interaction = msgspec.convert(
        {"text": text, "channel": task.channel, "customer_id": task.customer_id or None, "context": task.context},
        Interaction,
    )
    request = Request(interaction, budget.total_ns / NS_PER_MS, is_question=True)
    try:
        decision = await app.pipeline.decide(app.point, request, budget)
    except NotAdmitted:
        return Redecided()
    app.pipeline.finish(app.point, decision, budget)
    if app.desk is None:
        return Redecided(decision_id=decision.decision_id)
    queue, wants_human = new_queue(app.desk.state, task, decision, app.point.targets[decision.route])
    return Redecided(queue, wants_human, decision.decision_id)
