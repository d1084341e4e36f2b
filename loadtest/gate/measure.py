"""Which requests a metric counts, and which of them are what it asks for."""

from __future__ import annotations

import numpy as np

from loadtest.gate.expression import Accuracy, Attainment, Mix, Rate
from loadtest.payload import Payload
from loadtest.quality.agreement import is_right
from loadtest.run import PhaseRecord, RunRecord
from loadtest.sample import DEGRADED, RUNGS
from loadtest.view import ERROR, LATE, OK, SHED, UNFINISHED, UNSENT, View

Share = Attainment | Mix | Rate | Accuracy
_OUTCOMES = {"shed": (SHED,), "error": (ERROR,), "late": (LATE,), "unsent": (UNSENT, UNFINISHED)}
_WORDS = {"rung": RUNGS, "degraded": DEGRADED}
_S = 1e9


def events(view: View, metric: Share, payloads: tuple[Payload, ...]) -> np.ndarray:
    """Of each request that counts, whether it is what is asked for. bool, in the order of intended times."""
    match metric:
        case Attainment(within_ns):
            return view.met(within_ns)
        case Rate(outcome):
            return np.isin(view.outcome, _OUTCOMES[outcome])
        case Mix(field, value):
            said = view.sample[field][view.is_answered]
            found: np.ndarray = said[said != 0] == _WORDS[field].index(value)  # 0: the answer says nothing of it
            return found
        case Accuracy():
            return _right(view, metric, payloads)


def spans(record: RunRecord, on: str) -> tuple[PhaseRecord, ...]:
    """The phases that a gate is on."""
    return tuple(phase for phase in record.phases if phase.name == on or (on == "all" and phase.measure))


def per_second(view: View, on: str, *, in_time: bool) -> float | None:
    """Answers a second over the phases; None: they took no time."""
    seconds = sum(phase.end_ns - phase.start_ns for phase in spans(view.record, on)) / _S
    counted = view.outcome == OK if in_time else view.is_answered
    return float(np.count_nonzero(counted)) / seconds if seconds > 0 else None


def _right(view: View, metric: Accuracy, payloads: tuple[Payload, ...]) -> np.ndarray:
    if not payloads:
        return np.empty(0, bool)
    right, counts = is_right(view, payloads)
    if metric.rung is not None:
        counts = counts & (view.sample["rung"] == RUNGS.index(metric.rung))
    found: np.ndarray = right[counts]
    return found
