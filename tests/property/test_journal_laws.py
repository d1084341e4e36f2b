"""The journal in a file against the one in memory: whatever happens, both tell the same."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from router.log import Checkpoint, Entry, EventRow, JournalMemory, MemoryJournal, Row
from tests.journals import AT_NS, OnDisk

if TYPE_CHECKING:
    from router.log import Journal


class Command(NamedTuple):
    """One event on each."""

    subjects: list[str]


class Save(NamedTuple):
    rows: list[Row]


class Restart(NamedTuple):
    pass


Step = Command | Save | Restart
SUBJECTS = st.sampled_from(["a", "b", "c"])
COMMAND = st.builds(Command, st.lists(SUBJECTS, max_size=3))
ROW = st.builds(
    lambda kind, id_, body, is_kept: Row(kind, id_, body, is_kept and body is not None),
    st.sampled_from(["task", "queue"]),
    SUBJECTS,
    st.none() | st.binary(max_size=3),
    st.booleans(),
)
SAVE = st.builds(Save, st.lists(ROW, max_size=4, unique_by=lambda row: row[:2]))


async def _asked(journal: Journal) -> list[object]:
    """All that can be read."""
    await journal.commit()
    return [
        [await journal.events(subject, after, 2) for subject in "abc" for after in (0, 1)],
        await journal.events_since((0, 0), 3),
        await journal.events_since((2, 1), 1_000),
        [await journal.find(kind, id_) for kind in ("task", "queue") for id_ in "abc"],
        [entry async for entry in journal.history(2)],
    ]


class Both:
    """A journal of each kind, told the same."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.memory = JournalMemory()
        self.seqs = dict.fromkeys("abc", 0)

    async def start(self) -> None:
        self.disk, self.plain = OnDisk(self.path), MemoryJournal(self.memory)
        found, expected = await self.disk.start(), await self.plain.start()
        assert sorted(found.rows) == sorted(expected.rows)
        assert (found.epoch, found.position, found.entries) == (expected.epoch, expected.position, expected.entries)
        self.epoch, self.position = found.epoch, found.position + len(found.entries)

    async def stop(self) -> None:
        assert await _asked(self.disk.journal) == await _asked(self.plain)
        await self.disk.close()
        await self.plain.close()

    async def tell(self, step: Step) -> None:
        """One step on both."""
        match step:
            case Command(subjects):
                entry = self._entry(subjects)
                assert self.disk.journal.append(entry)
                assert self.plain.append(entry)
            case Save(rows):
                checkpoint = Checkpoint(self.position, tuple(rows))
                self.disk.journal.checkpoint(checkpoint)
                self.plain.checkpoint(checkpoint)
            case Restart():
                await self.stop()
                await self.start()

    def _entry(self, subjects: list[str]) -> Entry:
        self.position += 1
        events = []
        for number, subject in enumerate(subjects):
            self.seqs[subject] += 1
            events.append(EventRow(subject, self.seqs[subject], number, f"{self.position}-{number}".encode()))
        return Entry(self.position, AT_NS, self.epoch, b"%d" % self.position, tuple(events))


@settings(max_examples=40, deadline=None)
@given(st.lists(COMMAND | SAVE | st.just(Restart()), max_size=30))
def test_a_file_tells_what_memory_tells(steps: list[Step]) -> None:
    async def main(path: Path) -> None:
        both = Both(path)
        await both.start()
        for step in steps:
            await both.tell(step)
        await both.stop()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(asyncio.wait_for(main(Path(folder, "takt.sqlite")), 30))
