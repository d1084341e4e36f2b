from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from budgets.clock import ManualClock, SystemClock
from router.log import DecisionRecord, GroupLog, LogRefused, LogSettings, LogUnavailable, SqliteStore
from router.log.journal import Step
from router.log.sqlite.file import live_bytes
from tests.log_records import name, record, settings

DAY_NS = 86_400_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "takt.sqlite"


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def opened(path: Path, clock: ManualClock | SystemClock | None = None, **more: int) -> SqliteStore:
    store = SqliteStore(LogSettings(path=str(path), **more), clock or ManualClock())  # type: ignore[arg-type]
    store.open()
    return store


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM decisions").fetchone()[0])


def test_a_file_is_made_with_its_folder_and_opened_again(path: Path) -> None:
    store = opened(path)
    store.write([record(1)])
    store.close()
    again = opened(path)
    assert again.find(name(1)) == record(1)
    again.close()


def test_it_is_read_without_being_opened(path: Path) -> None:
    store = opened(path)
    store.write([record(1)])
    reader = SqliteStore(settings(path), SystemClock())
    assert reader.find(name(1)) == record(1)  # beside the writer
    store.close()
    assert reader.find(name(1)) == record(1)  # without one


def test_a_commit_reaches_the_disk(path: Path) -> None:
    store = opened(path)
    with store.transaction() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    store.close()


def test_a_record_that_can_not_be_encoded_is_left_out(path: Path) -> None:
    store = opened(path)
    assert store.write([record(1), record(2, text="\ud800"), record(3)]) == 1
    assert store.find(name(2)) is None
    assert store.find(name(3)) == record(3)
    assert store.write([record(4, text="\ud800")]) == 1
    store.close()


def test_old_records_are_deleted_in_small_batches(path: Path) -> None:
    clock = ManualClock()
    store = opened(path, clock, retention_days=1)
    store.write([record(number, at_ns=clock.wall_ns()) for number in range(700)])
    clock.advance(DAY_NS // 2)
    store.write([record(number, at_ns=clock.wall_ns()) for number in range(700, 900)])
    assert not store.tidy()
    clock.advance(DAY_NS // 2 + 1)
    assert store.tidy()
    assert count(path) == 400
    assert store.tidy()
    assert not store.tidy()
    assert count(path) == 200
    assert store.find(name(699)) is None
    assert store.find(name(700)) is not None
    store.close()


def test_a_clock_that_was_ahead_keeps_nothing_behind_it(path: Path) -> None:
    clock = ManualClock()
    store = opened(path, clock, retention_days=1)
    ahead_ns = clock.wall_ns() + 1_000 * DAY_NS
    store.write([record(number, at_ns=ahead_ns) for number in range(1200)])
    store.write([record(number, at_ns=clock.wall_ns()) for number in range(1200, 2000)])
    clock.advance(DAY_NS + 1)
    store.write([record(2000, at_ns=clock.wall_ns())])
    for _ in range(2):
        for _ in range(10):
            if not store.tidy():
                break
        else:
            pytest.fail("tidy has no end")
    assert store.find(name(1200)) is None
    assert count(path) == 1200 + 1  # what a clock in the future wrote may be of this minute
    store.close()


@pytest.mark.usefixtures("usual_umask")
def test_only_the_owner_can_read_what_customers_wrote(path: Path) -> None:
    store = opened(path)
    store.write([record(1)])
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["takt.sqlite", "takt.sqlite-shm", "takt.sqlite-wal"]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 3
    store.close()


def test_a_record_that_can_not_be_read_is_named(path: Path) -> None:
    store = opened(path)
    store.write([record(1), record(2)])
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE decisions SET record = x'c1' WHERE decision_id = ?", (name(1),))
        connection.commit()
    reader = SqliteStore(settings(path), SystemClock())
    with pytest.raises(LogRefused, match=name(1)):
        reader.find(name(1))
    assert reader.find(name(2)) == record(2)


def test_the_oldest_go_when_all_are_too_many(path: Path) -> None:
    store = opened(path, max_bytes=1_000_000)
    for start in range(0, 3000, 1000):
        store.write([record(number, text="x" * 400) for number in range(start, start + 1000)])
    while store.tidy():
        pass
    with store.transaction() as connection:
        assert 500_000 < live_bytes(connection) <= 1_000_000
    assert store.find(name(0)) is None
    assert store.find(name(2999)) is not None
    store.close()


def test_a_newer_schema_is_refused(path: Path) -> None:
    opened(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 3")
    with pytest.raises(LogRefused, match="schema is version 3, this Takt knows 2"):
        opened(path)
    with pytest.raises(LogRefused, match="schema is version 3"):
        SqliteStore(settings(path), SystemClock()).find(name(1))


def test_another_programs_file_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(LogRefused, match="no Takt log"):
        opened(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["garbage", "truncated"])
def test_a_damaged_file_is_refused_and_unchanged(path: Path, damage: str) -> None:
    store = opened(path)
    store.write([record(number) for number in range(200)])
    store.close()
    content = path.read_bytes()
    path.write_bytes(b"not a database " * 500 if damage == "garbage" else content[: len(content) // 2])
    before = path.read_bytes()
    with pytest.raises(LogRefused, match=r"move takt\.sqlite aside"):
        opened(path)
    assert path.read_bytes() == before
    with pytest.raises(LogUnavailable, match="aside"):
        SqliteStore(settings(path), SystemClock()).find(name(1))


def test_a_path_that_can_not_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogRefused, match="make its folder writable"):
        opened(tmp_path / "file" / "takt.sqlite")
    with pytest.raises(LogRefused, match="no such file"):
        SqliteStore(settings(tmp_path / "nothing"), SystemClock()).find(name(1))


def test_a_locked_file_fails_the_write_whole_and_can_be_tried_again(path: Path) -> None:
    store = opened(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailable, match="another process"):
            store.write([record(1), record(2)])
        assert store.find(name(1)) is None
        other.execute("ROLLBACK")
    store.write([record(1), record(2)])
    assert count(path) == 2
    store.close()


class TightStore(SqliteStore):
    """A store on a disk of `pages` pages."""

    pages = 1_000_000

    def write(self, records: list[DecisionRecord], steps: Sequence[Step] = ()) -> int:
        """Set the limit in the writer's thread, whose connection it belongs to."""
        self._connection.execute(f"PRAGMA max_page_count = {self.pages}")
        return super().write(records, steps)


def test_a_full_disk_loses_only_what_the_queue_could_not_hold(path: Path) -> None:
    async def scenario() -> None:
        chosen = settings(path, queue=300)
        store = TightStore(chosen, SystemClock())
        store.pages = 40
        log = GroupLog(store, chosen, SystemClock())
        await log.start()
        taken = set()
        number = 0
        while not log.stats().dropped_total:  # the disk fills, then the queue
            if log.append(record(number, text="x" * 300)):
                taken.add(number)
            number += 1
            if number % 100 == 0 and log.stats().state == "ok":
                done, _ = await asyncio.wait([asyncio.ensure_future(log.commit())], timeout=0.2)
                assert done or log.stats().state == "failing"
        assert log.stats().queued == 300
        assert "free space on its disk" in log.stats().last_error
        assert await log.get(name(0)) is not None  # reading goes on
        store.pages = 1_000_000
        await log.commit()
        stats = log.stats()
        assert (stats.state, stats.written_total, stats.dropped_total) == ("ok", len(taken), 1)
        await log.close()
        assert count(path) == len(taken) == number - 1

    asyncio.run(asyncio.wait_for(scenario(), 30))
