"""One decision as the log keeps it."""

from __future__ import annotations

import msgspec

from router.domain.decision import RunFacts


class Match(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The guard or rule that decided, and why it matched."""

    name: str
    why: str


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """All that `GET /v1/decisions/{id}` and `takt explain` tell about a decision.

    A durable format, MessagePack by field name: new fields need a default, names are never reused, and
    vocabulary (rung, reason, …) is plain `str`, so that an older record or a newer word stays readable.
    """

    decision_id: str
    interaction_id: str
    at_ns: int
    """Wall clock, UTC nanoseconds since 1970."""
    point: str
    plan_version: str
    text: str | None = None
    """None when texts are not kept (`log.text = "drop"`) or the point has none."""
    columns: tuple[tuple[str, str | float], ...] = ()
    """(name, value) of the declared columns that were known; kept with the text, to learn from both."""
    channel: str | None = None
    customer_id: str | None = None
    session_id: str | None = None
    criticality: str = "critical"
    route: str
    target_kind: str
    target_name: str
    rung: str
    degraded: str = "none"
    reason: str
    confidence: float | None = None
    alternatives: tuple[tuple[str, float], ...] = ()
    """(route, confidence), best first."""
    match: Match | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    """(rung, why) for each rung that was not used."""
    total_ms: float
    """The budget."""
    elapsed_ms: float
    late: bool = False
    stages_ms: dict[str, float] = {}
    trace_id: str | None = None
    level: int = 0
    """0 (most critical) to 511: 128 times the rank of the class, and the cohort (budgets/criticality.py)."""
    verdict: str = "admit"
    """Of the overload control: admit, inline (no rung on the executor), floor (no model)."""
    dark: bool = False
    """The verdict was not enforced."""
    run: RunFacts | None = None
    began_ns: int = 0
    """Where its budget began on the server's monotonic clock: puts all runs of a server in their order."""
    task_id: str | None = None
    """The task that it created, or whose conversation it belongs to."""
