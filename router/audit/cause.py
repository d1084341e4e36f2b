"""What a late or degraded request suffered from: one cause each, so that their counts add up."""

from __future__ import annotations

from enum import StrEnum

from router.log import DecisionRecord


class Cause(StrEnum):
    """Where to look. The value is the word in JSON."""

    QUEUE = "queue"  # waited for the executor, or would have waited too long
    MODEL = "model"  # a model ran longer than its budget allowed, or than predicted
    BUDGET = "budget"  # too small for the rung, on an idle server too
    LOOP = "loop"  # the event loop was late, or relieved of models because it was
    OWN = "own"  # parse, admit, floor, cache, policy, encode
    FAILING = "failing"  # a rung failed, or was taken out of service
    COLD = "cold"  # no model was loaded
    OTHER = "other"  # for a reason that is newer than this table


_OF_STAGE = {"queue": Cause.QUEUE, "infer": Cause.MODEL, "loop": Cause.LOOP}
_OF_WHY = {
    "breaker": Cause.FAILING,
    "error": Cause.FAILING,
    "cold": Cause.COLD,
    "overload": Cause.QUEUE,
    "budget": Cause.BUDGET,
}
# A request that has lost so much of its budget to the event loop before any rung was asked lacks it there.
_LOST_SHARE = 0.1
_OF_RUNG = {Cause.FAILING, Cause.COLD}


def cause_of(record: DecisionRecord) -> Cause | None:
    """The cause; None where the best rung answered in time.

    Late: the stage that took longest. Else degraded: its `degraded`; but some things tell more. Verdict `floor` comes
    from the lateness of the event loop alone (budgets/shedding.py), and time that was lost to it stands in the stages.
    And where the rung was given to the executor, never started is the queue's fault, started and not done in time its
    own.
    """
    if record.late:
        stage = max(record.stages_ms, key=lambda name: record.stages_ms[name], default="")
        return _OF_STAGE.get(stage, Cause.OWN)
    if record.degraded == "none":
        return None
    cause, run = _OF_WHY.get(record.degraded, Cause.OTHER), record.run
    if cause is Cause.QUEUE and record.verdict == "floor" and not record.dark:
        return Cause.LOOP
    if cause is Cause.QUEUE and run is None and record.stages_ms.get("loop", 0.0) >= _LOST_SHARE * record.total_ms:
        return Cause.LOOP
    if run is None or cause in _OF_RUNG or not record.skipped or run.rung != record.skipped[0][0]:
        return cause
    return Cause.QUEUE if run.start_ms is None else Cause.MODEL
