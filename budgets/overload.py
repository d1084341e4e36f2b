"""Overload control: what a request may use now, judged from how the last windows went.

    judge       at arrival: the worse of two pressures' verdicts (`shedding`), O(1)
    admits_run  before the executor: the limit on jobs in flight (`limit`) and the executor time left (`allowance`)
    waited, lagged, ...   what was seen; `brownout` follows the lag, too

What is shed by the executor's pressure keeps the inline rungs: the floor would be a worse answer and save only loop
time, which the loop's own pressure sees to. Of the critical a bounded share is turned away, decided once a window so
that within it no level fares worse than a less critical one; the others get the floor.

Nothing here runs by itself: windows of 100 ms are closed by whichever call comes first after their end. All verdicts
of a window come from one table, laid at its start, in which no level is worse off than a less critical one.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from budgets.allowance import Allowance, Rejections
from budgets.brownout import Brownout, Luxury, RecentLag
from budgets.criticality import CLASSES, COHORTS, CRITICAL
from budgets.deadline import NS_PER_MS
from budgets.limit import Limit
from budgets.shedding import LEVELS, VERDICTS, Arrivals, Cause, Pressure, Verdict, Walk, lay

WINDOW_NS = 100 * NS_PER_MS
_FEW_WAITS, _WIDEST = 20, 10  # with fewer waits than this a window is widened, to at most so many
_DELAY_MOST = 4.0
_MODEL_PRESSURE_MOST = 0.98  # something is always tried, or the end of an overload would not be seen
# Model pressure rises only while the executor is busy. Without that, all-critical traffic at twice and four times an
# executor's capacity used .54 and .47 of it where budgets are five service times: there 9 in 10 waits are within the
# target only if it often idles. With it, .82 and .83; the limit keeps the waits short.
_BUSY_TARGET = 0.94  # of utilisation_share: the allowance alone would refuse whoever comes, this the least critical
_BUSY_SCALE = 0.1  # an error of 1. With .2, pressure took up to 2.3 s to end after a spike, with .1 at most 1.6 s
_BUSY_SMOOTHING = 0.2
# Pressure also rises when this share of those that ask for the executor is refused: it decides who, refusals who came
# last. Without that, it fell to 0 at ten times the load, because the few that were let in did not wait.
_REFUSED_TARGET = 0.25
_BROWNOUT_SHARE = 0.5  # of the lag at which anything else gives way
# A lag below this share of the target for longer than so many windows: the overload is over, not just held down.
_EASE_SHARE, _EASE_WINDOWS = 0.25, 5
_LAG_LEAST_NS = 2 * NS_PER_MS  # timers are no finer
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
            gt=0, le=1, description="share of a budget that 9 in 10 jobs should at most wait for the executor"
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
        self._queue_target = settings.queue_target_share
        self._busy_target = settings.utilisation_share * _BUSY_TARGET
        self._lag_target_ns = max(smallest_budget_ns * settings.lag_target_share, _LAG_LEAST_NS)
        self._brownout_ns = max(self._lag_target_ns * _BROWNOUT_SHARE, _LAG_LEAST_NS)
        self._limit = Limit(max_jobs, settings.queue_target_share)
        self._allowance = Allowance(settings.utilisation_share)
        self._rejections = Rejections(settings.max_reject_share)
        self._lag, self._brownout = RecentLag(), Brownout()
        self._model, self._loop = Pressure(_MODEL_PRESSURE_MOST), Pressure(1.0)
        self._walks = Walk(Cause.MODEL), Walk(Cause.LOOP)
        self._arrivals = Arrivals()
        # By level, indices into VERDICTS: what everybody gets at least, and the same with _SLOW_PATH marked.
        self._laid = [0] * LEVELS
        self._table = self._laid
        # By rank and verdict; and of critical arrivals, those that were booked as arrived and as rejected.
        self._totals = [0] * (CLASSES * len(VERDICTS))
        self._booked = (0, 0)
        self.spared_total = 0
        # This window.
        self._until_ns = 0
        self._delays: list[float] = []  # with those of the windows it was widened by, as is what follows
        self._width = self._peak = self._started = 0
        self._asked = self._refusals = 0
        self._is_observed = False
        # From window to window.
        self._drawn_ns, self._busy_share, self._delay_error = 0, 0.0, 0.0
        self._median_ns = self._at_ease = 0
        # The most critical rank that was refused the executor in this window, and in the one before.
        self._refused, self._refused_before = CLASSES, CLASSES

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
        """Whether a job may join the executor's line, where `in_line` run or wait; if so its time is drawn.

        After a refusal nobody less critical may wait until the next window has passed. An executor with nothing to
        do (`in_line` 0) is for anybody: its time can't be saved.
        """
        if self._is_off:
            return True
        if now_ns >= self._until_ns:
            self._close(now_ns)
        is_admitted = (
            (in_line == 0 or rank <= min(self._refused, self._refused_before))
            and self._limit.admits(rank, in_line)
            and self._allowance.draw(rank, cost_ns, in_line, now_ns)
        )
        self._asked += 1
        if not is_admitted:
            self._refused = min(self._refused, rank)
            self._refusals += 1
        self._peak = max(self._peak, in_line + is_admitted)
        return is_admitted

    def refund(self, cost_ns: int) -> None:
        """A job was dropped unstarted: its executor time is there again."""
        self._allowance.refund(cost_ns)

    # What is seen.

    def waited(self, waited_ns: int, usable_ns: int, ran: bool, now_ns: int) -> None:  # noqa: FBT001 - a fact
        """A job was begun, or dropped unstarted, after so long in line; `usable_ns` is what it could have spent."""
        if now_ns >= self._until_ns:
            self._close(now_ns)
        self._delays.append(min(waited_ns / max(usable_ns, 1), _DELAY_MOST))
        self._started += ran
        self._is_observed = True

    def ended(self, now_ns: int) -> None:
        """A batch ended, and with it perhaps a window: what was seen counts without waiting for an arrival."""
        if now_ns >= self._until_ns:
            self._close(now_ns)

    def lagged(self, lag_ns: int, now_ns: int) -> None:
        """The event loop ran a tick, so late."""
        if now_ns >= self._until_ns:
            self._close(now_ns)
        self._lag.observe(lag_ns, now_ns)

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
        return self._limit.value

    @property
    def allowance_share(self) -> float:
        return self._allowance.share

    @property
    def brownout_step(self) -> int:
        return self._brownout.step

    @property
    def off(self) -> tuple[str, ...]:
        """What the brown-out has switched off, by name."""
        return tuple(luxury.value for luxury in self._brownout.off)

    def keeps(self, luxury: Luxury) -> bool:
        """Whether to do what no answer waits for."""
        return not (self.enforces and luxury in self._brownout.off)

    def verdicts(self, rank: int) -> dict[Verdict, int]:
        """How often each verdict was given to a class."""
        first = rank * len(VERDICTS)
        return dict(zip(VERDICTS, self._totals[first : first + len(VERDICTS)], strict=True))

    # Windows.

    def _close(self, now_ns: int) -> None:
        """Close the window that has ended and those that passed unseen since, and lay the next one's table."""
        silent, into_ns = divmod(now_ns - self._until_ns, WINDOW_NS)
        self._until_ns = now_ns - into_ns + WINDOW_NS
        self._follow_lag(now_ns, silent)
        self._follow_line(silent)
        self._refused_before, self._refused = (CLASSES if silent else self._refused), CLASSES
        totals, worst = self._totals, CRITICAL * len(VERDICTS)
        arrived, rejected = sum(totals[: worst + len(VERDICTS)]), totals[worst + _REJECT]
        expected = arrived - self._booked[0]
        self._rejections.count(expected, rejected - self._booked[1], now_ns)
        self._booked = arrived, rejected
        if not self._is_off:
            self._lay(self._rejections.next_share(max(expected, 1)))

    def _follow_lag(self, now_ns: int, silent: int) -> None:
        """Loop pressure sets in when the lag lasts for two windows: a block and its aftermath are over by then."""
        median_ns, upper_ns = self._lag.close(now_ns)
        is_new = self._loop.value <= 0.0
        lag_ns = min(median_ns, self._median_ns) if is_new else median_ns
        self._median_ns = median_ns
        self._at_ease = self._at_ease + 1 if upper_ns < self._lag_target_ns * _EASE_SHARE else 0
        if self._at_ease > _EASE_WINDOWS:
            self._loop.fade(1)
        else:
            self._loop.follow(lag_ns / self._lag_target_ns - 1.0)
        self._brownout.follow(upper_ns / self._brownout_ns)
        self._loop.fade(silent)
        self._brownout.rest(silent)

    def _follow_line(self, silent: int) -> None:
        """Model pressure rises with need, and no further than keeps the executor busy; without either it ends."""
        drawn_ns, self._drawn_ns = self._allowance.drawn_ns - self._drawn_ns, self._allowance.drawn_ns
        self._busy_share += _BUSY_SMOOTHING * (drawn_ns / WINDOW_NS - self._busy_share)
        self._learn_delay()
        if self._is_observed or self._asked:
            refused_share = self._refusals / self._asked if self._asked else 0.0
            need = max(self._delay_error, refused_share / _REFUSED_TARGET - 1.0)
            self._model.follow(min(need, (self._busy_share - self._busy_target) / _BUSY_SCALE))
        else:
            self._model.fade(1)
        self._asked = self._refusals = 0
        self._is_observed = False
        if silent:
            self._widen_anew()
            self._busy_share = self._delay_error = 0.0
            self._model.fade(silent)

    def _learn_delay(self) -> None:
        """From the waits of this window or, when they are few, of the last few windows."""
        self._width += 1
        if len(self._delays) < _FEW_WAITS and self._width < _WIDEST:
            return
        self._delay_error = 0.0  # of no waits; pressure neither rises nor is held for them
        if self._delays:
            delay_share = sorted(self._delays)[len(self._delays) * 9 // 10]
            self._limit.follow(delay_share, self._peak, self._started / self._width)
            self._delay_error = delay_share / self._queue_target - 1.0
        self._widen_anew()

    def _widen_anew(self) -> None:
        self._delays.clear()
        self._width = self._peak = self._started = 0

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
