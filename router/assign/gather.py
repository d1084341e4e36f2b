"""Batch matching, by choice of a queue: gather for a moment, have the pairs solved outside, offer what still fits.

The answer of the solver is a proposal. If it does not come in time, everybody is matched at once, one by one.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from router.assign.group import Group
    from router.assign.policy import Policy, QueuePolicy
    from router.assign.state import State

MOST = 200
"""Tasks and resources of one matching: some 2 ms of a solver."""
_SLICE_NS = 100_000_000
"""What a solver may take before the queue is matched without it."""


class Matching(NamedTuple):
    """What is to be solved: the most urgent tasks of a queue, sorted, and who is free for at least one of them."""

    number: int
    queue: str
    task_ids: tuple[str, ...]
    resource_ids: tuple[str, ...]
    due_ns: int


def is_batched(policy: Policy, queue: QueuePolicy) -> bool:
    """Whether a queue is matched in batches: it has a window, or a model that the engine can't run itself."""
    return queue.window_ms > 0 or needs_model(policy, queue)


def needs_model(policy: Policy, queue: QueuePolicy) -> bool:
    return queue.rank == "score" and policy.scores[queue.score or ""].kind == "onnx"


def is_gathering(state: State, queue: str) -> bool:
    """Whether to wait for the others. Opens a window where a queue is matched in batches and none is open."""
    policy = state.queue_policy(queue)
    if not is_batched(state.policy, policy):
        return False
    book = state.queues[queue]
    if book.gather_ns or book.matching:
        return True
    if not policy.window_ms:
        return ask(state, queue)
    book.gather_ns = state.now_ns + int(policy.window_ms * 1e6)
    state.touch("queue", queue)
    return True


def ask(state: State, queue: str) -> bool:
    """Have a queue solved. False: there is nothing to choose."""
    tasks: list[str] = []
    resources: dict[str, None] = {}
    groups: set[Group] = set()  # 200 tasks of one group have the same 200 resources
    for task_id in islice(state.index.candidates(queue), MOST):
        tasks.append(task_id)
        group = state.index.group_of(task_id)
        if group is not None and group not in groups:
            groups.add(group)
            resources.update(dict.fromkeys(key[2] for key in islice(group.free, MOST)))
    least = 1 if needs_model(state.policy, state.queue_policy(queue)) else 2
    if len(tasks) * len(resources) < least:
        return False
    book = state.queues[queue]
    state.matchings_total += 1
    book.matching, book.matching_ns = state.matchings_total, state.now_ns + _SLICE_NS
    state.touch("queue", queue)
    state.matchings.append(
        Matching(book.matching, queue, tuple(tasks), tuple(islice(resources, MOST)), book.matching_ns)
    )
    return True
