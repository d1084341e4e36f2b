"""The alarm: rings once, at the earliest time."""

from __future__ import annotations

import asyncio

from router.desk.alarm import Alarm
from tests.virtual import MS, VirtualLoop, run


def test_it_rings_at_the_earliest_time_it_was_set_to() -> None:
    async def main(loop: VirtualLoop) -> None:
        rung: list[int] = []
        alarm = Alarm(loop.clock.now_ns, lambda: rung.append(loop.clock.now_ns()))
        for at_ns in (50 * MS, 30 * MS, 40 * MS):
            alarm.set(at_ns)
        await asyncio.sleep(1)
        assert rung == [30 * MS]
        alarm.set(500 * MS)  # has passed: at once
        await asyncio.sleep(0.001)
        assert rung == [30 * MS, 1_000 * MS]
        alarm.set(2_000 * MS)
        alarm.stop()
        alarm.stop()
        await asyncio.sleep(5)
        assert len(rung) == 2
        alarm.set(7_000 * MS)
        await asyncio.sleep(5)
        assert len(rung) == 3

    run(main)
