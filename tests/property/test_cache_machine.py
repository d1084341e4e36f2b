"""The cache against a dictionary that forgets nothing."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fallbacks.cache import Cache, CacheSettings

S = 1_000_000_000
KEYS = st.integers(0, 6)


class CacheMachine(RuleBasedStateMachine):
    """Puts and gets while time passes."""

    @initialize(entries=st.integers(0, 4), fresh_s=st.integers(0, 5), stale_s=st.integers(0, 9))
    def begin(self, entries: int, fresh_s: int, stale_s: int) -> None:
        self.cache: Cache[int, int] = Cache(CacheSettings(entries=entries, fresh_s=fresh_s, stale_s=stale_s))
        self.entries, self.fresh_ns, self.stale_ns = entries, fresh_s * S, max(fresh_s, stale_s) * S
        self.model: dict[int, tuple[int, int]] = {}
        self.recent: list[int] = []
        self.now_ns = 0
        self.gets = 0

    def touch(self, key: int) -> None:
        self.recent = [*(other for other in self.recent if other != key), key]

    @rule(key=KEYS, value=st.integers())
    def put(self, key: int, value: int) -> None:
        self.cache.put(key, value, self.now_ns)
        self.model[key] = value, self.now_ns
        self.touch(key)
        self.recent = self.recent[-self.entries :] if self.entries else []

    @rule(key=KEYS)
    def get(self, key: int) -> None:
        hit = self.cache.get(key, self.now_ns)
        self.gets += 1
        value, stored_ns = self.model.get(key, (0, -(10**12)))
        age_ns = self.now_ns - stored_ns
        if key in self.recent and age_ns <= self.stale_ns:
            assert hit == (value, age_ns <= self.fresh_ns)
            self.touch(key)
        else:
            assert hit is None, "beyond the stale window, or put out by others"
            self.recent = [other for other in self.recent if other != key]

    @rule(ns=st.sampled_from((1, S, 3 * S, 10 * S)))
    def wait(self, ns: int) -> None:
        self.now_ns += ns

    @invariant()
    def bounded_and_counted(self) -> None:
        if hasattr(self, "cache"):
            assert len(self.cache) == len(self.recent) <= self.entries
            assert self.cache.fresh_total + self.cache.stale_total + self.cache.miss_total == self.gets


TestCache = CacheMachine.TestCase
