"""What the rules read of a decision record, and what it says of times and classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.domain.decision import RunFacts

if TYPE_CHECKING:
    from router.log import DecisionRecord

_NS_PER_MS = 1_000_000
RANKS = {word: rank for rank, word in enumerate(("critical-plus", "critical", "sheddable-plus", "sheddable"))}
_FLOORS = frozenset(("guard", "cache", "rules", "default"))


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Some of a DecisionRecord's fields, under their names: no text, and small enough to keep."""

    decision_id: str
    interaction_id: str
    at_ns: int
    criticality: str = "critical"
    rung: str
    degraded: str = "none"
    skipped: tuple[tuple[str, str], ...] = ()
    total_ms: float
    elapsed_ms: float
    late: bool = False
    verdict: str = "admit"
    dark: bool = False
    run: RunFacts | None = None
    began_ns: int = 0

    @classmethod
    def of(cls, record: DecisionRecord) -> Entry:
        return cls(**{name: getattr(record, name) for name in cls.__struct_fields__})

    @property
    def rank(self) -> int:
        """0 is the most critical; a word from a newer server counts as the least."""
        return RANKS.get(self.criticality, len(RANKS) - 1)

    @property
    def is_from_model(self) -> bool:
        return self.rung not in _FLOORS

    @property
    def is_enforced(self) -> bool:
        """The overload control took something from it."""
        return self.verdict != "admit" and not self.dark

    def clock_ns(self, ms: float) -> int:
        """A time of its budget on the server's monotonic clock."""
        return self.began_ns + round(ms * _NS_PER_MS)

    def wall_ns(self, ms: float) -> int:
        """The same on the wall clock.

        Too late by what passed between the last booking and the record: microseconds, but milliseconds where the event
        loop's thread was suspended in between.
        """
        return self.at_ns + round((ms - self.elapsed_ms) * _NS_PER_MS)
