"""Who of the free resources is asked first: longest idle, least load, round robin, or cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.assign.entity import Resource
    from router.assign.policy import QueuePolicy

FreeKey = tuple[int, int, str]
"""Of a free resource: (rank, since, id), the first to be asked first."""


def rank_of(queue: QueuePolicy, channel: str) -> str:
    """The ranking in force: chats go where there is most room, if nothing else is said."""
    return queue.rank or ("least_load" if channel == "chat" else "longest_idle")


def free_key(queue: QueuePolicy, channel: str, resource: Resource) -> FreeKey:
    """Who is asked first. Ties go to who has been idle longest, then by id."""
    idle_ns = idle_since(queue, resource)
    match rank_of(queue, channel):
        case "least_load":
            return resource.used * 1_000_000 // max(1, resource.capacity), idle_ns, resource.id
        case "round_robin":
            return resource.offered_ns, idle_ns, resource.id
        case "cost":
            return int(resource.cost / max(resource.success, 1e-6) * 1e6), idle_ns, resource.id
        case _:  # by score too: of a long list only the first are scored
            return idle_ns, 0, resource.id


def idle_since(queue: QueuePolicy, resource: Resource) -> int:
    """Where its idle clock began: who never had a task has been idle since he became available."""
    match queue.idle_since:
        case "offer":
            return resource.offered_ns or resource.available_ns
        case "available":
            return resource.available_ns
        case _:
            return resource.released_ns or resource.available_ns
