"""When a server is back at what it was before a disturbance. A part of `tests.bench.overload`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from loadtest.quantity import S
from loadtest.sample import RUNGS
from loadtest.view import View

_LARGE = RUNGS.index("large")
_WINDOW_NS, _STEP_NS = S, S // 20
# Of a window: in time, and by `large`, of what it was before.
_ATTAINED, _BACK = 0.999, 0.9
_WELL = 0.99  # less in time before a disturbance is nothing to come back to


class Fates(NamedTuple):
    """Requests with when they were due, ascending. Shapes: one entry a request."""

    due_ns: np.ndarray
    is_met: np.ndarray
    is_large: np.ndarray

    @classmethod
    def of(cls, seen: View) -> Fates:
        met = seen.met()
        return cls(seen.planned["intended_ns"], met, met & (seen.sample["rung"] == _LARGE))

    def between(self, from_ns: int, to_ns: int) -> Fates:
        first, last = np.searchsorted(self.due_ns, (from_ns, to_ns))
        return Fates(self.due_ns[first:last], self.is_met[first:last], self.is_large[first:last])

    @property
    def attainment(self) -> float:
        return float(self.is_met.mean()) if len(self.is_met) else float("nan")

    @property
    def large(self) -> float:
        return float(self.is_large.mean()) if len(self.is_large) else float("nan")


def back_s(fates: Fates, before: Fates, from_ns: int) -> float:
    """Seconds from `from_ns` to the first sliding window of a second that is as good as before; `inf`: there is none.

    As good: 99.9 % of its requests in time, or what they were before if that was less, and nine tenths of the share of
    `large` that there was; NaN: before it was not well. Time counts to where the window begins: from there on a client
    finds what he found before.
    """
    if not (before.attainment >= _WELL and before.large > 0):
        return float("nan")
    attained = min(_ATTAINED, before.attainment)
    end_ns = int(fates.due_ns[-1]) - _WINDOW_NS
    for at_ns in range(from_ns, end_ns + 1, _STEP_NS):
        window = fates.between(at_ns, at_ns + _WINDOW_NS)
        if len(window.due_ns) and window.attainment >= attained and window.large >= _BACK * before.large:
            return (at_ns - from_ns) / S
    return float("inf")
