"""Overload control: what a request may use now, judged from how the last windows went.

    judge       at arrival: the worse of two pressures' verdicts (`shedding`), O(1)
    admits_run  before the executor: whether a job may join its line (`model_pressure`)
    waited, lagged, ...   what was seen, for the pressures (`model_pressure`, `loop_pressure`)

What is shed by the executor's pressure keeps the inline rungs: the floor would be a worse answer and save only loop
time, which the loop's own pressure sees to. Of the critical a bounded share is turned away, decided once a window so
that within it no level fares worse than a less critical one; the others get the floor.

Nothing here runs by itself: windows of 100 ms are closed by whichever call comes first after their end. All verdicts
of a window come from one table, laid at its start, in which no level is worse off than a less critical one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from budgets.allowance import Rejections
from budgets.criticality import CLASSES, COHORTS, CRITICAL
from budgets.deadline import NS_PER_MS
from budgets.loop_pressure import LoopPressure
from budgets.model_pressure import ModelPressure
from budgets.shedding import LEVELS, VERDICTS, Arrivals, Cause, Verdict, Walk, lay

if TYPE_CHECKING:
    from budgets.brownout import Luxury

WINDOW_NS = 100 * NS_PER_MS
_SLOW_PATH = -1  # in the table, for a level whose arrivals are not all treated alike
_REJECT = VERDICTS.index(Verdict.REJECT)


class OverloadSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What gives way when more is asked for than can be done."""

    mode: Annotated[
        Literal["enforce", "dark", "off"],
        msgspec.Meta(description="enforce; dark: decide and record, change no answer; off: everybody is admitted"),
    ] = "enforce"
    max_reject_share: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=1,
            description="of critical and critical-plus requests, the share over 10 s that may be turned away; "
            "beyond it they are answered from the floor",
        ),
    ] = 0.2
    queue_target_share: Annotated[
        float,
        msgspec.Meta(
            gt=0,
            le=1,
            description="share of the time they can wait for the executor that 9 in 10 jobs should at most wait",
        ),
    ] = 0.25
    utilisation_share: Annotated[
        float, msgspec.Meta(gt=0, le=1, description="executor time per second that may be spent while jobs wait")
    ] = 0.85
    lag_target_share: Annotated[
        float,
        msgspec.Meta(gt=0, le=1, description="share of the default budget that the event loop may lag (median)"),
    ] = 0.2
    explore_share: Annotated[
        float,
        msgspec.Meta(ge=0, le=1, description="share of less than critical requests that try a rung believed too slow"),
    ] = 0.01


class Overload:
    """The controllers in front of one executor and on one event loop, which owns it. Times are monotonic ns.

    Cost: 0.6 us a verdict, and once a window that of closing it.
    """

    def __init__(self, settings: OverloadSettings, *, max_jobs: int, smallest_budget_ns: int) -> None:
        """Args: max_jobs: what the executor's line holds at most; smallest_budget_ns: of all points."""
        self.enforces = settings.mode == "enforce"
        self._is_off = settings.mode == "off"
        self._model = ModelPressure(max_jobs, settings.queue_target_share, settings.utilisation_share, WINDOW_NS)
        self._loop = LoopPressure(smallest_budget_ns * settings.lag_target_share)
        self._rejections = Rejections(settings.max_reject_share)
        self._walks = Walk(Cause.MODEL), Walk(Cause.LOOP)
        self._arrivals = Arrivals()
        # By level, indices into VERDICTS: what everybody gets at least, and the same with _SLOW_PATH marked.
        self._laid = [0] * LEVELS
        self._table = self._laid
        # By rank and verdict; and of critical arrivals, those that were booked as arrived and as rejected.
        self._totals = [0] * (CLASSES * len(VERDICTS))
        self._booked = (0, 0)
        self.spared_total = 0
        self._until_ns = 0

    # What is asked.

    def judge(self, level: int, now_ns: int) -> Verdict:
        """Count an arrival and say what it may use."""
        if now_ns >= self._until_ns:
            self._close(now_ns)
        self._arrivals.add(level)
        place = self._table[level]
        if place == _SLOW_PATH:
            place = self._split(level)
        self._totals[level // COHORTS * len(VERDICTS) + place] += 1
        return VERDICTS[place]

    def shuts_out(self, rank: int, now_ns: int) -> bool:
        """Whether even the most critical cohort of a class is turned away now. Counts nothing."""
        if now_ns >= self._until_ns:
            self._close(now_ns)
        return self._table[rank * COHORTS] == _REJECT

    def admits_run(self, rank: int, cost_ns: int, in_line: int, now_ns: int) -> bool:
        """Whether a job may join the executor's line, where `in_line` run or wait before it; if so its time is drawn.

        Where nothing is enforced it joins in any case, so its time is drawn in any case.
        """
        if self._is_off:
            return True
        if now_ns >= self._until_ns:
            self._close(now_ns)
        is_admitted = self._model.admits(rank, cost_ns, in_line, now_ns)
        if not (is_admitted or self.enforces):
            self._model.allowance.take(cost_ns)
        return is_admitted

    def refund(self, cost_ns: int) -> None:
        """A job was dropped unstarted: its executor time is there again."""
        if not self._is_off:
            self._model.allowance.refund(cost_ns)

    # What is seen.

    def waited(self, waited_ns: int, usable_ns: int, ran: bool, now_ns: int) -> None:  # noqa: FBT001 - a fact
        """A job was started, or dropped unstarted, after so long in line; `usable_ns` is what it could have waited."""
        if now_ns >= self._until_ns:
            self._close(now_ns)
        self._model.waited(waited_ns, usable_ns, ran=ran)

    def lagged(self, lag_ns: int, now_ns: int) -> None:
        """The event loop ran a tick, so late."""
        if now_ns >= self._until_ns:
            self._close(now_ns)
        self._loop.lag.observe(lag_ns, now_ns)

    # Readings.

    @property
    def shed_share(self) -> float:
        """Model pressure: the share of arrivals that lose the executor."""
        return self._model.value

    @property
    def reject_pressure(self) -> float:
        """Loop pressure, 0 to 1."""
        return self._loop.value

    @property
    def limit(self) -> float:
        return self._model.limit.value

    @property
    def allowance_share(self) -> float:
        return self._model.allowance.share

    @property
    def brownout_step(self) -> int:
        return self._loop.brownout.step

    def keeps(self, luxury: Luxury) -> bool:
        """Whether to do what no answer waits for."""
        return not (self.enforces and luxury in self._loop.brownout.off)

    def verdicts(self, rank: int) -> dict[Verdict, int]:
        """How often each verdict was given to a class."""
        first = rank * len(VERDICTS)
        return dict(zip(VERDICTS, self._totals[first : first + len(VERDICTS)], strict=True))

    # Windows.

    def _close(self, now_ns: int) -> None:
        """Close the window that has ended and those that passed unseen since, and lay the next one's table."""
        silent, into_ns = divmod(now_ns - self._until_ns, WINDOW_NS)
        self._until_ns = now_ns - into_ns + WINDOW_NS
        self._loop.close(now_ns, silent)
        self._model.close(silent)
        totals, worst = self._totals, CRITICAL * len(VERDICTS)
        arrived, rejected = sum(totals[: worst + len(VERDICTS)]), totals[worst + _REJECT]
        expected = arrived - self._booked[0]
        self._rejections.count(expected, rejected - self._booked[1], now_ns)
        self._booked = arrived, rejected
        if not self._is_off:
            self._lay(self._rejections.next_share(max(expected, 1)))

    def _lay(self, rejectable: float) -> None:
        """The next window's verdicts by level."""
        model, loop = self._walks
        model.take(self._arrivals, self._model.value, rejectable)
        loop.take(self._arrivals, self._loop.value, rejectable)
        self._laid = lay(model, loop)
        self._table = self._laid.copy()
        for level in (*model.edge, *loop.edge, *loop.spared):
            self._table[level] = _SLOW_PATH

    def _split(self, level: int) -> int:
        """The verdict for an arrival at an edge, or one that only the bound on rejections spares."""
        place = self._laid[level]
        for walk in self._walks:
            self.spared_total += level in walk.spared
            place = walk.split(level, place)
        return place
