"""Pages and rows by the command journal: cursors, and what retention has taken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from router.log import MemoryJournal
from router.log.journal import Entry, EventRow
from router.webhooks.journal import JournalLog, behind
from router.webhooks.schedule import Row
from tests.hooks import event

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from router.assign.event import Event


def told(position: int, count: int) -> list[Event]:
    first = event(position, kind="task.queued")
    return [msgspec.structs.replace(first, id=f"{position}-{number}", seq=number + 1) for number in range(count)]


def play(counts: list[int], script: Callable[[JournalLog, MemoryJournal], Coroutine[Any, Any, None]]) -> None:
    """Commands 1, 2, … that caused so many events each."""

    async def main() -> None:
        journal = MemoryJournal()
        await journal.start()
        for position, count in enumerate(counts, 1):
            rows = tuple(
                EventRow(each.subject, each.seq, number, msgspec.msgpack.encode(each))
                for number, each in enumerate(told(position, count))
            )
            assert journal.append(Entry(position, position, 1, b"", rows))
        await script(JournalLog(journal), journal)

    asyncio.run(main())


async def ids(log: JournalLog, cursor: str, most: int = 100) -> tuple[list[str], bool]:
    page = await log.page(cursor, most)
    return [each.id for each in page.events], page.has_gap


def test_pages_go_on_where_the_last_one_ended() -> None:
    async def script(log: JournalLog, journal: MemoryJournal) -> None:
        assert await ids(log, behind(0)) == (["1-0", "1-1", "3-0", "4-0", "4-1", "4-2"], False)
        assert await ids(log, "1-0") == (["1-1", "3-0", "4-0", "4-1", "4-2"], False)
        assert await ids(log, "3-0", 2) == (["4-0", "4-1"], False)
        assert await ids(log, "4-1", 2) == (["4-2"], False)
        assert await ids(log, "4-2") == ([], False)
        assert await ids(log, behind(4)) == ([], False)
        assert (await log.page("3-0", 1)).events[0] == told(4, 1)[0]

    play([2, 0, 1, 3], script)


def test_a_cursor_whose_event_is_gone_is_a_gap() -> None:
    async def script(log: JournalLog, journal: MemoryJournal) -> None:
        journal._memory.entries.popleft()
        assert await ids(log, "1-1") == (["2-0", "3-0"], True)
        assert await ids(log, "1-1", 1) == (["2-0"], True)
        assert await ids(log, "2-0") == (["3-0"], False)
        assert await ids(log, behind(1)) == (["2-0", "3-0"], False)
        journal._memory.entries.clear()
        assert await ids(log, "3-0") == ([], False)  # nothing follows: nothing was missed

    play([2, 1, 1], script)


def test_rows_are_kept_beside_the_state() -> None:
    async def script(log: JournalLog, journal: MemoryJournal) -> None:
        await log.write_rows([Row("webhook", "a", b"1"), Row("webhook", "b", b"2"), Row("webhook_delivery", "a", b"3")])
        await log.write_rows([Row("webhook", "a", None), Row("webhook", "b", b"4")])
        assert await log.read_rows("webhook") == [("b", b"4")]
        assert await log.read_rows("webhook_delivery") == [("a", b"3")]

    play([], script)
