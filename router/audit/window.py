"""How busy the executor and the event loop were, in windows of a second or more. A log holds idle hours, too."""

from __future__ import annotations

from dataclasses import dataclass

_S = 1_000_000_000
_MOST_WINDOWS = 4_096
USABLE_SHARE = 0.85
"""Of an executor's time; beyond it, queues grow faster than budgets allow."""


@dataclass(slots=True)
class Window:
    """What happened in one window."""

    n: int = 0
    troubled: int = 0
    queued: int = 0
    executor_us: float = 0.0
    loop_us: float = 0.0

    def take(self, other: Window) -> None:
        self.n += other.n
        self.troubled += other.troubled
        self.queued += other.queued
        self.executor_us += other.executor_us
        self.loop_us += other.loop_us


class Windows:
    """Windows in which requests ended. There are 4,096 at most: when more are needed, all become twice as wide."""

    __slots__ = ("_windows", "width_ns")

    def __init__(self) -> None:
        self.width_ns = _S
        self._windows: dict[int, Window] = {}

    def at(self, at_ns: int) -> Window:
        """The window of a time, to count in."""
        window = self._windows.get(at_ns // self.width_ns)
        if window is None:
            while len(self._windows) >= _MOST_WINDOWS:
                self._widen()
            window = self._windows.setdefault(at_ns // self.width_ns, Window())
        return window

    def executor_share(self) -> float:
        """Share of the time in which the executor ran, where there were requests."""
        return self._share(sum(window.executor_us for window in self._windows.values()), len(self._windows))

    def loop_share(self) -> float:
        """The same of the event loop's own work, as far as records tell: reading and answering are not in them."""
        return self._share(sum(window.loop_us for window in self._windows.values()), len(self._windows))

    def executor_share_in_trouble(self) -> float:
        """The same of the executor as the average late or degraded request met it."""
        troubled = sum(window.troubled for window in self._windows.values())
        return self._share(sum(w.troubled * w.executor_us for w in self._windows.values()), troubled)

    def loop_share_in_trouble(self) -> float:
        """The same of the event loop as the average late or degraded request met it."""
        troubled = sum(window.troubled for window in self._windows.values())
        return self._share(sum(w.troubled * w.loop_us for w in self._windows.values()), troubled)

    def worst(self) -> tuple[int, Window]:
        """When the window began (ns) that had most late or degraded requests, and what happened in it."""
        at = max(self._windows, key=lambda number: self._windows[number].troubled)
        return at * self.width_ns, self._windows[at]

    def answerable(self, *, executors: int, cost_us: float, cheaper: float = 1.0) -> int:
        """How many of those that the queue cost their rung would have found room, each in its own window.

        Args:
            executors: how many there are, each used up to `USABLE_SHARE`.
            cost_us: of one more run.
            cheaper: what the runs that there were would cost, as a share of what they did.
        """
        usable_us = executors * USABLE_SHARE * self.width_ns / 1_000
        room_us = ((window, usable_us - window.executor_us * cheaper) for window in self._windows.values())
        return sum(min(window.queued, int(max(0.0, left_us) / max(1.0, cost_us))) for window, left_us in room_us)

    def _share(self, spent_us: float, windows: int) -> float:
        return min(1.0, spent_us * 1_000 / (windows * self.width_ns)) if windows else 0.0

    def _widen(self) -> None:
        self.width_ns *= 2
        narrow, self._windows = self._windows, {}
        for number, window in narrow.items():
            self._windows.setdefault(number // 2, Window()).take(window)
