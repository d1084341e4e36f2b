"""When the best rung was back."""

from __future__ import annotations

import math

import numpy as np

from loadtest.gate.expression import Recovery
from loadtest.gate.measure import spans
from loadtest.quantity import S
from loadtest.sample import DEGRADED, RUNGS
from loadtest.view import View

_NONE = DEGRADED.index("none")
_GUARD, _LARGE, _CACHE = (RUNGS.index(rung) for rung in ("guard", "large", "cache"))


def recovery_ns(view: View, metric: Recovery, on: str) -> float | None:
    """How long it took until, from one second on, each second's share of undegraded answers by `large` was enough.

    It counts from the start of the phase, or from the end of the last fault that ended before the phase did, in whole
    seconds; what is left at the end belongs to the last of them. Every scheduled request counts, but those that a
    guard answers, which no rung ever sees; a second without any says nothing.

    Returns: nanoseconds; `inf`: it did not come back; None: no request counts.
    """
    phases = spans(view.record, on)
    if not phases:
        return None
    start_ns, end_ns = phases[0].start_ns, phases[-1].end_ns
    begin_ns = max([start_ns, *(fault.end_ns for fault in view.record.faults if fault.end_ns <= end_ns)])
    at_ns = view.planned["intended_ns"]
    counts = (at_ns >= begin_ns) & ~(view.is_answered & (view.sample["rung"] == _GUARD))
    best = (_LARGE, _CACHE) if metric.caches else (_LARGE,)
    good = view.is_answered & (view.sample["degraded"] == _NONE) & np.isin(view.sample["rung"], best)
    seconds = max(1, (end_ns - begin_ns) // S)
    second = np.minimum((at_ns[counts] - begin_ns) // S, seconds - 1)
    if not len(second):
        return None
    total = np.bincount(second, minlength=seconds)
    bad = np.flatnonzero(np.bincount(second, good[counts], seconds) < metric.share * total - 1e-9)
    after = int(bad[-1]) + 1 if len(bad) else 0
    return float(after * S) if total[after:].any() else math.inf
