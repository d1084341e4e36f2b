"""Each request as its client saw it and as the server recorded it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from loadtest.history import Line
    from router.history.entry import Entry


class Lines(Protocol):
    """The requests of a run by their rows."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Line: ...


class Exchange(NamedTuple):
    """`entry`: None: the log has none. `is_again`: the log had one for this request before."""

    line: Line
    entry: Entry | None
    is_again: bool = False


class Join:
    """Iterate it once: the recorded requests in the order of `entries`, then the others.

    Args: during: wall clock, from and to; decisions of others before and after it are not counted.
    Attributes: recorded, foreign: how many requests of the run, and how many decisions of others, the log holds.
    """

    def __init__(self, run_id: str, lines: Lines, entries: Iterable[Entry], during: tuple[int, int]) -> None:
        self._prefix = f"{run_id}-"
        self._lines, self._entries, self._during = lines, entries, during
        self.recorded = self.foreign = 0

    def __iter__(self) -> Iterator[Exchange]:
        seen = bytearray(len(self._lines))
        for entry in self._entries:
            row = self._row(entry.interaction_id)
            if row is None:
                self.foreign += self._during[0] <= entry.at_ns <= self._during[1]
                continue
            self.recorded += not seen[row]
            yield Exchange(self._lines[row], entry, is_again=bool(seen[row]))
            seen[row] = 1
        for row, is_seen in enumerate(seen):
            if not is_seen:
                yield Exchange(self._lines[row], None)

    def _row(self, interaction_id: str) -> int | None:
        if not interaction_id.startswith(self._prefix):
            return None
        digits = interaction_id.removeprefix(self._prefix)
        row = int(digits) if digits.isascii() and digits.isdigit() else -1
        return row if 0 <= row < len(self._lines) else None
