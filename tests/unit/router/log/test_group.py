"""The writer thread over a store whose every write the test decides."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable

import pytest
from blockbuster import blockbuster_ctx

from budgets.clock import SystemClock
from router.log import GroupLog, LogRefused, LogUnavailable
from tests.log_records import name, record, settings
from tests.log_stores import WITHIN_S, ScriptedStore, attempted


def drive(scenario: Callable[[GroupLog, ScriptedStore], Awaitable[None]], queue: int = 10_000) -> ScriptedStore:
    """Run a scenario with a started log and close it."""
    store = ScriptedStore()

    async def main() -> None:
        log = GroupLog(store, settings("unused", queue=queue), SystemClock())
        await log.start()
        try:
            await scenario(log, store)
        finally:
            store.gate.set()
            await log.close()

    asyncio.run(asyncio.wait_for(main(), WITHIN_S))
    return store


def test_records_appended_together_are_written_together() -> None:
    async def scenario(log: GroupLog, store: ScriptedStore) -> None:
        store.gate.clear()
        log.append(record(0))
        await attempted(store)
        for number in range(1, 500):
            log.append(record(number))
        waiting = asyncio.ensure_future(log.commit())
        store.gate.set()
        await waiting
        assert [len(group) for group in store.groups] == [1, 499]

    drive(scenario)


class LateDeque(deque[tuple[int, asyncio.Future[None]]]):
    """Appends only after the writer has made everything durable and looked for whom to tell."""

    def __init__(self, store: ScriptedStore) -> None:
        super().__init__()
        self._store = store
        self._looked = threading.Event()

    def __len__(self) -> int:
        self._looked.set()
        return super().__len__()

    def append(self, waiter: tuple[int, asyncio.Future[None]]) -> None:
        self._looked.clear()
        self._store.gate.set()
        assert self._looked.wait(WITHIN_S)
        super().append(waiter)


def test_a_commit_that_comes_in_just_after_its_group_was_settled_is_told() -> None:
    async def scenario(log: GroupLog, store: ScriptedStore) -> None:
        log._lane.waiters = LateDeque(store)
        store.gate.clear()
        log.append(record(0))
        await attempted(store)
        await log.commit()

    drive(scenario)


def test_a_record_is_written_without_anyone_asking() -> None:
    async def scenario(log: GroupLog, store: ScriptedStore) -> None:
        for number in range(3):  # the writer falls asleep in between
            log.append(record(number))
            await attempted(store)

    store = drive(scenario)
    assert [r.decision_id for group in store.groups for r in group] == [name(0), name(1), name(2)]


def test_close_writes_what_waits_and_lets_go_of_the_store() -> None:
    async def scenario(log: GroupLog, store: ScriptedStore) -> None:
        assert store.is_open
        for number in range(5000):
            log.append(record(number))

    store = drive(scenario)
    assert [r for group in store.groups for r in group] == [record(number) for number in range(5000)]
    assert not store.is_open


def test_a_queued_record_is_found_while_the_store_is_stuck() -> None:
    async def scenario(log: GroupLog, store: ScriptedStore) -> None:
        store.gate.clear()
        log.append(record(1))
        await attempted(store)
        log.append(record(2))
        assert await log.get(name(1)) == record(1)  # in the group being written
        assert await log.get(name(2)) == record(2)  # behind it

    drive(scenario)


def test_a_failing_store_is_said_once_and_loses_only_what_the_full_queue_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "takt.log")

    async def scenario(log: GroupLog, store: ScriptedStore) -> None:
        store.error = LogUnavailable("database or disk is full")
        taken = [log.append(record(number)) for number in range(15)]
        assert taken == [True] * 10 + [False] * 5
        await attempted(store, 4)
        stats = log.stats()
        assert (stats.state, stats.queued, stats.dropped_total) == ("failing", 10, 5)
        assert stats.last_error == "database or disk is full"
        waiting = asyncio.ensure_future(log.commit())
        store.error = None
        await waiting
        assert await log.get(name(9)) == record(9)
        assert (log.stats().queued, log.stats().written_total, log.stats().dropped_total) == (0, 10, 5)

    store = drive(scenario, queue=10)
    assert [r for group in store.groups for r in group] == [record(number) for number in range(10)]
    assert caplog.messages.count("log_failing") == caplog.messages.count("log_recovered") == 1
    failing = caplog.records[caplog.messages.index("log_failing")]
    assert vars(failing)["why"] == "database or disk is full"


def test_the_writer_outlives_what_nobody_foresaw() -> None:
    async def scenario(log: GroupLog, store: ScriptedStore) -> None:
        store.error = ZeroDivisionError("a bug")
        log.append(record(1))
        await attempted(store, 2)
        assert "a bug" in log.stats().last_error
        store.error = None
        await log.commit()
        assert log.stats().written_total == 1

    drive(scenario)


def test_a_store_that_can_not_delete_still_writes(caplog: pytest.LogCaptureFixture) -> None:
    store = ScriptedStore()
    store.tidy_error = LogUnavailable("page 7 is damaged")

    async def main() -> None:
        log = GroupLog(store, settings("unused"), SystemClock())
        await log.start()
        assert await asyncio.to_thread(store.tidied.acquire, timeout=WITHIN_S)
        log.append(record(1))
        await log.commit()
        assert (log.stats().state, log.stats().written_total) == ("ok", 1)
        await log.close()

    asyncio.run(asyncio.wait_for(main(), WITHIN_S))
    assert [vars(line)["why"] for line in caplog.records if line.message == "log_tidy_failed"] == ["page 7 is damaged"]


def test_what_can_not_be_encoded_counts_as_dropped() -> None:
    async def scenario(log: GroupLog, _: ScriptedStore) -> None:
        log.append(record(1, text="not encodable"))
        log.append(record(2))
        await log.commit()
        assert (log.stats().written_total, log.stats().dropped_total) == (1, 1)

    drive(scenario)


def test_closing_over_a_failing_store_ends_and_counts_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(log: GroupLog, store: ScriptedStore) -> None:
        store.error = LogUnavailable("gone")
        for number in range(3):
            log.append(record(number))
        waiting = asyncio.ensure_future(log.commit())
        await attempted(store)
        await log.close()
        with pytest.raises(LogUnavailable):
            await waiting
        assert (log.stats().queued, log.stats().dropped_total) == (0, 3)
        with pytest.raises(LogUnavailable):
            await log.get(name(1))

    drive(scenario)
    lost = caplog.records[caplog.messages.index("log_lost_at_close")]
    assert (vars(lost)["records"], vars(lost)["why"]) == (3, "gone")


def test_a_store_that_is_down_on_purpose_recovers() -> None:
    async def scenario(log: GroupLog, _: ScriptedStore) -> None:
        log.append(record(1))
        await log.commit()
        log.fault.down = True
        with pytest.raises(LogUnavailable, match="admin"):
            await log.get("nobody")
        log.append(record(2))
        waiting = asyncio.ensure_future(log.commit())
        assert await log.get(name(2)) == record(2)
        log.fault.down = False
        await waiting
        assert log.stats().state == "ok"

    drive(scenario)


def test_a_slow_store_delays_the_commit_but_not_the_loop() -> None:
    async def scenario(log: GroupLog, _: ScriptedStore) -> None:
        log.fault.delay_ns = 30_000_000
        log.append(record(1))
        await log.commit()
        assert log.stats().last_commit_ns >= 30_000_000

    drive(scenario)


def test_a_refused_start_is_raised_and_the_log_can_still_be_closed() -> None:
    class Refusing(ScriptedStore):
        def open(self) -> None:
            raise LogRefused("x.sqlite", "damaged", "move it aside")

    async def main() -> None:
        log = GroupLog(Refusing(), settings("unused"), SystemClock())
        with pytest.raises(LogRefused, match=r"log\.path: x\.sqlite: damaged; move it aside"):
            await log.start()
        await log.close()

    asyncio.run(main())


def test_nothing_here_blocks_the_loop() -> None:
    async def scenario(log: GroupLog, _: ScriptedStore) -> None:
        with blockbuster_ctx():
            for number in range(100):
                log.append(record(number))
            await log.commit()
            assert await log.get(name(5)) == record(5)
            await log.close()

    drive(scenario)
