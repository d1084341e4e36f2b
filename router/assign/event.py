"""What the engine tells: one event for each thing that happened, gap-free and in order for each subject."""

from __future__ import annotations

from typing import Any

import msgspec

TYPES = (
    "task.queued", "task.scheduled", "task.assigned", "task.released", "task.requeued", "task.transferred",
    "task.escalated", "task.overflowed", "task.postponed", "task.paused", "task.resumed", "task.wrapping",
    "task.completed", "task.canceled", "task.updated", "task.signal", "task.step_changed", "task.sla_warning",
    "task.sla_breached", "offer.issued", "offer.accepted", "offer.declined", "offer.expired", "offer.rescinded",
    "resource.updated", "resource.presence", "resource.missed", "resource.lease_suspect", "resource.restored",
    "resource.lost", "queue.opened", "queue.closed", "policy.activated", "engine.resumed",
)  # fmt: skip
"""All that is told; a receiver who asks for something else would wait in vain."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Names as in CloudEvents 1.0; `seq` is consecutive for each subject, `position` orders all events of a shard.

    `id` is unique and stable: a replay tells the same events again.
    """

    id: str
    """`{position}-{number}`, which is also the cursor of a stream."""
    type: str
    """One of `TYPES`."""
    subject: str
    """The id of the task (also for its offers), the resource or the queue."""
    seq: int
    position: int
    """Of the command in the log that caused it."""
    at_ns: int
    epoch: int = 0
    cause: str = ""
    """The command's type."""
    data: dict[str, Any] = {}
