"""One timer of the event loop, for whatever is due first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Alarm:
    """Rings at the earliest time it was set to. The loop's clock is coarse: who is rung up looks at his own clock.

    Safety: one event loop.
    """

    def __init__(self, now_ns: Callable[[], int], ring: Callable[[], None]) -> None:
        self._now_ns = now_ns
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._at_ns = 0

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns`, or sooner if it was set to that."""
        if self._handle is not None:
            if self._at_ns <= at_ns:
                return
            self._handle.cancel()
        self._at_ns = at_ns
        delay_s = max(0, at_ns - self._now_ns()) / 1e9
        self._handle = asyncio.get_running_loop().call_later(delay_s, self._fire)

    def stop(self) -> None:
        """Don't ring any more, until it is set again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._ring()
