"""Who gives way, and how much: two pressures, each of which walks its own list of steps.

Model pressure comes from the line in front of the executor, loop pressure from the event loop's lag. They are
independent: an executor that is overrun leaves the loop at ease, and then everybody keeps the small rung, which runs
inline. What a request gets is the worse of what both say.

    pressure 0 ..... 1   = the share of the recent arrivals' steps that are taken, the least critical arrivals first

A step is taken cohort by cohort, from the least critical level upwards, so its victims stay the same while the
pressure does. Only the one level at the edge is split: of its arrivals a share gives way, which keeps the control
smooth where one caller, and so one level, sends most of the traffic.
"""

from __future__ import annotations

from enum import Enum
from functools import total_ordering
from typing import NamedTuple

from budgets.criticality import CLASSES, COHORTS, CRITICAL, CRITICAL_PLUS, SHEDDABLE, SHEDDABLE_PLUS

LEVELS = CLASSES * COHORTS
_RECENT = 1_000  # arrivals whose levels say what share a level has
_GAIN, _GAIN_PER_WINDOW = 0.1, 0.05
_ERROR_MOST = 3.0  # a reading far off its target says no more than one four times as high
_STEP_LEAST = 0.02
_FADE = 0.9  # per window in which nothing was wanted
_FADED = 50  # windows, after which it is 0 from anywhere


@total_ordering
class Verdict(Enum):
    """What a request may use; each is worse than the one before. The value is the word in records and metrics."""

    ADMIT = "admit"  # everything
    INLINE = "inline"  # no executor: the rungs that run on the event loop stay
    FLOOR = "floor"  # no model: what the cache, the rules and the default say
    REJECT = "reject"  # turned away

    def __lt__(self, other: Verdict) -> bool:
        return VERDICTS.index(self) < VERDICTS.index(other)


VERDICTS = tuple(Verdict)
_ADMIT, _INLINE, _FLOOR, _REJECT = range(len(VERDICTS))


class Cause(Enum):
    MODEL = "model"
    LOOP = "loop"


class Step(NamedTuple):
    """All arrivals of a class get no better than the verdict."""

    cause: Cause
    rank: int
    verdict: Verdict


# What gives way, in this order, each step only as far as the ones before do not suffice. Loop pressure has no INLINE:
# running a rung on the loop costs the loop more than handing a job to the executor, so that step would feed what it
# fights. CRITICAL_PLUS is never rejected. Within a pressure no class is ever worse off than a less critical one.
STEPS = (
    Step(Cause.MODEL, SHEDDABLE, Verdict.INLINE),
    Step(Cause.LOOP, SHEDDABLE, Verdict.FLOOR),
    Step(Cause.MODEL, SHEDDABLE_PLUS, Verdict.INLINE),
    Step(Cause.LOOP, SHEDDABLE_PLUS, Verdict.FLOOR),
    Step(Cause.LOOP, SHEDDABLE, Verdict.REJECT),
    Step(Cause.MODEL, CRITICAL, Verdict.INLINE),
    Step(Cause.LOOP, SHEDDABLE_PLUS, Verdict.REJECT),
    Step(Cause.LOOP, CRITICAL, Verdict.FLOOR),
    Step(Cause.MODEL, CRITICAL_PLUS, Verdict.INLINE),
    Step(Cause.LOOP, CRITICAL, Verdict.REJECT),
    Step(Cause.LOOP, CRITICAL_PLUS, Verdict.FLOOR),
)


class Arrivals:
    """The levels of the last arrivals, counted."""

    __slots__ = ("_at", "_recent", "by_level")

    def __init__(self) -> None:
        self.by_level = [0] * LEVELS
        self._recent: list[int] = []
        self._at = 0

    def add(self, level: int) -> None:
        recent = self._recent
        self.by_level[level] += 1
        if len(recent) < _RECENT:
            recent.append(level)
            return
        at = self._at
        self.by_level[recent[at]] -= 1
        recent[at] = level
        self._at = (at + 1) % _RECENT

    def of(self, rank: int) -> int:
        return sum(self.by_level[rank * COHORTS : (rank + 1) * COHORTS])


class Pressure:
    """A PI controller on an error: how much must give way. 0 to `most`.

    Its steps are shares of what does not give way yet: at ten times the load a tenth of it is all that is let in, and
    a step that is right at twice the load would swing it from nothing to everything.
    """

    __slots__ = ("_held", "_most", "value")

    def __init__(self, most: float) -> None:
        self.value = 0.0
        self._held = 0.0  # the integral part
        self._most = most

    def follow(self, error: float) -> None:
        """One window's error: how far a reading is above its target, as a share of it; within -3 to 3."""
        error = min(max(error, -_ERROR_MOST), _ERROR_MOST)
        room = 1.0 - self._held + _STEP_LEAST
        self._held = min(max(self._held + room * _GAIN_PER_WINDOW * error, 0.0), self._most)
        self.value = min(max(self._held + room * _GAIN * error, 0.0), self._most)

    def fade(self, windows: int) -> None:
        """Windows in which nothing was wanted: no pressure outlives its evidence."""
        for _ in range(min(windows, _FADED)):
            self._held *= _FADE
            self.follow(-_ERROR_MOST)


class Cut(NamedTuple):
    """A class under one pressure: levels from `level` on get the worse verdict. Indices into VERDICTS."""

    better: int
    level: int
    worse: int


_UNCUT = tuple(Cut(_ADMIT, (rank + 1) * COHORTS, _ADMIT) for rank in range(CLASSES))


class Walk:
    """How far one cause's steps are taken, by class."""

    __slots__ = ("_credit", "_edge_share", "_edge_verdict", "_steps", "cuts", "edge", "spared")

    def __init__(self, cause: Cause) -> None:
        self._steps = [(step.rank, VERDICTS.index(step.verdict)) for step in STEPS if step.cause is cause]
        self.cuts = list(_UNCUT)
        self.edge = range(0)  # the level whose arrivals are split, if any
        self.spared = range(0)  # levels that would be rejected, but for the bound on that
        self._edge_share, self._edge_verdict = 0.0, _ADMIT
        self._credit = 0.0

    def take(self, arrivals: Arrivals, pressure: float, rejectable: float) -> None:
        """Begin anew and go as far as the pressure does. At most a share `rejectable` of CRITICAL is rejected, the
        others stay at the step before.
        """
        self.cuts = list(_UNCUT)
        self.edge = self.spared = range(0)
        if pressure <= 0.0:
            return
        weights = [arrivals.of(rank) for rank in range(CLASSES)]
        left = pressure * sum(weights[rank] for rank, _ in self._steps)
        for rank, verdict in self._steps:
            if left <= 0.0:
                return
            weight = weights[rank]
            level, split = self._reach(arrivals, rank, left) if left < weight else (rank * COHORTS, 0.0)
            if rank == CRITICAL and verdict == _REJECT and min(left, weight) > rejectable * weight:
                bound, _ = self._reach(arrivals, rank, rejectable * weight)
                self.spared = range(level, bound)
                level, split = bound, 0.0
            self.cuts[rank] = Cut(self.cuts[rank].worse, level, verdict)
            if split > 0.0:
                self.edge, self._edge_share, self._edge_verdict = range(level - 1, level), split, verdict
            left -= weight

    @staticmethod
    def _reach(arrivals: Arrivals, rank: int, left: float) -> tuple[int, float]:
        """The lowest level of a class that is taken whole when `left` arrivals give way, the least critical first,
        and the share that is taken of the level before it.
        """
        level = (rank + 1) * COHORTS
        for weight in reversed(arrivals.by_level[rank * COHORTS : level]):
            if weight > left or left <= 0.0:
                return level, left / weight if weight else 0.0
            left -= weight
            level -= 1
        return level, 0.0

    def split(self, level: int, verdict: int) -> int:
        """What one arrival at a level gets whose verdict is `verdict` so far: at the edge every so many get worse."""
        if level not in self.edge:
            return verdict
        self._credit += self._edge_share
        if self._credit < 1.0:
            return verdict
        self._credit -= 1.0
        return max(verdict, self._edge_verdict)


def lay(first: Walk, second: Walk) -> list[int]:
    """The verdict of each level, the worse of both walks'."""
    table: list[int] = []
    for rank, (one, other) in enumerate(zip(first.cuts, second.cuts, strict=True)):
        if one.level > other.level:
            one, other = other, one  # noqa: PLW2901 - by where they cut
        table += [max(one.better, other.better)] * (one.level - rank * COHORTS)
        table += [max(one.worse, other.better)] * (other.level - one.level)
        table += [max(one.worse, other.worse)] * ((rank + 1) * COHORTS - other.level)
    return table
