from __future__ import annotations

import asyncio

from router.log import MemoryLog
from tests.log_records import name, record


def test_only_the_newest_are_kept() -> None:
    async def scenario() -> None:
        log = MemoryLog(most=3)
        for number in range(5):
            assert log.append(record(number))
        assert await log.get(name(1)) is None
        assert await log.get(name(2)) == record(2)
        assert log.stats().written_total == 5

    asyncio.run(scenario())
