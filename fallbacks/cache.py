"""A bounded cache whose entries are fresh, then stale, then gone.

A fresh entry is as good as the rung that made it; a stale one serves only where nothing better fits the budget.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Generic, NamedTuple, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")
NS_PER_S = 1_000_000_000


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers of the best rung, kept for equal texts."""

    entries: Annotated[
        int,
        msgspec.Meta(ge=0, le=10_000_000, description="answers kept, least recently used out first; 0 turns it off"),
    ] = 10_000
    fresh_s: Annotated[
        float, msgspec.Meta(ge=0, le=31_536_000, description="an answer this young is served at once, s")
    ] = 300.0
    stale_s: Annotated[
        float, msgspec.Meta(ge=0, le=31_536_000, description="an answer this old still serves when no model fits, s")
    ] = 3_600.0


class Hit(NamedTuple, Generic[V]):
    value: V
    is_fresh: bool


class Cache(Generic[K, V]):
    """Least recently used out first. O(1). Not thread safe."""

    def __init__(self, settings: CacheSettings) -> None:
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._capacity = settings.entries
        self._fresh_ns = int(settings.fresh_s * NS_PER_S)
        self._stale_ns = int(max(settings.stale_s, settings.fresh_s) * NS_PER_S)
        self.fresh_total = self.stale_total = self.miss_total = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, now_ns: int) -> Hit[V] | None:
        entry = self._entries.get(key)
        if entry is None:
            self.miss_total += 1
            return None
        value, stored_ns = entry
        age_ns = now_ns - stored_ns
        if age_ns > self._stale_ns:
            del self._entries[key]
            self.miss_total += 1
            return None
        self._entries.move_to_end(key)
        is_fresh = age_ns <= self._fresh_ns
        self.fresh_total += is_fresh
        self.stale_total += not is_fresh
        return Hit(value, is_fresh)

    def put(self, key: K, value: V, now_ns: int) -> None:
        if not self._capacity:
            return
        self._entries[key] = (value, now_ns)
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
