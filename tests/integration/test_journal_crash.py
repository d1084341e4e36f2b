"""The journal after kill -9: all that was acknowledged is there, without gaps, and the rows are of their position."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from router.log import Checkpoint, Row
from tests.journals import OnDisk, entry, event
from tests.log_records import record

CRASHES = int(os.environ.get("TAKT_LOG_CRASHES", "5"))
TASKS = 7
KEPT = 5  # every fifth checkpoint ends the task that comes with it


def row(position: int) -> Row:
    """What command `position` did: it touched one task."""
    return Row("task", str(position % TASKS), str(position).encode(), is_kept=position % KEPT == 0)


def fold(positions: range) -> dict[str, bytes]:
    """The open tasks after commands."""
    tasks: dict[str, bytes] = {}
    for position in positions:
        one = row(position)
        tasks.pop(one.id, None)
        if not one.is_kept and one.body is not None:
            tasks[one.id] = one.body
    return tasks


async def _append_for_ever(path: str) -> None:
    """The child: tells each position when its commit resolved; decisions and checkpoints come in between."""
    process = OnDisk(Path(path))
    found = await process.start()
    position = found.position + len(found.entries)
    changed: dict[str, Row] = {row(each.position).id: row(each.position) for each in found.entries}

    async def tell(last: int) -> None:
        await process.journal.commit()
        os.write(1, f"{last}\n".encode())

    tasks = set()
    while True:
        for _ in range(random.randrange(1, 6)):
            position += 1
            changed[row(position).id] = row(position)
            events = event(position, 0, row(position).id, position), event(position, 1, "resource", position)
            assert process.journal.append(entry(position, *events, epoch=found.epoch))
            process.log.append(record(position, text="x" * 200))
            tasks.add(telling := asyncio.ensure_future(tell(position)))
            telling.add_done_callback(tasks.discard)
        if position % 11 == 0:
            process.journal.checkpoint(Checkpoint(position, tuple(changed.values())))
            changed.clear()
        await asyncio.sleep(0.001)  # the pace of the load, not a wait for a result


def _crash(path: Path, after: int) -> int:
    """Kill the child when it has told `after` lines; returns the last position it acknowledged."""
    root = Path(__file__).parents[2]
    command = [sys.executable, __file__, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(after)]
        child.kill()
        lines += child.stdout.readlines()
    return max(int(line) for line in lines if line.endswith(b"\n"))


@pytest.mark.integration
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Each crash goes on where the one before ended."""
    path = tmp_path / "takt.sqlite"

    async def check(acknowledged: int, crashes: int) -> None:
        process = OnDisk(path)
        found = await process.start()
        last = found.position + len(found.entries)
        assert last >= acknowledged
        assert found.epoch == 2 * crashes
        assert {id_: body for _, id_, body in found.rows} == fold(range(1, found.position + 1))
        assert [each.position for each in found.entries] == list(range(found.position + 1, last + 1))
        placed = await process.journal.events_since((0, 0), 10 * last)
        assert [each[:2] for each in placed] == [(at, number) for at in range(1, last + 1) for number in (0, 1)]
        assert [each.position async for each in process.journal.history()] == list(range(1, last + 1))
        await process.close()

    for crash in range(1, CRASHES + 1):
        acknowledged = _crash(path, random.Random(crash).randrange(50, 400))
        asyncio.run(check(acknowledged, crash))


if __name__ == "__main__":
    asyncio.run(_append_for_ever(sys.argv[1]))
