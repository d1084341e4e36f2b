"""One requirement: its waiting tasks, sorted, and who could take them, the first to be asked first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign.ordered import Ordered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.assign.rank import FreeKey
    from router.assign.requirement import Signature

Key = tuple[int, int, str]
"""Of a task in a line: (order, number, id), the most urgent first."""
Ask = tuple[str, str, int]
"""Queue, channel and weight of a task: all that decides who of the eligible is free for it, and in which order."""


class Line:
    """Tasks of one class in a group: by urgency, and by the time they should be accepted by."""

    __slots__ = ("by_order", "by_target")

    def __init__(self) -> None:
        self.by_order: Ordered[Key] = Ordered()
        self.by_target: Ordered[Key] = Ordered()


class Group:
    """One requirement: its waiting tasks and its free resources."""

    __slots__ = ("ask", "free", "lines", "members", "present", "shared", "signature", "size", "slots")

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.ask: Ask = (signature.queue, signature.channel, signature.weight)
        self.members: set[str] = set()
        self.present = 0  # members that are signed in
        self.slots = 0  # how many such tasks those could hold at once who are available
        self.shared: dict[str, int] = {}  # the same, of those who are in a queue
        self.lines: dict[str, Line] = {}  # by class
        self.size = 0
        self.free: Ordered[FreeKey] = Ordered()

    def add(self, service_class: str, order: Key, target: Key) -> None:
        line = self.lines.get(service_class)
        if line is None:
            line = self.lines[service_class] = Line()
        line.by_order.add(order)
        line.by_target.add(target)
        self.size += 1

    def remove(self, service_class: str, order: Key, target: Key) -> None:
        line = self.lines[service_class]
        line.by_order.remove(order)
        line.by_target.remove(target)
        self.size -= 1
        if not line.by_order:
            del self.lines[service_class]

    def waiting(self) -> Iterator[str]:
        """The ids of all tasks, class by class."""
        for line in self.lines.values():
            for key in line.by_order:
                yield key[2]
