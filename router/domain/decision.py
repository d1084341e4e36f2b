"""What a client gets: one decision, how it came about and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

if TYPE_CHECKING:
    from fallbacks.ladder import Skip


class Reason(Enum):
    """What settled the decision. The value is the word on the wire."""

    GUARD = "guard"
    MODEL = "model"
    CACHE = "cache"
    RULE = "rule"
    DEFAULT = "default"
    UNSURE = "unsure"
    POLICY = "policy"
    EXPERIMENT = "experiment"


def _words(*words: str) -> msgspec.Meta:
    """For the description of the API: what a string may be."""
    return msgspec.Meta(extra_json_schema={"enum": list(words)})


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who or what takes the interaction."""

    kind: Literal["bot", "queue", "recommender", "workflow", "offer"]
    name: str


class Alternative(msgspec.Struct, frozen=True):
    route: str
    confidence: float


class BudgetReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the time went until the answer was encoded; the stages sum to `elapsed_ms`."""

    total_ms: float
    elapsed_ms: float
    stages_ms: dict[str, float]
    late: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a 200."""

    decision_id: str
    interaction_id: str
    route: str
    target: Target
    rung: Annotated[str, _words("guard", "large", "small", "cache", "rules", "default")]
    degraded: Annotated[str, _words("none", "budget", "overload", "breaker", "error", "cold")]
    confidence: float
    alternatives: tuple[Alternative, ...]
    reason: Annotated[str, _words(*(reason.value for reason in Reason))]
    task: None = None
    budget: BudgetReport


@dataclass(slots=True)
class Decision:
    """A decision inside the server: the answer held so far, and after the walk down the ladder the one given."""

    route: str
    rung: str
    reason: Reason
    confidence: float
    alternatives: tuple[tuple[str, float], ...] = ()
    match: tuple[str, str] | None = None  # the guard or rule that matched, and what it matched on
    skips: list[Skip] = field(default_factory=list)
    degraded: str = "none"
    decision_id: str = ""
