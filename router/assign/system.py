"""Commands about the engine itself: its policy, a new process, queues by hand, proposals; and its loading."""

from __future__ import annotations

from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING, Any

from router.assign import line, steps
from router.assign.check import find_problems
from router.assign.errors import BadCommand, Conflict, Same
from router.assign.gather import is_gathering
from router.assign.hold import propose as offer
from router.assign.index import Index
from router.assign.match import is_excluded, seek_all, seek_tasks
from router.assign.offering import live
from router.assign.transition import TERMINAL, WAITING, TaskState
from router.assign.urgency import order_of, urgency
from router.assign.wait import prepare

if TYPE_CHECKING:
    from collections.abc import Container

    from router.assign.command import Configure, Pair, Propose, Resume, SetQueue
    from router.assign.entity import Resource, Task
    from router.assign.policy import Policy, Trigger
    from router.assign.state import State

_AT_ONCE = 100
"""Tasks that a queue opens for in one step, some 10 ms: a night may have brought thousands."""

_LOOKED_AT = 64
"""Of each requirement, when a pair that was found outside might overtake somebody."""


def configure(state: State, command: Configure) -> str:
    """Another policy from now on; everybody who waits is placed anew, triggers that are new are looked at.

    Raises: Conflict: a queue would be missing. BadCommand: it can't be.
    """
    policy = command.policy
    in_use = {task.queue for task in state.tasks.values() if task.state not in TERMINAL}
    in_use |= {queue for resource in state.resources.values() for queue in resource.queues}
    missing = sorted(in_use - set(policy.queues))
    if missing:
        raise Conflict(f"queues.{missing[0]}: tasks or resources are in it, so it can't be left out yet")
    if problems := find_problems(policy, lambda _condition, _facts: None):
        raise BadCommand("; ".join(problems)[:2_000])
    before = state.policy
    try:
        state.adopt(policy)
    except Exception as error:  # whatever compiles the conditions may raise its own
        raise BadCommand(f"when: {error}") from error
    rebuild(state)
    for name, book in state.queues.items():
        stop_gathering(state, name)
        book.changes_ns = book.opens_ns = 0  # set below for those that the policy has
    for name in sorted(policy.queues):
        watch_hours(state, name)
    state.tell_all("policy.activated", version=policy.version)
    _place_anew(state, {name for name, queue in policy.queues.items() if _overflow_of(before, name) != queue.overflow})
    for resource_id in sorted(state.resources):
        seek_tasks(state, state.resources[resource_id])
    for name in sorted(policy.queues):
        open_scheduled(state, name)
    return "policy"


def _place_anew(state: State, changed: set[str]) -> None:
    """All that wait. Those of queues whose triggers have changed meet them from the first on."""
    waiting = sorted((task for task in state.tasks.values() if task.state in WAITING), key=lambda task: task.number)
    for task in waiting:
        state.touch("task", task.id)  # when an offer ends is up to the policy
        if task.queue in changed:
            task.triggers_done = 0
        if task.state is TaskState.QUEUED:
            steps.place(state, task)
    for task in waiting:
        if task.queue in changed and task.state is TaskState.QUEUED:
            line.look(state, task)


def _overflow_of(policy: Policy, queue: str) -> tuple[Trigger, ...]:
    return policy.queues[queue].overflow if queue in policy.queues else ()


def rebuild(state: State) -> None:
    """Derive the index and the loads anew; queued tasks are in line, but not placed yet."""
    index = state.index = Index(state)
    for queue in state.queues.values():
        queue.waiting = 0
    for resource in state.resources.values():
        state.insert_resource(resource)
    for task in state.tasks.values():
        if task.state in WAITING:
            index.line_up(task)
    prepare(state)


def load(state: State, found: dict[str, dict[str, Any]]) -> None:
    """Fill a new state from the rows of a checkpoint."""
    clock = found["clock"]["clock"]
    for name in ("epoch", "position", "now_ns", "tasks_total", "ended_total", "matchings_total", "system_seq"):
        setattr(state, name, getattr(clock, name))
    state.queues.update(found["queue"])
    for key, kept in sorted(found["key"].items(), key=lambda item: item[1].position):
        state.keys[key] = kept
    tasks = sorted(found["task"].values(), key=lambda each: each.number)
    for task in tasks:
        state.insert_task(task)
    ended = (task for task in tasks if task.state in TERMINAL)
    state.ended.extend(task.id for task in sorted(ended, key=lambda each: each.ended_number))
    for queue in state.queues.values():
        queue.waiting = 0
        state.touch("queue", queue.name)
    for resource in found["resource"].values():
        state.insert_resource(resource)
    for task in tasks:
        if task.state in WAITING:
            state.index.line_up(task)
        if task.state is TaskState.QUEUED:
            state.index.place(task, line.signature(state, task))
    prepare(state)


def resume(state: State, command: Resume) -> str:
    """A process begins. While there was none, nobody could answer an offer or give a sign of life: no one's fault."""
    if command.epoch <= state.epoch:
        raise Conflict(f"epoch {command.epoch}: a process with epoch {state.epoch} has been here")
    state.epoch = command.epoch
    state.tell_all("engine.resumed", epoch=command.epoch)
    for task in list(state.tasks.values()):
        if task.customer_until_ns:
            task.customer_until_ns = max(task.customer_until_ns, state.now_ns + task.customer_lease_ns)
            state.touch("task", task.id)
        for pending in live(task):
            # Who was about to accept finds the offer again, with all of its time.
            pending.expires_ns = max(pending.expires_ns, state.now_ns + (pending.expires_ns - pending.issued_ns))
            state.touch("task", task.id)
    for resource in state.resources.values():
        if resource.is_suspect:
            resource.lost_ns = state.now_ns + int(state.policy.lease.grace_s * 1e9)
            state.touch("resource", resource.id)
    for name in state.policy.queues:
        stop_gathering(state, name)
        watch_hours(state, name)
        open_scheduled(state, name)
        seek_all(state, name)
    return "engine"


def stop_gathering(state: State, name: str) -> None:
    """No window is open, no solver is waited for."""
    book = state.queues[name]
    book.gather_ns = book.matching = book.matching_ns = 0
    state.touch("queue", name)


def watch_hours(state: State, name: str) -> None:
    """Set the timer of a queue to its next opening or closing, and tell of a change since the last look."""
    book, hours = state.queues[name], state.queue_policy(name).hours
    book.changes_ns = 0 if hours is None else state.calendars[hours].next_change_ns(state.now_ns) or 0
    is_open = state.is_open(name)
    if is_open != book.was_open:
        book.was_open = is_open
        state.tell("queue.opened" if is_open else "queue.closed", book, by_hand=book.is_open_by_hand is not None)
    state.touch("queue", name)


def set_queue(state: State, command: SetQueue) -> str | Same:
    """Open or close by hand, or leave it to the hours again."""
    state.queue_policy(command.queue)
    book = state.queues[command.queue]
    if book.is_open_by_hand is command.is_open:
        return Same(command.queue)
    book.is_open_by_hand = command.is_open
    watch_hours(state, command.queue)
    open_scheduled(state, command.queue)
    return command.queue


def open_scheduled(state: State, name: str) -> None:
    """Queue those who waited for it to open, the most urgent first, some at a time; callbacks wait for their time."""
    book, policy, now_ns = state.queues[name], state.policy, state.now_ns
    book.opens_ns = 0
    state.touch("queue", name)
    scheduled = [state.tasks[task_id] for task_id in state.scheduled.get(name, ())]
    ready = [task for task in scheduled if task.callback_ns <= now_ns]
    if not state.is_open(name):
        for task in ready:
            line.expect_opening(state, task)
        return
    for task in nsmallest(_AT_ONCE, ready, key=lambda task: (-urgency(policy, task, now_ns), task.number)):
        line.open_now(state, task)
    if len(ready) > _AT_ONCE:
        book.opens_ns = now_ns


def propose(state: State, command: Propose) -> str | Same:
    """What a solver found: offered where it still can be. Who is left over is gathered anew, with who came meanwhile.

    Where no pair holds, everybody is matched at once: there is no solver, or nothing that it may pair.
    """
    queue = next((each for each in state.queues.values() if each.matching == command.number), None)
    if queue is None:  # its time was over
        return Same("engine")
    has_offered, pairs = False, {pair.task_id: pair for pair in command.pairs if _holds(state, pair, queue.name)}
    for pair in list(pairs.values()):
        task, resource = state.tasks[pair.task_id], state.resources[pair.resource_id]
        if not _holds(state, pair, queue.name) or _overtakes(state, task, resource, pairs):
            del pairs[pair.task_id]
            continue
        offer(state, task, resource, "score", "score", pair.score)
        has_offered = True
    if command.has_more and has_offered:
        return queue.name
    queue.matching = queue.matching_ns = 0
    state.touch("queue", queue.name)
    if not has_offered or not is_gathering(state, queue.name):
        seek_all(state, queue.name)
    return queue.name


def _holds(state: State, pair: Pair, queue: str) -> bool:
    """Whether a pair that was found outside can still be offered."""
    task, resource = state.tasks.get(pair.task_id), state.resources.get(pair.resource_id)
    if task is None or resource is None or task.queue != queue:
        return False
    group = state.index.group_of(task.id)
    is_free = group is not None and state.index.is_free(group, resource)
    return is_free and not is_excluded(task, resource.id, state.now_ns)


def _overtakes(state: State, task: Task, resource: Resource, pairs: Container[str]) -> bool:
    """Whether one of its class who could have the resource, and is in no pair, is older by more than scores may do.

    The solver saw to that; but of its pairs some hold no more.
    """
    guard_ns = int(state.queue_policy(task.queue).max_overtake_s * 1e9)
    own = order_of(state.policy, task)
    for group in state.index.groups_of(resource):
        line = group.lines.get(task.service_class) if group.signature.queue == task.queue else None
        for key in islice(line.by_order, _LOOKED_AT) if line is not None else ():
            other = state.tasks[key[2]]
            if key[0] >= own:
                break
            is_alone = other.id not in pairs and not is_excluded(other, resource.id, state.now_ns)
            if is_alone and task.queued_ns - other.queued_ns > guard_ns:
                return True
    return False
