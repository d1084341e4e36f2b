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
    predicted_ms: float = 0.0
    """What the model's run was expected to take at most, and how long it was expected to wait; 0: no such run."""
    wait_ms: float = 0.0
    batch: int = 0
    """Texts in the model's run; 0: it ran for this one alone, inline, or not at all."""


class AdmissionReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the overload control allowed, and to whom."""

    criticality: str
    level: int
    verdict: Annotated[str, _words("admit", "inline", "floor", "reject")]
    dark: bool = False
    """The verdict was not enforced."""


class OfferAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Who is being asked to take a task."""

    id: str
    resource_id: str
    expires_in_s: float


class TaskAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The task of a decision; what is not known yet, or makes no sense in its state, is left out."""

    id: str
    state: Annotated[
        str,
        _words(
            "pending", "refused", "scheduled", "queued", "offered", "assigned", "paused", "wrapping", "completed",
            "canceled",
        ),
    ]  # fmt: skip
    """pending: the log did not have it in time, and `GET /v1/tasks/{id}` tells; refused: see `reason`."""
    queue: str | None = None
    position: int | None = None
    """Its place in the queue, from 1."""
    ewt_s: float | None = None
    """Expected wait."""
    offer: OfferAnswer | None = None
    open_at: str | None = None
    """When a scheduled one is queued, RFC 3339."""
    reason: str | None = None
    """Why it was refused, canceled or scheduled: a word for programs, and `detail` for people."""
    detail: str | None = None


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
    task: TaskAnswer | None = None
    admission: AdmissionReport
    budget: BudgetReport


class RunFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The last run on the executor that a decision waited for. Times in ms from the start of its budget.

    A part of the durable record: new fields need a default, names are never reused.
    """

    rung: str
    texts: int
    """In its batch; 0: it never started."""
    predicted_ms: float
    """99 in 100 such batches were expected to be done by then; of one that never started, its share of the class."""
    wait_ms: float
    """Expected when it was queued."""
    queued_ms: float
    start_ms: float | None
    latest_start_ms: float
    commit_ms: float
    """The answer was of use until then."""
    end_ms: float | None
    """None: it was not waited for to the end."""


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
    level: int = 0
    verdict: str = "admit"  # of the overload control
    is_dark: bool = False  # the verdict was recorded and not enforced
    run: RunFacts | None = None
    task: TaskAnswer | None = None
    waited_ns: int = 0  # for disks, which costs nothing of the server's own
