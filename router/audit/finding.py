"""What an audit says. A stable format: fields are added, never renamed. Times in ms, shares 0 to 1."""

from __future__ import annotations

import msgspec


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many of something there were."""

    name: str
    total: int
    share: float


class GroupAudit(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that have something in common: a point, the rung that answered, a criticality; or all."""

    name: str
    total: int
    share: float
    in_budget_share: float
    degraded_share: float
    p50_ms: float
    p99_ms: float
    budget_p50_ms: float
    """The median of their budgets."""
    used_p50: float
    """The median of elapsed time as a share of the budget; above 1 is late."""
    used_p99: float


class StageAudit(msgspec.Struct, frozen=True, kw_only=True):
    """Where time went. Quantiles are of the requests that entered the stage."""

    name: str
    total: int
    share: float
    """Of the time of all requests."""
    share_in_late: float
    """Of the time of the late ones."""
    share_in_degraded: float
    """Of the time of the degraded ones."""
    p50_ms: float
    p99_ms: float
    late_without_total: int
    """Late requests that would have been in time had this stage cost nothing."""


class VerdictAudit(msgspec.Struct, frozen=True, kw_only=True):
    """What the overload control decided, other than to admit. `dark`: only recorded, not enforced."""

    verdict: str
    dark: bool
    total: int
    share: float


class PredictionAudit(msgspec.Struct, frozen=True, kw_only=True):
    """How well the time of a rung on the executor was foreseen."""

    rung: str
    queued: int
    """Requests that were given to the executor."""
    started: int
    """Of these, how many were run."""
    judged: int
    """Runs, each counted once, of which it is known whether they ended as predicted."""
    covered_share: float | None
    """Share of these that took no longer than predicted (a p99); None of none."""
    predicted_p50_ms: float | None
    """Of texts that ran alone; None: there was none."""
    run_p50_ms: float
    run_p99_ms: float
    kept_back_p50_ms: float
    """Of a budget, for the way from the run to the client."""
    texts_mean: float | None
    """Texts in a run; None: of none the end is known."""
    wait_predicted_p50_ms: float
    wait_p50_ms: float
    """How long those that were started did wait."""


class LoadAudit(msgspec.Struct, frozen=True, kw_only=True):
    """How busy the server was, in the windows that had requests."""

    window_s: float
    executor_share: float
    executor_share_in_trouble: float
    """As the average late or degraded request met it."""
    loop_share: float
    """The event loop's own work, as far as records hold it: a lower bound."""
    loop_share_in_trouble: float
    worst_at_ns: int
    """The window with most late or degraded requests, UTC nanoseconds since 1970."""
    worst_total: int
    worst_troubled: int


class Bottleneck(msgspec.Struct, frozen=True, kw_only=True):
    """The cause that most late or degraded requests share; None: too few of them to speak of one."""

    cause: str | None
    sentence: str
    evidence: dict[str, float] = {}


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """What a change would have done for the late and degraded requests of these records."""

    change: str
    helped_total: int
    sentence: str
    assumes: str
    evidence: dict[str, float] = {}


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Of no decisions: zeros, None and nothing."""

    schema: str = "audit/1"
    decisions: int
    first_at_ns: int | None = None
    last_at_ns: int | None = None
    in_budget_share: float | None = None
    degraded: tuple[Count, ...] = ()
    total: GroupAudit | None = None
    points: tuple[GroupAudit, ...] = ()
    rungs: tuple[GroupAudit, ...] = ()
    criticalities: tuple[GroupAudit, ...] = ()
    stages: tuple[StageAudit, ...] = ()
    verdicts: tuple[VerdictAudit, ...] = ()
    predictions: tuple[PredictionAudit, ...] = ()
    load: LoadAudit | None = None
    causes: tuple[Count, ...] = ()
    bottleneck: Bottleneck | None = None
    what_ifs: tuple[WhatIf, ...] = ()
