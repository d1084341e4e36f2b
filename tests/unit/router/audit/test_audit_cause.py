from __future__ import annotations

import pytest

from router.audit.cause import Cause, cause_of
from router.log import DecisionRecord
from tests.audit_records import decision, facts, large, without_large


def late(**stages_ms: float) -> DecisionRecord:
    return decision(elapsed_ms=51.0, stages_ms=stages_ms)


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (large(), None),
        (decision(rung="guard"), None),
        (late(queue=30.0, infer=20.0), Cause.QUEUE),
        (late(queue=10.0, infer=41.0), Cause.MODEL),
        (late(loop=30.0, infer=21.0), Cause.LOOP),
        (late(parse=30.0, loop=21.0), Cause.OWN),
        (late(), Cause.OWN),
        (without_large("overload"), Cause.QUEUE),
        (without_large("overload", verdict="inline"), Cause.QUEUE),
        (without_large("overload", verdict="floor"), Cause.LOOP),
        (without_large("overload", verdict="floor", dark=True), Cause.QUEUE),
        (without_large("overload", stages_ms={"loop": 5.0}), Cause.LOOP),
        (without_large("overload", stages_ms={"loop": 4.9}), Cause.QUEUE),
        (without_large("cold", verdict="floor"), Cause.COLD),
        (without_large("budget"), Cause.BUDGET),
        (without_large("breaker"), Cause.FAILING),
        (without_large("error"), Cause.FAILING),
        (without_large("cold"), Cause.COLD),
        (without_large("tired"), Cause.OTHER),
        # What became of the run tells more than the word.
        (without_large("budget", run=facts(start_ms=None, end_ms=None)), Cause.QUEUE),
        (without_large("overload", run=facts(end_ms=None)), Cause.MODEL),
        (without_large("error", run=facts()), Cause.FAILING),
        # The run was of a rung further down.
        (without_large("budget", run=facts(rung="medium")), Cause.BUDGET),
        (without_large("budget", skipped=(), run=facts()), Cause.BUDGET),
    ],
)
def test_each_request_has_one_cause(record: DecisionRecord, cause: Cause | None) -> None:
    assert cause_of(record) is cause
