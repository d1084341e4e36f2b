"""Statistics of the desk's queues and agents: what its journal tells of the last day, then what it tells itself.

start ──► aligned with the state: the figures of now are right, and windows begin here
      ──► in the background: the events of the last 24 hours, aligned, in place of the first
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from router.assign.event import Event
from router.insight.figures import Q
from router.insight.statistics import Statistics
from router.log.errors import LogError

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.desk.desk import Desk
    from router.insight.figures import L

_LOGGER = logging.getLogger("takt.insight")
_DAY_NS = 86_400 * 1_000_000_000
_PAGE = 500
"""Events that are folded before others have their turn: about 5 ms."""
_decode = msgspec.msgpack.Decoder(Event).decode


class Insight:
    """Safety: one event loop. `start` when the desk has its state."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._statistics: Statistics | None = None
        self._before: dict[tuple[str, Q], int] = {}  # totals as the server started
        self._is_aligned = True
        self._reading: asyncio.Task[None] | None = None
        self._end: Callable[[], None] | None = None

    @property
    def statistics(self) -> Statistics:
        """The best there is now: ask anew each time."""
        if self._statistics is None:
            raise RuntimeError("insight has not been started")
        return self._statistics

    def start(self) -> None:
        desk = self._desk
        self._statistics = Statistics(desk.state.policy)
        self._statistics.align(desk.state, desk.now_ns())
        self._end = desk.subscribe(self._hear)
        self._reading = asyncio.create_task(self._read(desk.state.position), name="statistics of the last day")

    async def close(self) -> None:
        if self._end is not None:
            self._end()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def settled(self) -> None:
        """When the last day has been read."""
        if self._reading is not None:
            await self._reading

    def level(self, queue: str, level: L) -> int:
        return self.statistics.level(queue, level)

    def longest_wait_s(self, queue: str) -> float:
        return self.statistics.longest_wait_s(queue, self._desk.now_ns())

    def total(self, queue: str, counter: Q) -> int:
        """Since the start of the server, however much of the last day was read."""
        return self.statistics.total(queue, counter) - self._before.get((queue, counter), 0)

    def _hear(self, events: tuple[Event, ...]) -> None:
        statistics, state = self.statistics, self._desk.state
        for event in events:
            if event.type == "policy.activated":
                statistics.adopt(state.policy)
            statistics.fold(event)
        self._align(statistics, events[-1].position)

    def _align(self, statistics: Statistics, position: int) -> None:
        """Once what was told is all there is: what is older than a day the state alone knows."""
        if not self._is_aligned and position == self._desk.state.position:
            statistics.align(self._desk.state, self._desk.now_ns())
            self._is_aligned = True

    async def _read(self, began: int) -> None:
        """Args: began: the position at the server's start."""
        desk, before = self._desk, dict[tuple[str, Q], int]()
        told = Statistics(desk.state.policy)
        try:
            cursor = await self._cursor(desk.now_ns() - _DAY_NS), 0
            while page := await desk.journal.events_since(cursor, _PAGE):
                for row in page:
                    if row.position > began and not before:
                        before = told.totals()
                    told.fold(_decode(row.body))
                cursor = page[-1].position, page[-1].number
                if len(page) < _PAGE:
                    break
                await asyncio.sleep(0)
        except (LogError, msgspec.MsgspecError) as error:
            _LOGGER.warning("statistics_begin_now", extra={"why": str(error)})
            return
        # Nobody else runs from here on. What was read and is still to be told is not counted again.
        told.adopt(desk.state.policy)
        self._statistics, self._before, self._is_aligned = told, before or told.totals(), False
        self._align(told, cursor[0])

    async def _cursor(self, since_ns: int) -> int:
        """A position whose events, and all before, are older."""
        low, high = 0, self._desk.state.position
        while low < high:
            middle = (low + high) // 2
            first = await self._desk.journal.events_since((middle, 0), 1)
            if first and _decode(first[0].body).at_ns < since_ns:
                low = middle + 1
            else:
                high = middle
        return max(0, low - 1)
