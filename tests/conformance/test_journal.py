"""What every adapter of the journal's port promises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest

from router.log import (
    Checkpoint,
    Entry,
    Journal,
    JournalMemory,
    LogFenced,
    LogUnavailable,
    MemoryJournal,
    Recovered,
    Row,
)
from tests.journals import OnDisk, entry, event, told


class Process(Protocol):
    """A server with a journal, on a storage that outlives it."""

    journal: Journal

    async def start(self) -> Recovered: ...

    async def close(self) -> None: ...


class InMemory:
    """The same in memory."""

    def __init__(self, memory: JournalMemory) -> None:
        self.journal: Journal = MemoryJournal(memory)

    async def start(self) -> Recovered:
        return await self.journal.start()

    async def close(self) -> None:
        await self.journal.close()


Boot = Callable[[], Process]
Scenario = Callable[[Boot], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=["memory", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Run a scenario, which boots processes on one storage; those it leaves are closed."""
    memory = JournalMemory()
    booted: list[Process] = []

    def boot() -> Process:
        booted.append(InMemory(memory) if request.param == "memory" else OnDisk(tmp_path / "takt.sqlite"))
        return booted[-1]

    async def main(scenario: Scenario) -> None:
        try:
            await scenario(boot)
        finally:
            for process in booted:
                await process.close()

    return lambda scenario: asyncio.run(asyncio.wait_for(main(scenario), 30))


async def begun(boot: Boot) -> Journal:
    process = boot()
    await process.start()
    return process.journal


def bare(*positions: int, epoch: int = 1) -> list[Entry]:
    return [entry(position, epoch=epoch) for position in positions]


def test_the_first_start_finds_nothing_and_is_epoch_1(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        assert await boot().start() == Recovered(epoch=1, position=0, rows=[], entries=[])

    run(scenario)


def test_a_start_finds_the_commands_in_order_and_raises_the_epoch(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        first = boot()
        await first.start()
        for position in range(1, 2_501):
            assert first.journal.append(told(position))
        await first.journal.commit()
        await first.close()
        second = boot()
        found = await second.start()
        assert (found.epoch, found.position, found.rows) == (2, 0, [])
        assert found.entries == bare(*range(1, 2_501))
        assert second.journal.append(told(2_501, epoch=2))
        await second.journal.commit()
        await second.close()
        found = await boot().start()
        assert found.epoch == 3
        assert found.entries[-1] == entry(2_501, epoch=2)

    run(scenario)


def test_a_start_finds_the_rows_of_the_last_checkpoint_and_what_came_after(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        process = boot()
        await process.start()
        journal = process.journal
        journal.append(entry(1))
        journal.checkpoint(Checkpoint(1, (Row("task", "a", b"a1"), Row("task", "b", b"b1"), Row("queue", "a", b"q"))))
        journal.append(entry(2))
        journal.append(entry(3))
        journal.checkpoint(
            Checkpoint(3, (Row("task", "a", b"a3"), Row("task", "b", b"b3", is_kept=True), Row("queue", "a", None)))
        )
        journal.append(entry(4))
        await journal.commit()
        await process.close()
        found = await boot().start()
        assert (found.position, found.rows, found.entries) == (3, [("task", "a", b"a3")], bare(4))

    run(scenario)


def test_a_start_without_commands_goes_on_behind_the_checkpoint(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        process = boot()
        await process.start()
        process.journal.append(entry(1))
        process.journal.checkpoint(Checkpoint(1, (Row("task", "a", b"a"),)))
        await process.close()
        journal = await begun(boot)
        with pytest.raises(ValueError, match="position 1: must be 2"):
            journal.append(entry(1, epoch=2))
        assert journal.append(entry(2, epoch=2))

    run(scenario)


def test_positions_have_no_gap_and_a_checkpoint_is_of_the_last(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        journal = await begun(boot)
        with pytest.raises(ValueError, match="position 2: must be 1"):
            journal.append(entry(2))
        with pytest.raises(ValueError, match="position 1: must be 0"):
            journal.checkpoint(Checkpoint(1, ()))
        assert journal.append(entry(1))
        assert journal.append(entry(2))

    run(scenario)


def test_a_row_is_found_when_it_is_appended_and_after_its_end(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        journal = await begun(boot)
        assert await journal.find("task", "a") is None
        journal.append(entry(1))
        journal.checkpoint(Checkpoint(1, (Row("task", "a", b"open"), Row("queue", "a", b"queue"))))
        assert await journal.find("task", "a") == b"open"
        await journal.commit()
        assert await journal.find("task", "a") == b"open"
        journal.append(entry(2))
        journal.checkpoint(Checkpoint(2, (Row("task", "a", b"ended", is_kept=True), Row("queue", "a", None))))
        for _ in range(2):
            assert await journal.find("task", "a") == b"ended"
            assert await journal.find("queue", "a") is None
            assert await journal.find("resource", "a") is None
            await journal.commit()

    run(scenario)


def test_an_id_that_comes_back_is_the_open_one(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        process = boot()
        await process.start()
        process.journal.append(entry(1))
        process.journal.checkpoint(Checkpoint(1, (Row("task", "a", b"ended", is_kept=True),)))
        process.journal.append(entry(2))
        process.journal.checkpoint(Checkpoint(2, (Row("task", "a", b""),)))
        await process.journal.commit()
        assert await process.journal.find("task", "a") == b""
        await process.close()
        assert (await boot().start()).rows == [("task", "a", b"")]

    run(scenario)


def test_events_of_a_subject_come_in_order_and_from_where_one_left_off(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        journal = await begun(boot)
        journal.append(entry(1, event(1, 0, "t", 1), event(1, 1, "u", 1)))
        journal.append(entry(2))
        journal.append(entry(3, event(3, 0, "t", 2), event(3, 1, "t", 3)))
        await journal.commit()
        assert await journal.events("t", 0, 10) == [b"1-0", b"3-0", b"3-1"]
        assert await journal.events("t", 1, 1) == [b"3-0"]
        assert await journal.events("t", 3, 10) == await journal.events("nobody", 0, 10) == []
        assert await journal.events("u", 0, 10) == [b"1-1"]

    run(scenario)


def test_all_events_come_in_order_and_from_any_cursor(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        journal = await begun(boot)
        assert await journal.events_since((0, 0), 10) == []
        journal.append(entry(1, event(1, 0, "t", 1), event(1, 1, "u", 1)))
        journal.append(entry(2))
        journal.append(entry(3, event(3, 0, "t", 2), event(3, (1 << 20) - 1, "t", 3)))
        journal.append(entry(4, event(4, 0, "u", 2)))
        await journal.commit()
        seen: list[bytes] = []
        cursor = (0, 0)
        while page := await journal.events_since(cursor, 2):
            assert len(page) <= 2
            cursor = page[-1][:2]
            seen += [each.body for each in page]
        assert seen == [b"1-0", b"1-1", b"3-0", b"3-1048575", b"4-0"]
        assert [each[:2] for each in await journal.events_since((3, 0), 10)] == [(3, 1048575), (4, 0)]
        assert [each[:2] for each in await journal.events_since((2, 0), 1)] == [(3, 0)]

    run(scenario)


def test_rows_beside_the_state_are_found_by_their_kind_and_by_nobody_else(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        process = boot()
        await process.start()
        assert await process.journal.side_rows("hook") == []
        process.journal.append(entry(1))
        await process.journal.write_side_rows([Row("hook", "a", b"1"), Row("hook", "b", b"1"), Row("other", "a", b"o")])
        await process.journal.write_side_rows([Row("hook", "a", b"2"), Row("hook", "b", None)])
        process.journal.checkpoint(Checkpoint(1, (Row("hook", "a", None),)))
        assert await process.journal.side_rows("hook") == [("a", b"2")]
        assert await process.journal.find("hook", "a") is None
        await process.close()
        with pytest.raises(LogUnavailable):
            await process.journal.write_side_rows([Row("hook", "a", b"late")])
        after = boot()
        assert (await after.start()).rows == []
        assert await after.journal.side_rows("hook") == [("a", b"2")]
        assert await after.journal.side_rows("other") == [("a", b"o")]

    run(scenario)


def test_rows_beside_the_state_of_an_older_writer_are_refused(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        old, new = await begun(boot), await begun(boot)
        with pytest.raises(LogFenced):
            await old.write_side_rows([Row("hook", "a", b"old")])
        assert await new.side_rows("hook") == []

    run(scenario)


def test_history_has_all_commands_from_a_position_on(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        journal = await begun(boot)
        for position in range(1, 2_101):
            journal.append(told(position))
        journal.checkpoint(Checkpoint(2_100, ()))
        await journal.commit()
        assert [each async for each in journal.history()] == bare(*range(1, 2_101))
        assert [each async for each in journal.history(2_099)] == bare(2_099, 2_100)
        assert [each async for each in journal.history(2_101)] == []

    run(scenario)


def test_an_older_writer_is_refused_whole(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        old = await begun(boot)
        old.append(entry(1))
        await old.commit()
        new = await begun(boot)
        old.append(entry(2))
        old.checkpoint(Checkpoint(2, (Row("task", "a", b"old"),)))
        with pytest.raises(LogFenced, match="taken the commands over"):
            await old.commit()
        assert not old.has_room()
        assert not old.append(entry(3))
        with pytest.raises(LogFenced):
            await old.commit()
        assert old.stats().state == "fenced"
        assert new.append(entry(2, epoch=2))
        await new.commit()
        assert [each async for each in new.history()] == [entry(1), entry(2, epoch=2)]
        assert await new.find("task", "a") is None

    run(scenario)


def test_an_entry_of_another_epoch_is_refused(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        await begun(boot)
        journal = await begun(boot)
        assert journal.has_room()
        assert not journal.append(entry(1, epoch=1))
        assert journal.append(entry(1, epoch=2))
        await journal.commit()
        assert (journal.stats().written_total, journal.stats().refused_total) == (1, 1)

    run(scenario)


def test_a_closed_journal_takes_nothing_and_says_so(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        process = boot()
        await process.start()
        assert process.journal.append(entry(1))
        await process.close()
        assert not process.journal.has_room()
        assert not process.journal.append(entry(2))
        process.journal.checkpoint(Checkpoint(1, (Row("task", "a", b"late"),)))
        with pytest.raises(LogUnavailable):
            await process.journal.commit()
        found = await boot().start()
        assert (found.entries, found.rows) == (bare(1), [])

    run(scenario)


def test_many_may_wait_for_a_commit_and_one_may_leave(run: Run) -> None:
    async def scenario(boot: Boot) -> None:
        journal = await begun(boot)
        waiters = []
        for position in range(1, 51):
            journal.append(entry(position))
            waiters.append(asyncio.ensure_future(journal.commit()))
        waiters[7].cancel()
        results = await asyncio.gather(*waiters, return_exceptions=True)
        assert [i for i, result in enumerate(results) if result is not None] in ([], [7])
        assert journal.stats().written_total == 50

    run(scenario)
