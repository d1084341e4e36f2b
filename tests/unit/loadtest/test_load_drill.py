"""Faults are played at their times, written down as they were, and always ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from loadtest.fault.actor import FaultFailed
from loadtest.fault.drill import Drill
from loadtest.fault.timeline import timeline
from loadtest.quantity import Ns, S
from loadtest.run import FaultRecord
from loadtest.scenario.spec import FaultSpec
from tests import virtual

if TYPE_CHECKING:
    from collections.abc import Sequence

ORIGIN_NS = 2 * S


class Noted:
    """An actor that notes what it was told and when; fails, or takes its time, where the test says."""

    def __init__(self, loop: virtual.VirtualLoop, failing: Sequence[int] = (), takes_s: float = 0.0) -> None:
        self.told: list[tuple[float, Any]] = []
        self._loop, self._failing, self._takes_s = loop, failing, takes_s

    async def apply(self, state: dict[str, Any] | None) -> None:
        self.told.append((self._loop.time() - 2, state))
        await asyncio.sleep(self._takes_s)
        if len(self.told) - 1 in self._failing:
            raise FaultFailed("would not")


def server(at_s: int, for_s: int, **what: Any) -> FaultSpec:
    return FaultSpec(at=Ns(at_s * S), for_=Ns(for_s * S), kind="server", set=what)


def sigstop(at_s: int, for_s: int) -> FaultSpec:
    return FaultSpec(at=Ns(at_s * S), for_=Ns(for_s * S), kind="sigstop")


def drill(loop: virtual.VirtualLoop, faults: list[FaultSpec], **actors: Noted) -> Drill:
    return Drill(faults, actors, loop.clock.now_ns, ORIGIN_NS)


def test_faults_happen_at_their_times_from_the_origin() -> None:
    faults = [server(1, 2, store={"down": True}), sigstop(2, 3)]

    async def main(loop: virtual.VirtualLoop) -> None:
        one, other = Noted(loop), Noted(loop)
        played = drill(loop, faults, server=one, sigstop=other)
        await played.play(timeline(faults))
        assert one.told == [(1, {"store": {"down": True}}), (3, None)]
        assert other.told == [(2, {}), (5, None)]
        assert played.records == (
            FaultRecord(kind="server", what="store.down=True", begin_ns=1 * S, end_ns=3 * S),
            FaultRecord(kind="sigstop", what="frozen", begin_ns=2 * S, end_ns=5 * S),
        )

    virtual.run(main)


def test_a_fault_that_fails_is_written_down_and_ends_nothing() -> None:
    faults = [server(0, 1, a=1), server(2, 1, b=1)]

    async def main(loop: virtual.VirtualLoop) -> None:
        actor = Noted(loop, failing=[0])
        played = drill(loop, faults, server=actor)
        await played.play(timeline(faults))
        assert [record.error for record in played.records] == ["would not", ""]
        assert actor.told[1:] == [(1, None), (2, {"b": 1}), (3, None)]

    virtual.run(main)


def test_a_slow_actor_does_not_hold_up_another() -> None:
    faults = [server(0, 9, a=1), sigstop(1, 1)]

    async def main(loop: virtual.VirtualLoop) -> None:
        frozen = Noted(loop)
        await drill(loop, faults, server=Noted(loop, takes_s=5), sigstop=frozen).play(timeline(faults))
        assert frozen.told == [(1, {}), (2, None)]

    virtual.run(main)


@pytest.mark.parametrize(("until_s", "recorded"), [(0.5, []), (2.0, [(1 * S, 2 * S)])])
def test_who_is_cancelled_mends_everything_first(until_s: float, recorded: list[tuple[int, int]]) -> None:
    faults = [server(1, 60, a=1)]

    async def main(loop: virtual.VirtualLoop) -> None:
        actor = Noted(loop)
        played = drill(loop, faults, server=actor)
        task = asyncio.create_task(played.play(timeline(faults)))
        await asyncio.sleep(2 + until_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [(record.begin_ns, record.end_ns) for record in played.records] == recorded
        assert actor.told[1:] == ([(until_s, None)] if recorded else [])

    virtual.run(main)


def test_who_is_cancelled_while_a_fault_begins_mends_it_too() -> None:
    faults = [server(1, 60, a=1)]

    async def main(loop: virtual.VirtualLoop) -> None:
        actor = Noted(loop, takes_s=2)
        task = asyncio.create_task(drill(loop, faults, server=actor).play(timeline(faults)))
        await asyncio.sleep(4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert actor.told == [(1, {"a": 1}), (2, None)]

    virtual.run(main)


def test_what_could_not_be_mended_is_tried_again_in_the_end() -> None:
    faults = [server(0, 1, a=1)]

    async def main(loop: virtual.VirtualLoop) -> None:
        actor = Noted(loop, failing=[1])
        played = drill(loop, faults, server=actor)
        await played.play(timeline(faults))
        assert [state for _, state in actor.told] == [{"a": 1}, None, None]
        assert played.records[0].error == "would not"

    virtual.run(main)
