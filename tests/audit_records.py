"""Decision records for audits: each says only what matters to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from router.audit import Audit, Tally, audit_of
from router.domain.decision import RunFacts
from tests.log_records import record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.log import DecisionRecord

S = 1_000_000_000
START_NS = 1_700_000_000 * S


def decision(number: int = 0, *, at_s: float = 0.0, **fields: Any) -> DecisionRecord:
    """Answered by `small` in 4.1 of 50 ms, where nothing else is said; late where more than the budget elapsed.

    Those of one number began at the same time, so their runs are the same if they started so.
    """
    plain = record(number, at_ns=START_NS + round(at_s * S))
    made = msgspec.structs.replace(plain, **{"began_ns": number + 1, **fields})
    return msgspec.structs.replace(made, late=fields.get("late", made.elapsed_ms > made.total_ms))


def large(number: int = 0, *, took_ms: float = 10.0, waited_ms: float = 0.0, **fields: Any) -> DecisionRecord:
    """Answered by `large`, which ran `took_ms` on the executor after `waited_ms`."""
    elapsed_ms = 1.0 + waited_ms + took_ms
    stages_ms = {"floor": 0.5, "queue": waited_ms, "infer": took_ms, "policy": 0.5}
    run = facts(start_ms=0.5 + waited_ms, end_ms=0.5 + waited_ms + took_ms)
    return decision(number, **{"rung": "large", "elapsed_ms": elapsed_ms, "stages_ms": stages_ms, "run": run, **fields})


def facts(**fields: Any) -> RunFacts:
    """Of a run of `large` for one text that was predicted to take 12 ms at most, and kept 4 of 50 ms back."""
    known: dict[str, Any] = {
        "rung": "large",
        "texts": 1,
        "predicted_ms": 12.0,
        "wait_ms": 0.0,
        "queued_ms": 0.5,
        "start_ms": 0.5,
        "latest_start_ms": 34.0,
        "commit_ms": 46.0,
        "end_ms": 10.5,
    }
    return RunFacts(**{**known, **fields})


def without_large(why: str, number: int = 0, **fields: Any) -> DecisionRecord:
    """Answered by `small` inline, because `large` would not do."""
    plain: dict[str, Any] = {
        "rung": "small",
        "degraded": why,
        "skipped": (("large", why),),
        "stages_ms": {"floor": 0.5, "infer": 0.1, "policy": 0.5},
        "elapsed_ms": 1.1,
    }
    return decision(number, **plain | fields)


def tally_of(records: Iterable[DecisionRecord]) -> Tally:
    """Count them all."""
    tally = Tally()
    for each in records:
        tally.add(each)
    return tally


def audited(records: Iterable[DecisionRecord]) -> Audit:
    """Count and sum up."""
    return audit_of(tally_of(records))
