"""Metric families with a hard bound on children, so that no label can grow memory or a scrape without end.

A child is looked up once and kept by its user; from then on counting is one attribute add. A value that a
label does not declare, and every new combination once a family has `max_children`, goes to a child labelled
`other`, and is counted in the family's `folded_total`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from budgets.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

OTHER = "other"
# Real label sets here stay below 100; a mistake (an id as a label) must not make a scrape of megabytes.
MAX_CHILDREN = 500

Child = TypeVar("Child")


class Label:
    """A label's name and, when they are known beforehand, the values it may take."""

    __slots__ = ("name", "values")

    def __init__(self, name: str, values: tuple[str, ...] = ()) -> None:
        self.name = name
        self.values = frozenset(values)

    def fold(self, value: str) -> str:
        """Return the value, or `other` when this label declares its values and this is none of them."""
        return value if not self.values or value in self.values else OTHER


class Family(Generic[Child]):
    """The children of one metric by their label values. Safety: one event loop."""

    def __init__(
        self,
        name: str,
        text: str,
        *labels: Label,
        make: Callable[[], Child],
        max_children: int = MAX_CHILDREN,
    ) -> None:
        self.name = name
        self.text = text
        self.labels = labels
        self.max_children = max_children
        self.children: dict[tuple[str, ...], Child] = {}
        self.folded_total = 0
        self._make = make

    def child(self, *values: str) -> Child:
        """Return the child for these label values, made when first asked for.

        Raises: ValueError: another number of values than the family has labels.
        """
        found = self.children.get(values)
        return self._new(values) if found is None else found

    def _new(self, values: tuple[str, ...]) -> Child:
        if len(values) != len(self.labels):
            names = ", ".join(label.name for label in self.labels)
            raise ValueError(f"{self.name} has the labels ({names}), not {values!r}")
        folded = tuple(label.fold(value) for label, value in zip(self.labels, values, strict=True))
        if folded not in self.children and len(self.children) >= self.max_children:
            folded = (OTHER,) * len(self.labels)
        if folded != values:
            self.folded_total += 1
        return self.children.setdefault(folded, self._make())


class Counter:
    """A count that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self, by: int = 1) -> None:
        self.value += by


class Reading:
    """A number that something else keeps, read when scraped; without a source it has no value."""

    __slots__ = ("read",)

    def __init__(self) -> None:
        self.read: Callable[[], float] | None = None

    def watch(self, read: Callable[[], float]) -> None:
        """Name the source; a later call replaces it. `read` runs on the event loop and must be quick."""
        self.read = read


class CounterFamily(Family[Counter]):
    """Counts kept here. The name ends in `_total`."""

    def __init__(self, name: str, text: str, *labels: Label, max_children: int = MAX_CHILDREN) -> None:
        super().__init__(name, text, *labels, make=Counter, max_children=max_children)


class ReadingFamily(Family[Reading]):
    """Gauges, or counts that something else keeps."""

    def __init__(
        self,
        kind: Literal["gauge", "counter"],
        name: str,
        text: str,
        *labels: Label,
        max_children: int = MAX_CHILDREN,
    ) -> None:
        super().__init__(name, text, *labels, make=Reading, max_children=max_children)
        self.kind = kind


class HistogramFamily(Family[Histogram]):
    """Durations in ns; exported in seconds."""

    def __init__(self, name: str, text: str, *labels: Label, edges_ns: tuple[int, ...]) -> None:
        super().__init__(name, text, *labels, make=lambda: Histogram(edges_ns))
