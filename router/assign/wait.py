"""How long somebody who waits will still wait, as far as the present tells.

    wait = work ahead of the task and its own / how many of them those who are available could hold at once

which is what a line in front of servers that are all busy takes on average to come to its n-th place (M/M/c, FCFS).
Work is tasks x their queue's handling time. That of others who may be given the same agents counts as well, of tasks
of the same queue with other requirements and of other queues: what is more urgent, less what their other agents do of
it meanwhile, and at most what the agents in common can do meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from router.assign.policy import BUILT_IN
from router.assign.requirement import Signature, signature_of, steps_of
from router.assign.transition import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.assign.entity import Task
    from router.assign.group import Group
    from router.assign.state import State

_HALVINGS = 12
"""Of the interval in which the wait lies: beyond it is no better than the estimate itself."""


class _Rival(NamedTuple):
    """Others who may be given the same agents."""

    work_s: float  # more urgent
    slots: float  # in common
    others: float  # slots that are theirs alone

    def takes_s(self, wait_s: float) -> float:
        """Of the work that the agents in common can do within a time."""
        return min(max(0.0, self.work_s - self.others * wait_s), self.slots * wait_s)


def expected_wait_s(state: State, task: Task) -> float | None:
    """From now on, of a queued task. 0.0: it is not, or somebody is free; None: nobody who could take it is there.

    Cost: O(requirements that wait in its queue + queues of those who could take it).
    """
    if task.state is not TaskState.QUEUED:
        return 0.0
    queue = state.queue_policy(task.queue)
    steps = steps_of(queue)
    group = state.index.group(signature_of(queue, task, steps[min(task.step, len(steps) - 1)]))
    return _wait_s(state, group, task)


def queue_wait_s(state: State, queue: str, channel: str | None = None) -> float | None:
    """What a newcomer without wishes would wait. Without a channel: on the one that most could be taken of."""
    return _wait_s(state, newcomer_group(state, queue, channel), None)


def newcomer_group(state: State, queue: str, channel: str | None = None) -> Group:
    """Where it would wait, and who could take it. Without a channel: on the one that most could be taken of."""
    if channel is not None:
        return state.index.group(_of_newcomer(state, queue, channel))
    asked = [_of_newcomer(state, queue, each) for each in sorted({*BUILT_IN, *state.policy.channels})]
    return max([state.index.stand(each) for each in asked], key=lambda group: group.slots)


def prepare(state: State) -> None:
    """Make these groups of all queues, of which each costs some us a resource, before anybody asks for them."""
    for queue in state.policy.queues:
        newcomer_group(state, queue)


def _wait_s(state: State, group: Group, task: Task | None) -> float | None:
    """Args: task: None: a newcomer, behind all who wait."""
    if not group.slots:
        return None
    if state.index.count_free(group):
        return 0.0
    ahead = group.size if task is None else state.index.ahead_in(task, group, state.now_ns)
    own_s = (ahead + 1) * _aht_s(state, group.signature.queue)
    # Sorted, for sums of floats depend on their order, and that of groups is no part of the state.
    rivals = sorted([*_in_queue(state, group, task), *_in_others(state, group, task)])
    low_s, high_s = own_s / group.slots, (own_s + sum(rival.work_s for rival in rivals)) / group.slots
    for _ in range(_HALVINGS if rivals else 0):
        wait_s = (low_s + high_s) / 2
        is_done = group.slots * wait_s >= own_s + sum(rival.takes_s(wait_s) for rival in rivals)
        low_s, high_s = (low_s, wait_s) if is_done else (wait_s, high_s)
    return (low_s + high_s) / 2


def _aht_s(state: State, queue: str) -> float:
    return state.queues[queue].aht_ns / 1e9 or state.queue_policy(queue).aht_s


def _waiting(state: State, queue: str) -> list[Group]:
    """Only those where somebody waits: which others there are is no part of the state."""
    return [group for group in state.index.by_queue.get(queue, {}).values() if group.size and group.slots]


def _in_queue(state: State, group: Group, task: Task | None) -> Iterator[_Rival]:
    """Requirements of which one implies the other have the smaller one's agents in common; of two others nothing is
    known, and each is taken to be met by as large a share of the other's agents as of all.
    """
    queue = group.signature.queue
    others = [other for other in _waiting(state, queue) if other is not group]
    most = max([group.slots, *(other.slots for other in others)])
    for other in others:
        ahead = other.size if task is None else state.index.ahead_in(task, other, state.now_ns)
        common = float(min(group.slots, other.slots))
        if not (_implies(group.signature, other.signature) or _implies(other.signature, group.signature)):
            common = group.slots * other.slots / most
        yield _Rival(ahead * _aht_s(state, queue), common, other.slots - common)


def _in_others(state: State, group: Group, task: Task | None) -> Iterator[_Rival]:
    for queue, common in sorted(group.shared.items()):
        if queue == group.signature.queue or not common or not state.queues[queue].waiting:
            continue
        most = max((other.slots for other in _waiting(state, queue)), default=0)
        if most:
            waiting = state.queues[queue].waiting
            ahead = waiting if task is None else state.index.ahead_of(task, queue, state.now_ns)
            yield _Rival(ahead * _aht_s(state, queue), common, max(0, most - common))


def _implies(strict: Signature, loose: Signature) -> bool:
    """Whether who meets the one surely meets the other."""
    has = dict(strict.soft)
    for skill, least in strict.hard:
        has[skill] = max(least, has.get(skill, 0))
    return (
        strict.channel == loose.channel
        and all(has.get(skill, 0) >= least for skill, least in (*loose.hard, *loose.soft))
        and loose.kinds in {(), strict.kinds}
        and loose.condition in {"", strict.condition}
        and loose.only in {(), strict.only}
        and (not strict.others or strict.others == loose.others)
    )


def _of_newcomer(state: State, queue: str, channel: str) -> Signature:
    policy = state.queue_policy(queue)
    step = steps_of(policy)[0]
    return Signature(
        queue=queue, others=step.queues, channel=channel, weight=state.channel(channel).weight,
        hard=tuple(sorted(policy.skills.items())), soft=tuple(sorted(step.skills.items())), kinds=step.kinds,
        condition=step.when or "", only=(),
    )  # fmt: skip
