"""The event loop's side of overload control: how much must give way because the loop runs late, luxuries first."""

from __future__ import annotations

from budgets.brownout import Brownout, RecentLag
from budgets.deadline import NS_PER_MS
from budgets.shedding import Pressure

_BROWNOUT_SHARE = 0.5  # of the lag at which anything else gives way
# A lag below this share of the target for longer than so many windows: the overload is over, not just held down.
_EASE_SHARE, _EASE_WINDOWS = 0.25, 5
_LAG_LEAST_NS = 2 * NS_PER_MS  # timers are no finer


class LoopPressure:
    """How far down the shedding order a busy event loop has come, 0 to 1."""

    def __init__(self, lag_target_ns: float) -> None:
        self.lag, self.brownout = RecentLag(), Brownout()
        self._pressure = Pressure(1.0)
        self._lag_target_ns = max(lag_target_ns, _LAG_LEAST_NS)
        self._brownout_ns = max(self._lag_target_ns * _BROWNOUT_SHARE, _LAG_LEAST_NS)
        self._median_ns = self._at_ease = 0

    @property
    def value(self) -> float:
        return self._pressure.value

    def close(self, now_ns: int, silent: int) -> None:
        """A window has ended, and `silent` more passed unseen.

        Pressure sets in when the lag lasts for two windows: a block and its aftermath are over by then.
        """
        median_ns, upper_ns = self.lag.close(now_ns)
        is_new = self._pressure.value <= 0.0
        lag_ns = min(median_ns, self._median_ns) if is_new else median_ns
        self._median_ns = median_ns
        self._at_ease = self._at_ease + 1 if upper_ns < self._lag_target_ns * _EASE_SHARE else 0
        if self._at_ease > _EASE_WINDOWS:
            self._pressure.fade(1)
        else:
            self._pressure.follow(lag_ns / self._lag_target_ns - 1.0)
        self.brownout.follow(upper_ns / self._brownout_ns)
        self._pressure.fade(silent)
        self.brownout.rest(silent)
