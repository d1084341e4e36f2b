"""Why a task waits, and what single change would let it be offered; or why it went where it went.

One pass over the resources with the engine's own conditions. Whoever fails exactly one of them is a candidate as soon
as that one changes, so those are counted, by what it is that they fail.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from router.assign.capacity import fits
from router.assign.match import is_excluded
from router.assign.requirement import FILTERS, Signature, signature_of, steps_of
from router.assign.transition import WAITING, OfferState, Presence, TaskState
from router.assign.urgency import priority_of
from router.assign.wait import expected_wait_s
from router.insight.explanation import Ahead, Chosen, Explanation, Filter, Tried, Unblock, describe, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from router.assign.entity import Offer, Resource, Task
    from router.assign.state import State

    Meets = Callable[[Resource, Signature], bool]

_SHOWN = 5
_LOOKED_AT = 500
"""Resources of other queues that are looked at: more would cost more than they tell."""
_SOON_S = 60.0
"""A step that begins by then is worth waiting for, rather than changing anything."""


@dataclass(slots=True)
class _Pass:
    """What one look at all resources found."""

    filters: tuple[Filter, ...]
    free: list[Resource]
    lacking: dict[str, list[Resource]]
    """Who fails one filter only, by that filter."""


def explain(state: State, task: Task, now_ns: int) -> Explanation:
    """Cost: 20 ms at 10,000 resources at most. Changes nothing that is stored."""
    queue = state.queue_policy(task.queue)
    steps = steps_of(queue)
    told = Explanation(
        task_id=task.id, state=task.state.value, queue=task.queue, blocking="", step=task.step, steps=len(steps),
        offers=tuple(_tried(offer, now_ns) for offer in reversed(task.offers[-_SHOWN:])),
        offers_total=task.offers_total, chosen=_chosen(task),
    )  # fmt: skip
    if task.state in WAITING or task.state is TaskState.SCHEDULED:
        asked = signature_of(queue, task, steps[min(task.step, len(steps) - 1)])
        told = _of_waiting(state, task, asked, now_ns, told)
    return msgspec.structs.replace(told, sentences=describe(told))


def _of_waiting(state: State, task: Task, asked: Signature, now_ns: int, told: Explanation) -> Explanation:
    found = _look(state, task, asked)
    is_lined = task.state in WAITING
    # Whoever is being asked is free for nothing else, so the filters say nothing of who could take it.
    blocking = "" if task.state is TaskState.OFFERED else _blocking(state, task, found)
    unblock = _unblock(state, task, asked, now_ns, found) if blocking not in {"", "matching"} else ()
    return msgspec.structs.replace(
        told,
        blocking=blocking,
        filters=found.filters,
        unblock=tuple(unblock),
        position=state.position_of(task) if is_lined else None,
        ewt_s=expected_wait_s(state, task) if is_lined else None,
        waited_s=max(0, now_ns - task.entered_ns) / 1e9,
        ahead=tuple(_ahead(state, task)) if is_lined else (),
        next_step_s=max(0, task.step_ns - now_ns) / 1e9 if task.step_ns else None,
        target_s=task.target_s or None,
        slack_s=(task.target_ns - now_ns) / 1e9 if task.target_ns else None,
    )


# Filters.


def _look(state: State, task: Task, asked: Signature) -> _Pass:
    conditions = _conditions(state, task, asked)
    names = [name for name, _, _ in conditions]
    lost = [0] * len(names)
    free: list[Resource] = []
    lacking: dict[str, list[Resource]] = defaultdict(list)
    # Members of its group meet all that does not change with time: the index has asked the same functions.
    group = state.index.group_of(task.id)
    members = set() if group is None or group.signature != asked else group.members
    whole = [(number, meets) for number, (_, meets, is_vain) in enumerate(conditions) if not is_vain]
    moving = [(number, meets) for number, meets in whole if names[number] in _MOVING]
    for resource in state.resources.values():
        failed = -1
        for number, meets in moving if resource.id in members else whole:
            if not meets(resource, asked):
                if failed >= 0:
                    break
                failed = number
                lost[number] += 1
        else:
            (free if failed < 0 else lacking[names[failed]]).append(resource)
    kept = len(state.resources)
    filters: list[Filter] = []
    for name, some in zip(names, lost, strict=True):
        kept -= some
        filters.append(Filter(name=name, kept=kept))
    return _Pass(tuple(filters), free, lacking)


_MOVING = frozenset(("logged_in", "excluded", "presence", "capacity"))


def _conditions(state: State, task: Task, asked: Signature) -> list[tuple[str, Meets, bool]]:
    """All that a resource must meet, in the order in which they are told, and whether the task asks nothing there."""
    excluded = {name for name in task.excluded if is_excluded(task, name, state.now_ns)}
    # Whoever is asked now holds room for this very task.
    holding = {offer.resource_id for offer in task.offers if offer.state is OfferState.PENDING}
    offline, is_ready, loads = Presence.OFFLINE, state.is_ready, state.loads
    exclusive = state.channel(asked.channel).exclusive
    vain = {
        "kind": not asked.kinds,
        "skills": not asked.hard,
        "step_skills": not asked.soft,
        "preferred": not asked.only,
    }
    return [
        ("logged_in", lambda resource, _: resource.presence is not offline, False),
        *((name, meets, vain.get(name, False)) for name, meets in FILTERS),
        ("condition", lambda resource, asks: state.holds(asks.condition, resource), not asked.condition),
        ("excluded", lambda resource, _: resource.id not in excluded, not excluded),
        ("presence", lambda resource, _: resource.presence is offline or is_ready(resource), False),
        (
            "capacity",
            lambda each, asks: (
                each.id in holding or fits(each, loads[each.id], asks.channel, asks.weight, is_exclusive=exclusive)
            ),
            False,
        ),
    ]


def _blocking(state: State, task: Task, found: _Pass) -> str:
    if task.state is TaskState.SCHEDULED:
        return "later" if state.is_open(task.queue) else "closed"
    first = next((each.name for each in found.filters if not each.kept), "")
    queue = state.queues[task.queue]
    if not first and task.state is TaskState.QUEUED and (queue.gather_ns or queue.matching):
        return "matching"
    return first


# Changes.


def _unblock(state: State, task: Task, asked: Signature, now_ns: int, found: _Pass) -> list[Unblock]:
    """Cheapest first: what comes by itself, what a supervisor's word does, then what changes somebody's work."""
    soon, late = _next_step(state, task, now_ns)
    lacking = found.lacking
    if task.state is TaskState.SCHEDULED:  # who lacks something else as well would need two changes
        lacking = defaultdict(list)
    changes = [
        *_opening(state, task, now_ns, found),
        *soon,
        *_one(lacking, "excluded", "lift_exclusion", "Lift the cool-down after a decline or a missed offer"),
        *_one(lacking, "capacity", "capacity", "One agent at capacity finishes something, or may hold more"),
        *_presence(lacking["presence"], now_ns),
        *late,
        *_skills(lacking["skills"], asked.hard, "skill", "the task and its queue need"),
        *_skills(lacking["step_skills"], asked.soft, "step_skill", "the present step asks for"),
        *_one(lacking, "preferred", "ask_others", "Offer it to others than the preferred"),
        *_one(lacking, "condition", "condition", "Drop the condition of the present step"),
        *_transfers(state, task, lacking["queue"]),
        *_one(lacking, "channel", "channel", f"Let somebody take {asked.channel}", asked.channel),
        *_one(lacking, "kind", "kind", f"Allow other kinds than {', '.join(asked.kinds)}", ", ".join(asked.kinds)),
        *_one(lacking, "logged_in", "sign_in", "Somebody who meets all of it signs in"),
    ]  # fmt: skip
    changes = [change for change in changes if change.candidates]
    if not changes:
        changes.append(
            Unblock(
                kind="add_resource", about=task.queue, candidates=0,
                sentence="No single change is enough: nobody lacks one thing only. Add a resource that has them all.",
            )
        )  # fmt: skip
    return [msgspec.structs.replace(change, is_recommended=not at) for at, change in enumerate(changes)]


def _one(lacking: dict[str, list[Resource]], name: str, kind: str, text: str, about: str = "") -> Iterator[Unblock]:
    if name in lacking:
        yield _change(kind, lacking[name], text, about=about)


def _change(
    kind: str,
    who: Sequence[Resource],
    text: str,
    *,
    about: str = "",
    level: int | None = None,
    in_s: float | None = None,
) -> Unblock:
    count = f"{len(who)} candidate{'s' if len(who) != 1 else ''}"
    return Unblock(
        kind=kind, about=about, level=level, in_s=in_s, candidates=len(who), sentence=f"{text}: {count}.",
        resource_ids=tuple(resource.id for resource in who[:_SHOWN]),
    )  # fmt: skip


def _opening(state: State, task: Task, now_ns: int, found: _Pass) -> Iterator[Unblock]:
    if task.state is TaskState.SCHEDULED:
        in_s = max(0, task.open_ns - now_ns) / 1e9 if task.open_ns else None
        by_itself = "" if in_s is None else f" (by itself in {span(in_s)})"
        if state.is_open(task.queue):
            yield _change("begin", found.free, f"Queue it now{by_itself}", in_s=in_s)
        else:
            yield _change("open_queue", found.free, f"Open {task.queue}{by_itself}", about=task.queue, in_s=in_s)


def _next_step(state: State, task: Task, now_ns: int) -> tuple[list[Unblock], list[Unblock]]:
    """That the next step begins: soon, or later."""
    steps = steps_of(state.queue_policy(task.queue))
    if not task.step_ns or task.step + 1 >= len(steps):
        return [], []
    in_s = max(0, task.step_ns - now_ns) / 1e9
    group = state.index.group(signature_of(state.queue_policy(task.queue), task, steps[task.step + 1]))
    who = [state.resources[key[2]] for key in group.free if not is_excluded(task, key[2], state.now_ns)]
    change = _change("next_step", who, f"The next step begins in {span(in_s)}", about=str(task.step + 1), in_s=in_s)
    return ([change], []) if in_s <= _SOON_S else ([], [change])


def _presence(who: Sequence[Resource], now_ns: int) -> list[Unblock]:
    """One for each reason, the most candidates first."""
    reasons: dict[str, list[Resource]] = defaultdict(list)
    for resource in who:
        if resource.is_suspect:
            reasons["suspect"].append(resource)
        elif resource.presence is Presence.AVAILABLE:
            reasons["ramp"].append(resource)
        else:
            reasons[resource.presence.value].append(resource)
    changes = []
    for reason, some in reasons.items():
        in_s, text = None, f"One who is {reason} becomes available"
        if reason == "suspect":
            text = "One whose heartbeat is overdue comes back"
        elif reason == "ramp":
            in_s = max(0, min(each.ramp_ns for each in some) - now_ns) / 1e9
            text = f"One who has just begun, and has enough for now, is ready for the next in {span(in_s)}"
        changes.append(_change("presence", some, text, about=reason, in_s=in_s))
    return sorted(changes, key=lambda change: -change.candidates)


def _skills(who: Sequence[Resource], needs: Sequence[tuple[str, int]], what: str, whose: str) -> list[Unblock]:
    """To ask less of one skill, or not to ask for it: who lacks that one only."""
    levels: dict[str, dict[int, list[Resource]]] = defaultdict(lambda: defaultdict(list))
    for resource in who:
        lacks = ""
        for skill, least in needs:
            if resource.skills.get(skill, 0) < least:
                if lacks:
                    break
                lacks = skill
        else:
            levels[lacks][resource.skills.get(lacks, 0)].append(resource)
    changes = []
    for skill, some in levels.items():
        level = max(some)
        if level:
            text = f"Lower {skill}, which {whose} at {dict(needs)[skill]}, to {level}"
            changes.append(_change(f"lower_{what}", some[level], text, about=skill, level=level))
        if 0 in some:
            who = [resource for _, each in sorted(some.items()) for resource in each]
            changes.append(_change(f"drop_{what}", who, f"Drop {skill}, which {whose}", about=skill))
    return sorted(changes, key=lambda change: (change.kind.startswith("drop"), -change.candidates))


def _transfers(state: State, task: Task, who: Sequence[Resource]) -> list[Unblock]:
    """To another queue, some of whose resources would have it at once."""
    found: dict[str, list[Resource]] = defaultdict(list)
    asks: dict[str, Signature] = {}
    for resource in who[:_LOOKED_AT]:
        for name in resource.queues:
            if name not in asks:
                policy = state.queue_policy(name)
                moved = msgspec.structs.replace(task, queue=name)
                asks[name] = signature_of(policy, moved, steps_of(policy)[0])
            asked = asks[name]
            if all(meets(resource, asked) for _, meets in FILTERS) and state.holds(asked.condition, resource):
                found[name].append(resource)
    changes = [
        _change("transfer", some, f"Transfer it to {name}", about=name)
        for name, some in found.items()
        if name != task.queue and state.is_open(name)
    ]
    return sorted(changes, key=lambda change: -change.candidates)


# Who goes first, and what was tried.


def _ahead(state: State, task: Task) -> Iterator[Ahead]:
    """The most urgent of those who are."""
    for name in islice(state.index.waiting_in(task.queue), min(_SHOWN, state.position_of(task) - 1)):
        each = state.tasks[name]
        is_prior = priority_of(state.policy, each) > priority_of(state.policy, task)
        yield Ahead(
            task_id=name,
            by="priority" if is_prior else "class" if each.service_class != task.service_class else "age",
        )


def _tried(offer: Offer, now_ns: int) -> Tried:
    return Tried(
        offer_id=offer.id, resource_id=offer.resource_id, state=offer.state.value, reason=offer.reason,
        issued_s=max(0, now_ns - offer.issued_ns) / 1e9, order=offer.order, rank=offer.rank,
    )  # fmt: skip


def _chosen(task: Task) -> Chosen | None:
    """Of a task that somebody has or had last."""
    held = task.assignment
    if held is None:
        return None
    offer = next((each for each in task.offers if each.id == held.id), None)
    return Chosen(
        resource_id=held.resource_id,
        waited_s=max(0, held.started_ns - task.entered_ns) / 1e9,
        order="" if offer is None else offer.order,
        rank="" if offer is None else offer.rank,
        value=0.0 if offer is None else offer.value,
        candidates=0 if offer is None else offer.candidates,
    )
