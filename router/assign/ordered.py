"""A sorted set of keys with exact removal and rank: the lines of tasks, of free resources, and of timers.

Blocks of some hundred keys: adding, removing and ranking cost O(log n) comparisons, the move of one block and, for a
rank, one look at each block (a few microseconds at 100,000 keys).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

K = TypeVar("K", bound=tuple[Any, ...])
BLOCK = 512
"""A block is split at twice this size: 2 to 4 us a copy."""


class Ordered(Generic[K]):
    """Distinct keys, smallest first."""

    __slots__ = ("_blocks", "_lasts", "_size")

    def __init__(self) -> None:
        self._blocks: list[list[K]] = []
        self._lasts: list[K] = []  # of each block
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[K]:
        for block in self._blocks:
            yield from block

    @property
    def first(self) -> K | None:
        return self._blocks[0][0] if self._blocks else None

    def add(self, key: K) -> None:
        """Put a key that is not there."""
        self._size += 1
        if not self._blocks:
            self._blocks.append([key])
            self._lasts.append(key)
            return
        if self._lasts[-1] < key:  # who comes last to a line is most often the last in it
            at = len(self._lasts) - 1
            block = self._blocks[at]
            block.append(key)
        else:
            at = bisect_left(self._lasts, key)
            block = self._blocks[at]
            insort(block, key)
        self._lasts[at] = block[-1]
        if len(block) > 2 * BLOCK:
            self._blocks.insert(at + 1, block[BLOCK:])
            del block[BLOCK:]
            self._lasts.insert(at, block[-1])

    def remove(self, key: K) -> None:
        """Take away a key that is there. Raises: KeyError."""
        at = bisect_left(self._lasts, key)
        block = self._blocks[at] if at < len(self._blocks) else []
        index = bisect_left(block, key)
        if index == len(block) or block[index] != key:
            raise KeyError(key)
        self._size -= 1
        del block[index]
        if block:
            self._lasts[at] = block[-1]
        else:
            del self._blocks[at], self._lasts[at]

    def rank(self, key: tuple[Any, ...]) -> int:
        """How many keys are smaller."""
        at = bisect_left(self._lasts, key)
        if at == len(self._blocks):
            return self._size
        return sum(map(len, self._blocks[:at])) + bisect_left(self._blocks[at], key)
