"""The executor's side of overload control: who may join its line, and how many arrivals must do without it.

admits   before a job joins: the limit on jobs in line (`limit`) and the executor time left (`allowance`)
waited   how long it was in line
close    once a window: the limit follows the waits, and the pressure what must give way
"""

from __future__ import annotations

from budgets.allowance import Allowance
from budgets.criticality import CLASSES
from budgets.limit import Limit
from budgets.shedding import Pressure

_FEW_WAITS, _WIDEST = 20, 10  # with fewer waits than this a window is widened, to at most so many
_DELAY_MOST = 4.0
_MOST = 0.98  # something is always tried, or the end of an overload would not be seen
# Pressure rises only while the executor is busy. Without that, all-critical traffic at twice and four times an
# executor's capacity used .54 and .47 of it where budgets are five service times: there 9 in 10 waits are within the
# target only if it often idles. With it, .82 and .83; the limit keeps the waits short.
_BUSY_TARGET = 0.94  # of the utilisation: the allowance alone would refuse whoever comes, this the least critical
_BUSY_SCALE = 0.1  # an error of 1. With .2, pressure took up to 2.3 s to end after a spike, with .1 at most 1.6 s
_BUSY_SMOOTHING = 0.2
# Pressure also rises when this share of those that ask for the executor is refused: it decides who, refusals who came
# last. Without that, it fell to 0 at ten times the load, because the few that were let in did not wait.
_REFUSED_TARGET = 0.25


class ModelPressure:
    """A share of arrivals that lose the executor, with the two bounds that hold before the share has moved."""

    def __init__(self, max_jobs: int, queue_target_share: float, utilisation_share: float, window_ns: int) -> None:
        self.limit = Limit(max_jobs, queue_target_share)
        self.allowance = Allowance(utilisation_share)
        self._pressure = Pressure(_MOST)
        self._queue_target, self._busy_target = queue_target_share, utilisation_share * _BUSY_TARGET
        self._window_ns = window_ns
        # Of this window and those that it was widened by.
        self._delays: list[float] = []
        self._width = self._peak = self._started = 0
        # Of this window.
        self._asked = self._refusals = 0
        self._is_observed = False
        # The most critical rank that was refused in this window, and in the one before.
        self._refused, self._refused_before = CLASSES, CLASSES
        # From window to window.
        self._drawn_ns, self._busy_share, self._delay_error = 0, 0.0, 0.0

    @property
    def value(self) -> float:
        """The share of arrivals that must do without the executor, 0 to 0.98."""
        return self._pressure.value

    def admits(self, rank: int, cost_ns: int, in_line: int, now_ns: int) -> bool:
        """Whether a job may join the line, where `in_line` run or wait before it; if so its time is drawn.

        After a refusal nobody less critical may wait until the next window has passed. An executor with nothing to
        do (`in_line` 0) is for anybody: its time can't be saved.
        """
        is_admitted = (
            (in_line == 0 or rank <= min(self._refused, self._refused_before))
            and self.limit.admits(rank, in_line)
            and self.allowance.draw(rank, cost_ns, in_line, now_ns)
        )
        self._asked += 1
        if not is_admitted:
            self._refused = min(self._refused, rank)
            self._refusals += 1
        self._peak = max(self._peak, in_line + is_admitted)
        return is_admitted

    def waited(self, waited_ns: int, usable_ns: int, *, ran: bool) -> None:
        """A job was started, or dropped unstarted, after so long in line of what it could have waited at most."""
        self._delays.append(min(waited_ns / max(usable_ns, 1), _DELAY_MOST))
        self._started += ran
        self._is_observed = True

    def close(self, silent: int) -> None:
        """A window has ended, and `silent` more passed unseen. Pressure rises with need while the executor is busy."""
        drawn_ns, self._drawn_ns = self.allowance.drawn_ns - self._drawn_ns, self.allowance.drawn_ns
        self._busy_share += _BUSY_SMOOTHING * (drawn_ns / self._window_ns - self._busy_share)
        self._learn_delay()
        if self._is_observed or self._asked:
            refused_share = self._refusals / self._asked if self._asked else 0.0
            need = max(self._delay_error, refused_share / _REFUSED_TARGET - 1.0)
            self._pressure.follow(min(need, (self._busy_share - self._busy_target) / _BUSY_SCALE))
        else:
            self._pressure.fade(1)
        self._refused_before, self._refused = (CLASSES if silent else self._refused), CLASSES
        self._asked = self._refusals = 0
        self._is_observed = False
        if silent:
            self._widen_anew()
            self._busy_share = self._delay_error = 0.0
            self._pressure.fade(silent)

    def _learn_delay(self) -> None:
        """From the waits of this window or, when they are few, of the last few windows."""
        self._width += 1
        if len(self._delays) < _FEW_WAITS and self._width < _WIDEST:
            return
        self._delay_error = 0.0  # of no waits; pressure neither rises nor is held for them
        if self._delays:
            delay_share = sorted(self._delays)[len(self._delays) * 9 // 10]
            self.limit.follow(delay_share, self._peak, self._started / self._width)
            self._delay_error = delay_share / self._queue_target - 1.0
        self._widen_anew()

    def _widen_anew(self) -> None:
        self._delays.clear()
        self._width = self._peak = self._started = 0
