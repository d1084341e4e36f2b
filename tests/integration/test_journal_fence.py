"""Servers that take the commands over from each other under load: a stale one writes nothing and says so."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from router.log import LogFenced
from tests.journals import OnDisk, entry, event
from tests.log_records import record

SERVERS = 4
AT_ONCE = 5
"""Commands for each commit; of the last ones some may be durable, and not acknowledged."""
COMMITS = 100
"""That a server tells before the next one starts."""


async def _serve(path: str) -> None:
    """The child: tells each position when its commit resolved, until another server has taken over."""
    process = OnDisk(Path(path))
    found = await process.start()
    acknowledged = position = found.position + len(found.entries)
    try:
        while True:
            for _ in range(AT_ONCE):
                position += 1
                process.log.append(record(found.epoch * 1_000_000 + position))
                if not process.journal.append(entry(position, event(position, 0, "t", position), epoch=found.epoch)):
                    break
            await process.journal.commit()
            acknowledged = position
            os.write(1, f"{position}\n".encode())
    except LogFenced:
        await process.log.commit()  # decisions are still written
        os.write(1, f"{found.epoch} {acknowledged} {process.journal.stats().state}\n".encode())
    await process.close()


@pytest.mark.integration
def test_a_server_that_was_taken_over_writes_nothing_any_more(tmp_path: Path) -> None:
    path = tmp_path / "takt.sqlite"
    command = [sys.executable, __file__, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    servers: list[subprocess.Popen[str]] = []

    async def look() -> dict[int, int]:
        """Take over from the last one; returns the last position of each epoch."""
        process = OnDisk(path)
        assert (await process.start()).epoch == SERVERS + 1
        entries = [each async for each in process.journal.history()]
        await process.close()
        assert [each.position for each in entries] == list(range(1, len(entries) + 1))
        assert [each.epoch for each in entries] == sorted(each.epoch for each in entries)
        return {each.epoch: each.position for each in entries}

    try:
        for _ in range(SERVERS):
            servers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
            assert servers[-1].stdout is not None
            for _ in range(COMMITS):
                assert servers[-1].stdout.readline()
        last = asyncio.run(look())
        told = [server.communicate(timeout=30)[0].split("\n")[-2].split() for server in servers]
    finally:
        for server in servers:
            server.kill()
            server.wait()
    assert [(epoch, state) for epoch, _, state in told] == [(str(each), "fenced") for each in range(1, SERVERS + 1)]
    for epoch, acknowledged, _ in told:
        assert 0 <= last[int(epoch)] - int(acknowledged) < AT_ONCE


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
