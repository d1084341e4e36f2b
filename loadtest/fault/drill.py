"""Plays a timeline of faults, and writes down what really happened."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from loadtest.fault.actor import Actor, FaultFailed
from loadtest.fault.timeline import Event, describe
from loadtest.quantity import S
from loadtest.run import FaultRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from loadtest.scenario.spec import FaultSpec


class Drill:
    """Breaks what the events say when they say it. A fault that fails is written down and ends nothing.

    Args:
        faults: the scenario's, which the events name by index.
        actors: for every kind of the events.
        origin_ns: when the run starts, by `now_ns`.
    """

    def __init__(
        self, faults: Sequence[FaultSpec], actors: Mapping[str, Actor], now_ns: Callable[[], int], origin_ns: int
    ) -> None:
        self._faults, self._actors = faults, actors
        self._now_ns, self._origin_ns = now_ns, origin_ns
        self._active: dict[int, FaultRecord] = {}
        self._ended: list[FaultRecord] = []
        self._unmended: set[str] = set()  # kinds of which something is, or may be, broken

    @property
    def records(self) -> tuple[FaultRecord, ...]:
        """The faults that have begun, in the order of their beginnings; all that have ended after `play`."""
        return tuple(sorted([*self._ended, *self._active.values()], key=lambda record: record.begin_ns))

    async def play(self, events: Sequence[Event]) -> None:
        """Return after the last event. In the end nothing is broken any more, also if this is cancelled."""
        kinds = sorted({event.kind for event in events})
        async with asyncio.TaskGroup() as group:  # a frozen server that hears of no other fault must still be thawed
            for kind in kinds:
                group.create_task(self._play_kind(kind, [event for event in events if event.kind == kind]))

    async def _play_kind(self, kind: str, events: Sequence[Event]) -> None:
        try:
            for event in events:
                while (gap_ns := self._origin_ns + event.at_ns - self._now_ns()) > 0:
                    await asyncio.sleep(gap_ns / S)
                await self._apply(event)
        finally:
            await self._clear(kind)

    async def _apply(self, event: Event) -> None:
        error = await self._try(event)
        now_ns = self._now_ns() - self._origin_ns
        for at in event.ended:
            self._end(at, now_ns, error)
        for at in event.begun:
            fault = self._faults[at]
            self._active[at] = FaultRecord(
                kind=fault.kind, what=describe(fault), begin_ns=now_ns, end_ns=now_ns, error=error
            )

    async def _clear(self, kind: str) -> None:
        if kind not in self._unmended:
            return
        error = await self._try(Event(0, kind, None))
        for at in [at for at in self._active if self._faults[at].kind == kind]:
            self._end(at, self._now_ns() - self._origin_ns, error)

    async def _try(self, event: Event) -> str:
        """What went wrong, or nothing."""
        self._unmended.add(event.kind)
        try:
            await self._actors[event.kind].apply(event.state)
        except FaultFailed as failed:
            return str(failed)
        if event.state is None:
            self._unmended.discard(event.kind)
        return ""

    def _end(self, at: int, now_ns: int, error: str) -> None:
        begun = self._active.pop(at)
        self._ended.append(
            FaultRecord(
                kind=begun.kind, what=begun.what, begin_ns=begun.begin_ns, end_ns=now_ns, error=begun.error or error
            )
        )
