"""How many texts came again, without keeping texts or all of their hashes."""

from __future__ import annotations

from hashlib import blake2b

_MOST_TEXTS = 32_768


class Repeats:
    """A sample of the distinct texts, by their hash: when it is full, the half with odd hashes leaves, and so on.

    Each text is in the sample with all its requests or not at all, so shares in the sample are those of all requests,
    within about 1 % where no text makes up much of the traffic.
    """

    __slots__ = ("_level", "_texts")

    def __init__(self) -> None:
        self._level = 0
        self._texts: dict[int, list[int]] = {}  # hash: requests, and how many of them the cache answered

    def add(self, text: str, *, is_cached: bool) -> None:
        """Count a request whose text a cache may hold."""
        digest = int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
        if digest & ((1 << self._level) - 1):
            return
        seen = self._texts.setdefault(digest, [0, 0])
        seen[0] += 1
        seen[1] += is_cached
        while len(self._texts) > _MOST_TEXTS:
            self._level += 1
            mask = (1 << self._level) - 1
            self._texts = {key: value for key, value in self._texts.items() if not key & mask}

    @property
    def sampled(self) -> int:
        """Requests in the sample."""
        return sum(requests for requests, _ in self._texts.values())

    def repeated_share(self) -> float:
        """Share of requests whose text came before or after, but for one of each: what a cache could answer at most."""
        return (self.sampled - len(self._texts)) / self.sampled if self._texts else 0.0

    def cached_share(self) -> float:
        """Share of requests that the cache answered."""
        return sum(hits for _, hits in self._texts.values()) / self.sampled if self._texts else 0.0
