"""Decision records for tests."""

from __future__ import annotations

import msgspec

from router.log import DecisionRecord, LogSettings, Match

_PLAIN = DecisionRecord(
    decision_id="",
    interaction_id="i-1",
    at_ns=1_700_000_000_000_000_000,
    point="interactions",
    plan_version="p1",
    route="card_arrival",
    target_kind="queue",
    target_name="cards",
    rung="small",
    reason="model",
    total_ms=50.0,
    elapsed_ms=4.1,
)
FULL = DecisionRecord(
    decision_id="full",
    interaction_id="i-2",
    at_ns=1_700_000_000_123_456_789,
    point="interactions",
    plan_version="p1",
    text="wo bleibt meine Karte? 💳",
    channel="chat",
    customer_id="c-1",
    session_id="s-1",
    criticality="sheddable",
    route="card_arrival",
    target_kind="queue",
    target_name="cards",
    rung="rules",
    degraded="overload",
    reason="rule",
    confidence=0.6,
    alternatives=(("card_lost", 0.2), ("top_up", 0.1)),
    match=Match(name="lost_card", why="karte"),
    skipped=(("large", "breaker open"), ("small", "too slow")),
    total_ms=50.0,
    elapsed_ms=51.0,
    late=True,
    stages_ms={"parse": 0.02, "queue": 50.1},
    trace_id="0af7651916cd43dd8448eb211c80319c",
)


def name(number: int) -> str:
    """The id of the record of a number."""
    return f"d{number:06d}"


def record(number: int, *, at_ns: int = _PLAIN.at_ns, text: str | None = None) -> DecisionRecord:
    """A record that differs from others by its number."""
    return msgspec.structs.replace(_PLAIN, decision_id=name(number), at_ns=at_ns, text=text)


def settings(path: object, *, queue: int = 10_000, retention_days: float = 36_500.0) -> LogSettings:
    """Settings of a log at a path."""
    return LogSettings(path=str(path), queue=queue, retention_days=retention_days)
