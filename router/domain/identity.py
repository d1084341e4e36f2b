"""Ids of decisions: ordered by time, unguessable."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from budgets.clock import Clock


class IdSource:
    """32 hex digits: milliseconds since the epoch (12), then 80 random bits. A log that sorts by id sorts by time."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng

    def next_id(self) -> str:
        return f"{self._clock.wall_ns() // 1_000_000:012x}{self._rng.randbytes(10).hex()}"
