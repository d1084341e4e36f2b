"""The desk on a real disk: as in virtual time, with SQLite and its threads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from budgets.clock import SystemClock
from router.assign.command import CreateTask
from router.desk.desk import Desk
from router.log.errors import LogUnavailable
from tests.journals import OnDisk
from tests.virtual_desk import POLICY, create, never, sign_in

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration
PATIENCE_S = 20


def desk_on(disk: OnDisk) -> Desk:
    return Desk(disk.journal, SystemClock(), POLICY, never)


async def open_desk(path: Path) -> tuple[Desk, OnDisk]:
    disk = OnDisk(path)
    await disk.log.start()
    desk = desk_on(disk)
    await desk.start()
    return desk, disk


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        desk, disk = await open_desk(tmp_path / "log.sqlite")
        told: list[str] = []
        desk.subscribe(lambda events: told.extend(event.id for event in events))
        await sign_in(desk, "ana")
        await asyncio.gather(*(desk.submit(create(f"t{number}")) for number in range(1_200)))
        assert len(told) == len(set(told))
        await desk.close()
        await disk.close()
        again, disk = await open_desk(tmp_path / "log.sqlite")
        assert len(again.state.tasks) == 1_200
        assert again.state.epoch == 2
        assert await again.find_task("t7") == again.state.tasks["t7"]
        assert [event.type for event in await again.events("t7", 0, 5)] == ["task.queued"]
        await again.close()
        await disk.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))


def test_a_store_that_is_down_for_a_while(tmp_path: Path) -> None:
    async def main() -> None:
        desk, disk = await open_desk(tmp_path / "log.sqlite")
        disk.log.fault.down = True
        held = asyncio.create_task(desk.submit(create("t1")))
        while disk.journal.stats().state == "ok":
            await asyncio.sleep(0.005)
        with pytest.raises(LogUnavailable):
            await desk.submit(create("t2"))
        assert not held.done()
        disk.log.fault.down = False
        assert (await held).subject == "t1"
        await desk.submit(CreateTask(id="t2", queue="cards"))
        assert list(desk.state.tasks) == ["t1", "t2"]
        await desk.close()
        await disk.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))
