"""What every log promises whose records can be read one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from pathlib import Path
from typing import Protocol

import pytest

from budgets.clock import SystemClock
from router.log import GroupLog, History, Log, LogRefused, MemoryLog, SqliteStore, base, since
from router.log.sqlite import decision
from tests.log_records import FULL, name, record, settings

Scenario = Callable[[Log, History], Awaitable[None]]


class Run(Protocol):
    def __call__(self, scenario: Scenario) -> None: ...


@pytest.fixture(params=["memory", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a scenario with a started log and, in place of another process, a history of it."""
    monkeypatch.setattr(decision, "_ROWS_A_PAGE", 7)

    async def main(scenario: Scenario) -> None:
        chosen = settings(tmp_path / "takt.sqlite")
        memory = MemoryLog()
        is_memory = request.param == "memory"
        log: Log = memory if is_memory else GroupLog(SqliteStore(chosen, SystemClock()), chosen, SystemClock())
        await log.start()
        try:
            await scenario(log, memory if is_memory else SqliteStore(chosen, SystemClock()))
        finally:
            await log.close()

    return lambda scenario: asyncio.run(asyncio.wait_for(main(scenario), 30))


def test_an_empty_log_has_no_records(run: Run) -> None:
    async def scenario(_: Log, history: History) -> None:
        assert list(history.newest()) == []

    run(scenario)


@pytest.mark.parametrize("count", [1, 6, 7, 8, 14, 50])
def test_all_records_come_once_the_last_written_first(run: Run, count: int) -> None:
    async def scenario(log: Log, history: History) -> None:
        log.append(FULL)
        for number in range(1, count):
            log.append(record(number))
        await log.commit()
        found = list(history.newest())
        assert [each.decision_id for each in found] == [*(name(n) for n in range(count - 1, 0, -1)), "full"]
        assert found[-1] == FULL

    run(scenario)


def test_what_is_written_while_it_is_read_is_left_out(run: Run) -> None:
    async def scenario(log: Log, history: History) -> None:
        for number in range(20):
            log.append(record(number))
        await log.commit()
        reading = history.newest()
        first = next(reading)
        for number in range(20, 40):
            log.append(record(number))
        await log.commit()
        assert [each.decision_id for each in (first, *reading)] == [name(n) for n in range(19, -1, -1)]

    run(scenario)


def test_reading_may_end_early_and_begin_again(run: Run) -> None:
    async def scenario(log: Log, history: History) -> None:
        for number in range(20):
            log.append(record(number))
        await log.commit()
        for _ in range(3):
            assert [each.decision_id for each in islice(history.newest(), 2)] == [name(19), name(18)]

    run(scenario)


def test_a_search_ends_after_many_old_records_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the clock was set back by more than a record or two."""
    monkeypatch.setattr(base, "_MANY", 3)
    times_ns = [9, 8, 1, 1, 7, 1, 2, 3, 9]
    assert [each.at_ns for each in since((record(0, at_ns=at_ns) for at_ns in times_ns), 7)] == [9, 8, 7]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LogRefused, match="there is no such file"):
        next(SqliteStore(settings(tmp_path / "none.sqlite"), SystemClock()).newest())
    assert list(tmp_path.iterdir()) == []


def test_the_writer_may_fold_in_its_wal_while_a_page_is_looked_at(tmp_path: Path) -> None:
    """A read that stays open for minutes would let the -wal file grow beside a busy server."""
    chosen = settings(tmp_path / "takt.sqlite")
    store = SqliteStore(chosen, SystemClock())
    store.open()
    store.write([record(number) for number in range(2_500)])
    reading = SqliteStore(chosen, SystemClock()).newest()
    next(reading)
    store.write([record(9_999)])
    busy, _, _ = store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0
    assert len(list(reading)) == 2_499
    store.close()
