"""What every adapter of the log port promises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from budgets.clock import SystemClock
from router.log import GroupLog, Log, LogUnavailable, MemoryLog, SqliteStore
from tests.log_records import FULL, name, record, settings

Scenario = Callable[[Log], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=["memory", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Run a scenario against a started log, which is closed afterwards."""

    def make() -> Log:
        if request.param == "memory":
            return MemoryLog()
        chosen = settings(tmp_path / "takt.sqlite")
        return GroupLog(SqliteStore(chosen, SystemClock()), chosen, SystemClock())

    async def main(scenario: Scenario) -> None:
        log = make()
        await log.start()
        try:
            await scenario(log)
        finally:
            await log.close()

    return lambda scenario: asyncio.run(asyncio.wait_for(main(scenario), 30))


def test_a_record_is_found_at_once_and_when_it_is_durable(run: Run) -> None:
    async def scenario(log: Log) -> None:
        assert log.append(FULL)
        assert await log.get("full") == FULL
        await log.commit()
        assert await log.get("full") == FULL

    run(scenario)


def test_an_unknown_id_has_no_record(run: Run) -> None:
    async def scenario(log: Log) -> None:
        log.append(record(1))
        assert await log.get("nobody") is None
        assert await log.get("") is None

    run(scenario)


def test_the_first_record_of_an_id_stays(run: Run) -> None:
    async def scenario(log: Log) -> None:
        log.append(record(1, text="first"))
        log.append(record(1, text="second"))
        await log.commit()
        log.append(record(1, text="third"))
        await log.commit()
        found = await log.get(name(1))
        assert found is not None
        assert found.text == "first"

    run(scenario)


def test_commit_covers_all_that_was_appended(run: Run) -> None:
    async def scenario(log: Log) -> None:
        await log.commit()  # nothing to wait for
        for number in range(3000):
            assert log.append(record(number))
        await log.commit()
        stats = log.stats()
        assert (stats.queued, stats.written_total, stats.dropped_total) == (0, 3000, 0)
        assert stats.state == "ok"
        for number in (0, 63, 64, 1023, 1024, 2999):
            assert await log.get(name(number)) == record(number)

    run(scenario)


def test_many_may_wait_for_a_commit_and_one_may_leave(run: Run) -> None:
    async def scenario(log: Log) -> None:
        waiters = []
        for number in range(50):
            log.append(record(number))
            waiters.append(asyncio.ensure_future(log.commit()))
        waiters[7].cancel()
        results = await asyncio.gather(*waiters, return_exceptions=True)
        assert [i for i, result in enumerate(results) if result is not None] in ([], [7])
        assert log.stats().written_total == 50

    run(scenario)


def test_a_closed_log_takes_nothing_and_says_so(run: Run) -> None:
    async def scenario(log: Log) -> None:
        log.append(record(1))
        await log.close()
        assert not log.append(record(2))
        stats = log.stats()
        assert (stats.written_total, stats.dropped_total) == (1, 1)
        with pytest.raises(LogUnavailable):
            await log.commit()

    run(scenario)
