"""Commands in a file: who may read and write it, what is deleted, and what a full disk does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from budgets.clock import ManualClock, SystemClock
from router.log import (
    Checkpoint,
    DecisionRecord,
    Entry,
    LogFenced,
    LogRefused,
    LogSettings,
    LogUnavailable,
    Row,
    SqliteStore,
)
from router.log.journal import Step
from router.log.sqlite.file import live_bytes
from tests.journals import OnDisk, entry, event, told
from tests.log_records import name, record, settings

DAY_NS = 86_400_000_000_000
OPEN = Row("task", "open", b"open")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "takt.sqlite"


def opened(path: Path, clock: ManualClock | SystemClock | None = None, **more: int) -> SqliteStore:
    store = SqliteStore(LogSettings(path=str(path), **more), clock or ManualClock())  # type: ignore[arg-type]
    store.open()
    store.commands.take_over()
    return store


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def tidied(store: SqliteStore) -> int:
    """Tidy to the end; returns how often there was more."""
    for times in range(100):
        if not store.tidy():
            return times
    pytest.fail("tidy has no end")


def plain(*positions: int) -> list[Entry]:
    return [entry(position) for position in positions]


def as_version_1(path: Path) -> None:
    """Make of a file what a Takt without commands wrote."""
    with closing(sqlite3.connect(path)) as connection:
        for table in ("commands", "events", "state", "ended", "side", "journal"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 1")


def test_commands_are_read_beside_the_writer_and_without_one(path: Path) -> None:
    store = opened(path)
    store.write([], [told(1), told(2)])
    reader = SqliteStore(settings(path), SystemClock())
    assert list(reader.commands.entries()) == plain(1, 2)
    store.close()
    assert list(reader.commands.entries(2)) == plain(2)
    assert reader.commands.events("t", 2, 9) == [b"2-0", b"2-1"]


def test_reading_does_not_take_over(path: Path) -> None:
    store = opened(path)
    list(SqliteStore(settings(path), SystemClock()).commands.entries())
    store.write([], [entry(1)])
    assert count(path, "commands") == 1
    store.close()


def test_a_group_that_is_written_twice_is_there_once(path: Path) -> None:
    store = opened(path)
    for _ in range(2):
        store.write([record(1)], [told(1), Checkpoint(1, (OPEN, Row("task", "x", b"x", is_kept=True)))])
    assert [count(path, table) for table in ("commands", "events", "state", "ended", "decisions")] == [1, 2, 1, 1, 1]
    store.close()


def test_a_stale_writers_group_is_refused_whole(path: Path) -> None:
    stale = opened(path)
    stale.write([], [entry(1)])
    fresh = opened(path)
    with pytest.raises(LogFenced, match="taken the commands over"):
        stale.write([record(1)], [entry(2), Checkpoint(2, (OPEN,))])
    assert [count(path, table) for table in ("commands", "state", "decisions")] == [1, 0, 0]
    with pytest.raises(LogFenced, match="taken the commands over"):
        stale.tidy()
    fresh.tidy()
    stale.write([record(1)])
    fresh.write([], [entry(2, epoch=2)])
    assert [each.epoch for each in fresh.commands.entries()] == [1, 2]
    stale.close()
    fresh.close()


def test_commands_that_are_missing_are_told(path: Path) -> None:
    store = opened(path)
    store.write([], [told(1), told(2), told(3)])
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM commands WHERE position = 2")
        connection.commit()
    with pytest.raises(LogRefused, match="command 2 is missing"):
        opened(path)


def test_a_file_of_decisions_only_is_taken_on(path: Path) -> None:
    store = opened(path)
    store.write([record(1)])
    store.close()
    as_version_1(path)
    reader = SqliteStore(settings(path), SystemClock())
    assert reader.find(name(1)) == record(1)
    assert list(reader.newest()) == [record(1)]
    with pytest.raises(LogRefused, match="from before there were commands"):
        list(reader.commands.entries())
    again = opened(path)
    again.write([record(2)], [entry(1)])
    assert list(reader.commands.entries()) == plain(1)
    assert reader.find(name(1)) == record(1)
    again.close()


def test_old_commands_before_the_checkpoint_are_deleted_with_their_events(path: Path) -> None:
    clock = ManualClock()
    store = opened(path, clock, retention_days=1)
    store.write([], [told_at(position, clock) for position in range(1, 1_201)])
    store.write([], [Checkpoint(1_200, (OPEN,))])
    clock.advance(DAY_NS // 2)
    store.write([], [told_at(position, clock) for position in range(1_201, 1_301)])
    assert tidied(store) == 0
    clock.advance(DAY_NS // 2 + 1)
    assert tidied(store) == 2  # 500, 500, 200
    assert [each.position for each in store.commands.entries()] == list(range(1_201, 1_301))
    assert count(path, "events") == 100
    clock.advance(DAY_NS)
    assert tidied(store) == 0  # no checkpoint has what they did
    assert count(path, "commands") == 100
    store.write([], [Checkpoint(1_300, ())])
    tidied(store)
    assert (count(path, "commands"), count(path, "events")) == (0, 0)
    found = store.commands.take_over()
    assert (found.position, found.rows, found.entries) == (1_300, [OPEN[:3]], [])
    store.close()


def told_at(position: int, clock: ManualClock) -> Entry:
    return entry(position, event(position, 0, "t", position), at_ns=clock.wall_ns())


def test_ended_tasks_are_kept_for_their_time_and_open_ones_for_ever(path: Path) -> None:
    clock = ManualClock()
    store = opened(path, clock, retention_days=1)
    ended = [Row("task", f"e{number}", b"e", is_kept=True) for number in range(700)]
    store.write([], [entry(1), Checkpoint(1, (OPEN, *ended))])
    clock.advance(DAY_NS // 2)
    store.write([], [entry(2), Checkpoint(2, (Row("task", "late", b"l", is_kept=True),))])
    clock.advance(DAY_NS // 2 + 1)
    tidied(store)
    assert store.commands.find("task", "e699") is None
    assert store.commands.find("task", "late") == b"l"
    assert store.commands.find("task", "open") == b"open"
    clock.advance(1_000 * DAY_NS)
    tidied(store)
    assert count(path, "ended") == 0
    assert store.commands.find("task", "open") == b"open"
    store.close()


def test_when_all_is_too_much_the_oldest_of_what_may_go_goes(path: Path) -> None:
    clock = ManualClock()
    store = opened(path, clock, max_bytes=1_000_000)
    big = b"x" * 400
    for start in range(1, 1_501, 500):
        store.write([], [entry(p, at_ns=clock.wall_ns(), command=big) for p in range(start, start + 500)])
        clock.advance(1)
        store.write([record(p, at_ns=clock.wall_ns(), text="x" * 400) for p in range(start, start + 500)])
        clock.advance(1)
    store.write([], [Checkpoint(1_400, (OPEN, *(Row("task", f"e{n}", big, is_kept=True) for n in range(500))))])
    clock.advance(1)
    store.write([record(p, at_ns=clock.wall_ns(), text="x" * 400) for p in range(2_000, 2_100)])
    tidied(store)
    with store.transaction() as connection:
        assert 400_000 < live_bytes(connection) <= 1_000_000
    kept = [each.position for each in store.commands.entries()]
    assert kept[0] > 500
    assert kept[-100:] == list(range(1_401, 1_501))
    assert store.find(name(1)) is None
    assert store.find(name(2_099)) is not None
    assert store.commands.find("task", "open") == b"open"
    store.close()


def test_what_a_restart_needs_is_never_deleted_however_much_it_is(path: Path) -> None:
    store = opened(path, max_bytes=1_000_000)
    rows = tuple(Row("task", f"t{number}", b"x" * 1_000) for number in range(1_500))
    store.write([record(1)], [entry(1), Checkpoint(1, rows), entry(2, command=b"x" * 1_000_000)])
    tidied(store)
    found = store.commands.take_over()
    assert (len(found.rows), [each.position for each in found.entries]) == (1_500, [2])
    store.close()


class TightStore(SqliteStore):
    """A store on a disk of `pages` pages."""

    pages = 1_000_000

    def write(self, records: list[DecisionRecord], steps: Sequence[Step] = ()) -> int:
        """Set the limit in the writer's thread, whose connection it belongs to."""
        self._connection.execute(f"PRAGMA max_page_count = {self.pages}")
        return super().write(records, steps)


def test_on_a_full_disk_commands_wait_and_all_that_were_taken_come_through(path: Path) -> None:
    async def scenario() -> None:
        chosen = LogSettings(path=str(path), command_queue=300, retention_days=36_500)
        store = TightStore(chosen, SystemClock())
        store.pages = 80
        process = OnDisk(path, chosen, store)
        await process.start()
        journal, position, waiting = process.journal, 1, []
        while journal.append(told(position)):  # the disk fills, then the queue
            if position % 50 == 0:
                journal.checkpoint(Checkpoint(position, (Row("task", f"t{position}", b"x" * 3_000),)))
                waiting.append(asyncio.ensure_future(journal.commit()))
                await asyncio.wait(waiting[-1:], timeout=0.05)
            position += 1
        assert "free space on its disk" in journal.stats().last_error
        assert not waiting[-1].done()
        assert waiting[0].done()
        assert len(await journal.events("t", 0, 2)) == 2  # reading goes on
        store.pages = 1_000_000
        await journal.commit()
        await asyncio.gather(*waiting)
        assert journal.stats().state == "ok"
        await process.close()
        found = OnDisk(path)
        recovered = await found.start()
        rows, last = len(recovered.rows), recovered.position
        assert (rows, last + len(recovered.entries)) == (last // 50, position - 1)
        await found.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_locked_file_fails_the_group_whole_and_can_be_tried_again(path: Path) -> None:
    store = opened(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailable, match="another process"):
            store.write([record(1)], [entry(1), Checkpoint(1, (OPEN,))])
        with pytest.raises(LogUnavailable, match="another process"):
            SqliteStore(settings(path), SystemClock()).commands.take_over()
        other.execute("ROLLBACK")
    store.write([record(1)], [entry(1), Checkpoint(1, (OPEN,))])
    assert [count(path, table) for table in ("commands", "state", "decisions")] == [1, 1, 1]
    store.close()
