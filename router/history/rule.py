"""What a rule is: it looks at one exchange after the other, and in the end says what it found."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar

import msgspec

if TYPE_CHECKING:
    from loadtest.history import Line
    from router.history.exchange import Exchange

_TOLD = 20


class Violation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request that breaks a rule; without an id, all of them together do.

    Attributes: at_ns: when it was due, UTC. others: decisions that it was compared with.
    """

    id: str = ""
    decision_id: str = ""
    at_ns: int = 0
    what: str
    others: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule found. `violations`: the first of `violated`. `notes`: what it could not see, and what else it saw.

    `checked` is 0 where the history has no case, or not the evidence; a note tells which.
    """

    rule: str
    claim: str
    evidence: str
    checked: int
    violated: int
    violations: tuple[Violation, ...]
    notes: tuple[str, ...]


class Rule:
    """Base of all rules. `name`: the invariant's; `evidence`: of what fields it is judged."""

    name: ClassVar[str]
    claim: ClassVar[str]
    evidence: ClassVar[str]

    def __init__(self) -> None:
        self.checked = self.violated = 0
        self.notes: list[str] = []
        self._told: list[Violation] = []

    def see(self, exchange: Exchange) -> None:
        """One request; each exactly once, but again for each further record of it."""
        raise NotImplementedError

    def end(self) -> None:
        """All were seen: judge what takes more than one."""

    def finding(self) -> Finding:
        """Call `end` before."""
        return Finding(
            rule=self.name,
            claim=self.claim,
            evidence=self.evidence,
            checked=self.checked,
            violated=self.violated,
            violations=tuple(sorted(self._told, key=attrgetter("at_ns"))),
            notes=tuple(self.notes),
        )

    def _violate(self, line: Line | None, what: str, decision_id: str = "", others: tuple[str, ...] = ()) -> None:
        self.violated += 1
        if len(self._told) < _TOLD:
            client_id, at_ns = ("", 0) if line is None else (line.id, line.at_ns)
            self._told.append(Violation(id=client_id, decision_id=decision_id, at_ns=at_ns, what=what, others=others))
