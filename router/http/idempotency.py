"""Answers kept for their `Idempotency-Key`: a repeated request gets the first answer again.

Pure: a bounded table, oldest out first. Who repeats a request while the first is under way waits for its answer.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from asyncio import Future

T = TypeVar("T")


@dataclass(slots=True)
class Entry(Generic[T]):
    """`fingerprint` tells whether a later request with the same key is the same request."""

    fingerprint: bytes
    stored_ns: int
    answer: Future[T]


class IdempotencyTable(Generic[T]):
    """Keys and their answers. Not thread safe."""

    def __init__(self, max_entries: int, keep_ns: int) -> None:
        self._entries: OrderedDict[str, Entry[T]] = OrderedDict()
        self._max_entries, self._keep_ns = max_entries, keep_ns

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: str, now_ns: int) -> Entry[T] | None:
        self._forget(now_ns)
        return self._entries.get(key)

    def begin(self, key: str, entry: Entry[T]) -> None:
        self._entries[key] = entry
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def drop(self, key: str) -> None:
        """The request got no answer: a repetition is a new request."""
        self._entries.pop(key, None)

    def _forget(self, now_ns: int) -> None:
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if now_ns - oldest.stored_ns <= self._keep_ns:
                return
            self._entries.popitem(last=False)
