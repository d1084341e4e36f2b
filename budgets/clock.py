"""The only place that reads a clock: monotonic nanoseconds for durations, UTC nanoseconds for records."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic time never steps; wall time does, so it is only ever written down, never compared."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch, UTC."""
        ...


class SystemClock:
    """The machine's clocks. `loop.time()` is not used: uvloop's moves in 1 ms steps."""

    now_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)


class ManualClock:
    """A clock that moves only when told to: for tests and virtual time."""

    def __init__(self, now_ns: int = 0, epoch_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now_ns = now_ns
        self._epoch_ns = epoch_ns

    def now_ns(self) -> int:
        return self._now_ns

    def wall_ns(self) -> int:
        return self._epoch_ns + self._now_ns

    def advance(self, ns: int) -> None:
        if ns < 0:
            raise ValueError(f"time does not go back: advance({ns})")
        self._now_ns += ns

    def step_wall(self, ns: int) -> None:
        """Step the wall clock, as an operator or NTP does; monotonic time is unmoved."""
        self._epoch_ns += ns
