"""Commands about the engine itself: its policy, a new process, queues by hand, proposals; and its loading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.assign import line, steps
from router.assign.errors import BadCommand, Conflict, Same
from router.assign.gather import is_gathering
from router.assign.index import Index
from router.assign.match import is_excluded, seek_all, seek_tasks
from router.assign.match import propose as offer
from router.assign.offering import live
from router.assign.transition import TERMINAL, WAITING, TaskState

if TYPE_CHECKING:
    from router.assign.command import Configure, Propose, Resume, SetQueue
    from router.assign.state import State


def configure(state: State, command: Configure) -> str:
    """Another policy from now on; everybody who waits is placed anew. Raises: Conflict: a queue would be missing."""
    policy = command.policy
    in_use = {task.queue for task in state.tasks.values() if task.state not in TERMINAL}
    in_use |= {queue for resource in state.resources.values() for queue in resource.queues}
    missing = sorted(in_use - set(policy.queues))
    if missing:
        raise Conflict(f"queues.{missing[0]}: tasks or resources are in it, so it can't be left out yet")
    try:
        state.adopt(policy)
    except ValueError as error:
        raise BadCommand(str(error)) from None
    rebuild(state)
    for name, book in state.queues.items():
        stop_gathering(state, name)
        book.changes_ns = 0  # set below for those that the policy has
    for name in sorted(policy.queues):
        watch_hours(state, name)
    state.tell_all("policy.activated", version=policy.version)
    for task in sorted((t for t in state.tasks.values() if t.state is TaskState.QUEUED), key=lambda t: t.number):
        steps.place(state, task)
    for resource_id in sorted(state.resources):
        seek_tasks(state, state.resources[resource_id])
    for name in sorted(policy.queues):
        open_scheduled(state, name)
    return "policy"


def rebuild(state: State) -> None:
    """Derive the index anew; queued tasks are in line, but not placed yet."""
    index = state.index = Index(state)
    for queue in state.queues.values():
        queue.waiting = 0
    for resource in state.resources.values():
        index.insert(resource)
    for task in state.tasks.values():
        if task.state in WAITING:
            index.line_up(task)


def load(state: State, found: dict[str, dict[str, Any]]) -> None:
    """Fill a new state from the rows of a checkpoint."""
    clock = found["clock"]["clock"]
    for name in ("epoch", "position", "now_ns", "tasks_total", "ended_total", "matchings_total", "system_seq"):
        setattr(state, name, getattr(clock, name))
    state.queues.update(found["queue"])
    for key, kept in sorted(found["key"].items(), key=lambda item: item[1].position):
        state.keys[key] = kept
    for task in sorted(found["task"].values(), key=lambda each: each.number):
        state.insert_task(task)
    state.ended.extend(
        task.id for task in sorted(found["task"].values(), key=lambda t: t.ended_number) if task.state in TERMINAL
    )
    for queue in state.queues.values():
        queue.waiting = 0
        state.touch("queue", queue.name)
    for resource in found["resource"].values():
        state.insert_resource(resource)
    for task in found["task"].values():
        if task.state in WAITING:
            state.index.line_up(task)
        if task.state is TaskState.QUEUED:
            state.index.place(task, line.signature(state, task))


def resume(state: State, command: Resume) -> str:
    """A process begins. While there was none, nobody could answer an offer or send a heartbeat: no one's fault."""
    if command.epoch <= state.epoch:
        raise Conflict(f"epoch {command.epoch}: a process with epoch {state.epoch} has been here")
    state.epoch = command.epoch
    state.tell_all("engine.resumed", epoch=command.epoch)
    for task in list(state.tasks.values()):
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
    """Tasks that waited for a queue to open; callbacks of a later time go on waiting."""
    if not state.is_open(name):
        return
    scheduled = [state.tasks[task_id] for task_id in state.scheduled.get(name, ())]
    for task in sorted(scheduled, key=lambda each: each.number):
        if not task.is_callback or task.open_ns <= state.now_ns:
            line.open_now(state, task)


def propose(state: State, command: Propose) -> str | Same:
    """What a solver found: offered where it still can be. Who is left over is gathered anew, with who came meanwhile.

    Where no pair holds, everybody is matched at once: there is no solver, or nothing that it may pair.
    """
    queue = next((each for each in state.queues.values() if each.matching == command.number), None)
    if queue is None:  # its time was over
        return Same("engine")
    queue.matching = queue.matching_ns = 0
    state.touch("queue", queue.name)
    has_offered = False
    for pair in command.pairs:
        task, resource = state.tasks.get(pair.task_id), state.resources.get(pair.resource_id)
        if task is None or resource is None or task.state is not TaskState.QUEUED:
            continue
        group = state.index.group_of(task.id)
        if group is None or task.queue != queue.name or is_excluded(task, resource.id, state.now_ns):
            continue
        if state.index.is_free(group, resource):
            offer(state, task, resource, "score", "score")
            has_offered = True
    if not has_offered or not is_gathering(state, queue.name):
        seek_all(state, queue.name)
    return queue.name
