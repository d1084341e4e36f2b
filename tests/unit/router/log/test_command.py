"""The journal over a store whose every write the test decides."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from budgets.clock import SystemClock
from router.log import Checkpoint, GroupJournal, GroupLog, LogFenced, LogSettings, LogUnavailable, Row, SqliteStore
from tests.journals import entry, told
from tests.log_records import record
from tests.log_stores import WITHIN_S, ScriptedStore, attempted

Scenario = Callable[[GroupLog, GroupJournal, ScriptedStore], Awaitable[None]]


def drive(path: Path, scenario: Scenario, *, queue: int = 10_000, command_queue: int = 10_000) -> ScriptedStore:
    """Run a scenario with a started log and journal. Commands are recovered from a file, and written to a script."""
    store = ScriptedStore()
    chosen = LogSettings(path=str(path / "takt.sqlite"), queue=queue, command_queue=command_queue)
    past = SqliteStore(chosen, SystemClock())
    past.open()
    past.close()

    async def main() -> None:
        log = GroupLog(store, chosen, SystemClock())
        journal = GroupJournal(log.writer, past.commands)
        await log.start()
        await journal.start()
        try:
            await scenario(log, journal, store)
        finally:
            store.gate.set()
            await journal.close()
            await log.close()

    asyncio.run(asyncio.wait_for(main(), WITHIN_S))
    return store


def test_a_crowd_of_decisions_delays_a_command_by_one_group(tmp_path: Path) -> None:
    async def scenario(log: GroupLog, journal: GroupJournal, store: ScriptedStore) -> None:
        store.gate.clear()
        log.append(record(0))
        await attempted(store)
        for number in range(1, 6_000):
            log.append(record(number))
        journal.append(entry(1))
        store.gate.set()
        await journal.commit()

    store = drive(tmp_path, scenario)
    assert store.steps[:2] == [[], [entry(1)]]
    assert [len(group) for group in store.groups[:3]] == [1, 1024, 1024]
    assert sum(map(len, store.groups)) == 6_000


def test_a_full_queue_of_decisions_refuses_no_command_and_the_other_way_round(tmp_path: Path) -> None:
    async def scenario(log: GroupLog, journal: GroupJournal, store: ScriptedStore) -> None:
        store.gate.clear()
        assert [log.append(record(number)) for number in range(4)] == [True] * 3 + [False]
        assert [journal.append(entry(position)) for position in (1, 2)] == [True, True]
        assert not journal.has_room()
        assert not journal.append(entry(3))
        assert (journal.stats().queued, journal.stats().refused_total) == (2, 1)
        store.gate.set()
        await journal.commit()
        assert journal.has_room()
        assert journal.append(entry(3))
        await log.commit()
        assert log.append(record(5))

    store = drive(tmp_path, scenario, queue=3, command_queue=2)
    assert [step for group in store.steps for step in group] == [entry(1), entry(2), entry(3)]


def test_commands_wait_for_a_failing_store_and_none_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "takt.log")

    async def scenario(log: GroupLog, journal: GroupJournal, store: ScriptedStore) -> None:
        store.error = LogUnavailable("database or disk is full")
        for position in range(1, 301):
            assert journal.append(entry(position))
        journal.checkpoint(Checkpoint(300, (Row("task", "t", b"t"),)))
        waiting = asyncio.ensure_future(journal.commit())
        await attempted(store, 4)
        assert not waiting.done()
        assert (journal.stats().state, journal.stats().queued) == ("failing", 301)
        assert await journal.find("task", "t") == b"t"
        store.error = None
        await waiting
        assert (journal.stats().state, journal.stats().queued, journal.stats().written_total) == ("ok", 0, 301)

    store = drive(tmp_path, scenario)
    written = [step for group in store.steps for step in group]
    assert written == [*(entry(position) for position in range(1, 301)), Checkpoint(300, (Row("task", "t", b"t"),))]
    assert caplog.messages.count("log_failing") == caplog.messages.count("log_recovered") == 1


def test_a_checkpoint_needs_no_room(tmp_path: Path) -> None:
    async def scenario(_: GroupLog, journal: GroupJournal, store: ScriptedStore) -> None:
        store.gate.clear()
        journal.append(entry(1))
        journal.checkpoint(Checkpoint(1, (Row("task", "t", b"1"),)))
        journal.checkpoint(Checkpoint(1, (Row("task", "t", b"2"),)))
        assert await journal.find("task", "t") == b"2"  # the newest of those that wait
        assert not journal.has_room()
        store.gate.set()
        await journal.commit()

    store = drive(tmp_path, scenario, command_queue=1)
    assert len([step for group in store.steps for step in group]) == 3


def test_when_another_process_took_over_decisions_are_written_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(log: GroupLog, journal: GroupJournal, store: ScriptedStore) -> None:
        store.is_fenced = True
        log.append(record(1))
        journal.append(entry(1))
        waiters = [asyncio.ensure_future(journal.commit()) for _ in range(3)]
        await log.commit()
        with pytest.raises(LogUnavailable, match="taken the commands over"):
            await waiters[0]
        assert len(await asyncio.gather(*waiters, return_exceptions=True)) == 3
        assert not journal.append(entry(2))
        log.append(record(2))
        await log.commit()
        assert (log.stats().state, journal.stats().state) == ("ok", "fenced")

    store = drive(tmp_path, scenario)
    assert [r for group in store.groups for r in group] == [record(1), record(2)]
    assert [step for group in store.steps for step in group] == []
    assert caplog.messages.count("log_fenced") == 1


def test_a_server_that_has_nothing_to_write_learns_of_it_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.log.writer._TIDY_EVERY_NS", 1_000_000)

    async def scenario(log: GroupLog, journal: GroupJournal, store: ScriptedStore) -> None:
        store.tidy_error = LogFenced("another process has taken the commands over")
        log.append(record(1))
        await log.commit()
        for _ in range(100):  # the writer tells of it a moment after the store has
            assert await asyncio.to_thread(store.tidied.acquire, timeout=4)
            if journal.stats().state == "fenced":
                break
        assert journal.stats().state == "fenced"
        assert not journal.append(entry(1))
        assert log.stats().state == "ok"

    drive(tmp_path, scenario)
    assert caplog.messages.count("log_fenced") == 1


def test_closing_over_a_failing_store_tells_who_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.log.command._CLOSE_WITHIN_S", 0.01)

    async def scenario(log: GroupLog, journal: GroupJournal, store: ScriptedStore) -> None:
        store.error = LogUnavailable("gone")
        journal.append(entry(1))
        waiting = asyncio.ensure_future(journal.commit())
        await attempted(store)
        await journal.close()
        with pytest.raises(LogUnavailable):
            await waiting
        await log.close()

    drive(tmp_path, scenario)
    lost = caplog.records[caplog.messages.index("log_lost_at_close")]
    assert (vars(lost)["commands"], vars(lost)["why"]) == (1, "gone")


def test_the_log_may_be_closed_first(tmp_path: Path) -> None:
    async def scenario(log: GroupLog, journal: GroupJournal, _: ScriptedStore) -> None:
        journal.append(entry(1))
        waiting = asyncio.ensure_future(journal.commit())
        await log.close()
        await waiting
        assert not journal.has_room()
        with pytest.raises(LogUnavailable):
            await journal.find("task", "t")

    store = drive(tmp_path, scenario)
    assert store.steps[-1] == [entry(1)]


def test_a_store_that_is_down_on_purpose_recovers(tmp_path: Path) -> None:
    async def scenario(log: GroupLog, journal: GroupJournal, _: ScriptedStore) -> None:
        log.fault.down = True
        journal.append(entry(1))
        journal.checkpoint(Checkpoint(1, (Row("task", "t", b"t"),)))
        waiting = asyncio.ensure_future(journal.commit())
        assert await journal.find("task", "t") == b"t"
        for call in (journal.events("t", 0, 1), journal.events_since((0, 0), 1), journal.find("task", "u")):
            with pytest.raises(LogUnavailable, match="admin"):
                await call
        assert not waiting.done()
        log.fault.down = False
        await waiting
        log.fault.delay_ns = 30_000_000
        journal.append(entry(2))
        await journal.commit()
        assert journal.stats().last_commit_ns >= 30_000_000

    drive(tmp_path, scenario)


def test_nothing_is_taken_before_the_start(tmp_path: Path) -> None:
    async def main() -> None:
        chosen = LogSettings(path=str(tmp_path / "takt.sqlite"))
        store = SqliteStore(chosen, SystemClock())
        log = GroupLog(store, chosen, SystemClock())
        journal = GroupJournal(log.writer, store.commands)
        await log.start()
        assert not journal.has_room()
        assert not journal.append(entry(1))
        await journal.close()
        await log.close()

    asyncio.run(main())


def test_nothing_here_blocks_the_loop(tmp_path: Path) -> None:
    async def main() -> None:
        chosen = LogSettings(path=str(tmp_path / "takt.sqlite"))
        store = SqliteStore(chosen, SystemClock())
        log = GroupLog(store, chosen, SystemClock())
        journal = GroupJournal(log.writer, store.commands)
        await log.start()
        with blockbuster_ctx():
            await journal.start()
            for position in range(1, 101):
                journal.append(told(position))
            journal.checkpoint(Checkpoint(100, (Row("task", "t", b"t"),)))
            await journal.commit()
            assert await journal.find("task", "t") == b"t"
            assert len(await journal.events("t", 0, 1_000)) == 200
            assert len([each async for each in journal.history()]) == 100
            await journal.close()
        await log.close()

    asyncio.run(asyncio.wait_for(main(), WITHIN_S))
