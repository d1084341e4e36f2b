"""Groups: everybody who waits for the same, and who could take it. Derived from the entities, never stored."""

from __future__ import annotations

from heapq import merge
from typing import TYPE_CHECKING

from router.assign.capacity import slots
from router.assign.group import Group
from router.assign.ordered import Ordered
from router.assign.rank import free_key
from router.assign.requirement import FILTERS
from router.assign.transition import Presence
from router.assign.urgency import order_of, slope_milli

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.assign.entity import Resource, Task
    from router.assign.group import Ask, Key
    from router.assign.rank import FreeKey
    from router.assign.requirement import Signature
    from router.assign.state import State

_FEW = 4
"""Resources that are looked at one by one rather than placed anew."""


class Index:
    """All groups, who is in them, and the lines by which places are counted."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.groups: dict[Signature, Group] = {}
        self.by_queue: dict[str, dict[Signature, Group]] = {}
        self._standing: set[Signature] = set()  # whose groups stay though nobody waits there
        self._occupied = 0  # groups in which somebody waits
        # By queue: who is in it, and the groups that ask for somebody in it. With hundreds of requirements and 10,000
        # resources, to compare each with each would take seconds.
        self._staff: dict[str, dict[str, Resource]] = {}
        self._asking: dict[str, dict[Group, None]] = {}
        self.traits: dict[str, frozenset[str]] = {}  # the conditions that hold for a resource
        # Of each resource: the groups it is eligible for, and its key where it is free for such a task.
        self._members: dict[str, dict[Group, FreeKey | None]] = {}
        self._asks: dict[str, dict[Ask, dict[Group, None]]] = {}  # and the same groups by what they ask
        self._stale: dict[str, Resource] = {}  # those that have changed since they were placed
        # A task that may be offered now: where, and its class and keys there. Two dicts: a tuple with a group in it
        # would be one more object for the garbage collector to look at, for each task.
        self._groups: dict[str, Group] = {}
        self._placed: dict[str, tuple[str, Key, Key]] = {}
        self._lined: dict[str, tuple[str, str, Key]] = {}  # a task that waits: queue, class, key
        self._lines: dict[str, dict[str, Ordered[Key]]] = {}

    # Tasks.

    def line_up(self, task: Task) -> None:
        """Count a task as waiting in its queue."""
        key = (order_of(self._state.policy, task), task.number, task.id)
        self._lined[task.id] = task.queue, task.service_class, key
        self._lines.setdefault(task.queue, {}).setdefault(task.service_class, Ordered()).add(key)
        self._count(task.queue, 1)

    def step_out(self, task: Task) -> None:
        """It waits no more."""
        queue, service_class, key = self._lined.pop(task.id)
        self._lines[queue][service_class].remove(key)
        self._count(queue, -1)

    def is_lined(self, task_id: str) -> bool:
        return task_id in self._lined

    def _count(self, queue: str, change: int) -> None:
        self._state.queues[queue].waiting += change
        self._state.touch("queue", queue)

    def position_of(self, task: Task, now_ns: int) -> int:
        """1-based. Of other classes those count that are more urgent now, but for what the target adds."""
        return self.ahead_of(task, task.queue, now_ns) + 1

    def ahead_of(self, task: Task, queue: str, now_ns: int) -> int:
        """How many that wait in a queue are more urgent than a task, which may wait in another one."""
        lines = self._lines.get(queue, {})
        return sum(self._ahead(task, name, line, now_ns) for name, line in lines.items())

    def ahead_in(self, task: Task, group: Group, now_ns: int) -> int:
        """The same of those who wait in a group."""
        return sum(self._ahead(task, name, line.by_order, now_ns) for name, line in group.lines.items())

    def _ahead(self, task: Task, service_class: str, line: Ordered[Key], now_ns: int) -> int:
        policy, order = self._state.policy, order_of(self._state.policy, task)
        if service_class == task.service_class:
            return line.rank((order, task.number, task.id))
        own = slope_milli(policy, task.service_class) * now_ns - order
        return line.rank((slope_milli(policy, service_class) * now_ns - own,))

    def waiting_in(self, queue: str) -> Iterator[str]:
        """The ids of those who wait in a queue, the most urgent first, but for what the target adds."""
        return self._by_urgency(self._lines.get(queue, {}).items())

    def candidates(self, queue: str) -> Iterator[str]:
        """The same of those for whom somebody is free. To be read before anything changes."""
        self.settle()
        groups = [group for group in self.by_queue.get(queue, {}).values() if group.free]
        return self._by_urgency([(name, line.by_order) for group in groups for name, line in group.lines.items()])

    def _by_urgency(self, lines: Iterable[tuple[str, Ordered[Key]]]) -> Iterator[str]:
        policy, now_ns = self._state.policy, self._state.now_ns

        def ranked(service_class: str, line: Ordered[Key]) -> Iterator[Key]:
            aged = slope_milli(policy, service_class) * now_ns
            return ((key[0] - aged, key[1], key[2]) for key in line)

        return (key[2] for key in merge(*(ranked(name, line) for name, line in lines)))

    def place(self, task: Task, signature: Signature) -> Group:
        """From now on it, which is in line, may be offered to whoever meets the signature."""
        group = self.group(signature)
        order = self._lined[task.id][2]
        target = (task.target_ns, task.number, task.id)
        group.add(task.service_class, order, target)
        self._occupied += group.size == 1
        self._groups[task.id] = group
        self._placed[task.id] = task.service_class, order, target
        return group

    def displace(self, task: Task) -> None:
        """No more. Nothing happens to one that was not placed."""
        group = self._groups.pop(task.id, None)
        if group is not None:
            group.remove(*self._placed.pop(task.id))
            self._occupied -= group.size == 0

    def group_of(self, task_id: str) -> Group | None:
        """Where a task that may be offered now is placed."""
        return self._groups.get(task_id)

    # Groups.

    @property
    def is_full(self) -> bool:
        """Whether as many different requirements wait as may; those who wait already can still change theirs."""
        return self._occupied >= self._state.policy.max_requirements

    def group(self, signature: Signature) -> Group:
        """The group of a requirement, made when it is first asked for."""
        found = self.groups.get(signature)
        if found is None:
            if len(self.groups) - len(self._standing) >= self._state.policy.max_requirements:
                self._drop_empty()
            found = self.groups[signature] = Group(signature)
            self.by_queue.setdefault(signature.queue, {})[signature] = found
            staff: dict[str, Resource] = {}
            for queue in signature.asked_queues:
                self._asking.setdefault(queue, {})[found] = None
                staff |= self._staff.get(queue, {})
            for resource in staff.values():
                self._enrol(found, resource)
        return found

    def stand(self, signature: Signature) -> Group:
        """The same; it stays from now on, for with many resources to make it anew keeps the event loop from others."""
        self._standing.add(signature)
        return self.group(signature)

    def present(self, signature: Signature) -> int:
        """How many that meet it are signed in."""
        return self.group(signature).present

    def _drop_empty(self) -> None:
        """Forget the groups in which nobody waits: they cost every change of a resource."""
        empty = [each for each, group in self.groups.items() if not group.size and each not in self._standing]
        for signature in empty:
            group = self.groups.pop(signature)
            del self.by_queue[signature.queue][signature]
            for queue in signature.asked_queues:
                del self._asking[queue][group]
            for resource_id in group.members:
                del self._members[resource_id][group]
                asks = self._asks[resource_id]
                del asks[group.ask][group]
                if not asks[group.ask]:
                    del asks[group.ask]

    def _enrol(self, group: Group, resource: Resource) -> None:
        asked = group.signature
        for _, meets in FILTERS:
            if not meets(resource, asked):
                return
        if not self._state.holds(asked.condition, resource):
            return
        group.members.add(resource.id)
        members = self._members[resource.id]
        members[group] = None
        self._asks[resource.id].setdefault(group.ask, {})[group] = None
        self._attend(group, resource, 1)
        self._set_free(group, members, self._free_key(resource, *group.ask))

    def _attend(self, group: Group, resource: Resource, sign: int) -> None:
        if resource.presence is not Presence.OFFLINE:
            group.present += sign
        if resource.presence is Presence.AVAILABLE:
            asked = group.signature
            exclusive = self._state.channel(asked.channel).exclusive
            some = sign * slots(resource, asked.channel, asked.weight, is_exclusive=exclusive)
            group.slots += some
            for queue in resource.queues:
                group.shared[queue] = group.shared.get(queue, 0) + some

    # Resources.

    def insert(self, resource: Resource) -> None:
        """Add a resource to all groups whose requirement it meets."""
        facts = {"resource": _facts(resource)}
        conditions = self._state.step_conditions.items()
        self.traits[resource.id] = frozenset(text for text, holds in conditions if holds(facts))
        self._members[resource.id], self._asks[resource.id] = {}, {}
        asking: dict[Group, None] = {}
        for queue in resource.queues:
            self._staff.setdefault(queue, {})[resource.id] = resource
            asking |= self._asking.get(queue, {})
        for group in asking:
            self._enrol(group, resource)

    def remove(self, resource: Resource) -> None:
        """Take a resource out, with the queues, presence and capacity that it was added with."""
        for queue in resource.queues:
            self._staff[queue].pop(resource.id, None)  # a queue can be named twice
        self._stale.pop(resource.id, None)
        del self._asks[resource.id]
        for group, key in self._members.pop(resource.id).items():
            group.members.discard(resource.id)
            self._attend(group, resource, -1)
            if key is not None:
                group.free.remove(key)

    def groups_of(self, resource: Resource) -> list[Group]:
        """The groups for which it is free now."""
        asks = self._asks[resource.id].items()
        return [group for ask, groups in asks if self._free_key(resource, *ask) is not None for group in groups]

    def deserted(self, resource: Resource) -> Iterator[Group]:
        """The groups that it could help in which somebody waits, and nobody who could is signed in."""
        return (group for group in self._members[resource.id] if group.size and not group.present)

    def forsaken(self) -> list[Group]:
        """All groups in which somebody waits, and nobody who could is signed in."""
        return [group for group in self.groups.values() if group.size and not group.present]

    def sign(self, resource: Resource, presence: Presence) -> None:
        """Change the presence: counts who is signed in."""
        groups = self._members[resource.id]
        for group in groups:
            self._attend(group, resource, -1)
        resource.presence = presence
        for group in groups:
            self._attend(group, resource, 1)
        self.refresh(resource)

    def refresh(self, resource: Resource) -> None:
        """Its capacity or presence has changed: it is placed anew when somebody looks, or when the step ends.

        Whoever ends one task and is given the next is as busy as before, in all his groups.
        """
        self._stale[resource.id] = resource

    def settle(self) -> None:
        """Make `Group.free` true; to be called in a step before it is read."""
        for resource in self._stale.values():
            members = self._members[resource.id]
            for ask, groups in self._asks[resource.id].items():
                key = self._free_key(resource, *ask)
                for group in groups:
                    if members[group] != key:
                        self._set_free(group, members, key)
        self._stale.clear()

    def is_free(self, group: Group, resource: Resource) -> bool:
        """Whether it could take such a task now."""
        if resource.id in self._stale:
            return group in self._members[resource.id] and self._free_key(resource, *group.ask) is not None
        return self._members[resource.id].get(group) is not None

    def count_free(self, group: Group) -> int:
        """How many could take such a task now."""
        if len(self._stale) > _FEW:
            self.settle()
        count = len(group.free)
        for resource in self._stale.values():
            members = self._members[resource.id]
            if group in members:
                count += self.is_free(group, resource) - (members[group] is not None)
        return count

    def _free_key(self, resource: Resource, queue: str, channel: str, weight: int) -> FreeKey | None:
        """None: it is not free for such a task."""
        state = self._state
        if not state.is_ready(resource) or not state.has_room(resource, channel, weight):
            return None
        return free_key(state.queue_policy(queue), channel, resource)

    def _set_free(self, group: Group, members: dict[Group, FreeKey | None], key: FreeKey | None) -> None:
        before = members[group]
        if before is not None:
            group.free.remove(before)
        if key is not None:
            group.free.add(key)
        members[group] = key


def _facts(resource: Resource) -> dict[str, object]:
    return {
        "id": resource.id, "kind": resource.kind, "name": resource.name, "queues": list(resource.queues),
        "skills": dict(resource.skills), "attributes": resource.attributes, "capacity": resource.capacity,
        "cost": resource.cost, "success": resource.success,
    }  # fmt: skip
