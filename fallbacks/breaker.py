"""A circuit breaker for one rung: opens on failures or slowness, lets a few probes through, comes back within seconds.

```
            TRIPPED                 COOLED               PROBE_PASSED
  CLOSED ------------>  OPEN  ------------> HALF_OPEN ----------------> CLOSED
                          ^                     |
                          +---- PROBE_FAILED ---+
```
Every call that was let in ends exactly once: ok, failed, slow, or ignored (the rung is not to blame).
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

NS_PER_S = 1_000_000_000


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a model rung is taken out of service, and for how long."""

    min_calls: Annotated[
        int, msgspec.Meta(ge=1, le=100_000, description="calls in the last 10 s before a rung may be taken out")
    ] = 20
    failure_share: Annotated[
        float, msgspec.Meta(gt=0, le=1, description="share of failed calls at which a rung is taken out")
    ] = 0.5
    slow_share: Annotated[
        float, msgspec.Meta(gt=0, le=1, description="share of slow calls at which a rung is taken out")
    ] = 0.8
    max_open_ms: Annotated[
        float, msgspec.Meta(ge=1, le=60_000, description="longest time between two probes of a rung taken out, ms")
    ] = 3_000.0


class State(Enum):
    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Event(Enum):
    TRIPPED = "tripped"
    COOLED = "cooled"
    PROBE_PASSED = "probe_passed"
    PROBE_FAILED = "probe_failed"


class Ending(Enum):
    """How a call ended, by what it says of the rung."""

    OK = "ok"
    FAILED = "failed"  # raised, or answered nonsense
    SLOW = "slow"  # not done by the commit time, and longer at it than was expected
    IGNORED = "ignored"  # never started, tried on too thin a margin, or the client left


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.CLOSED, Event.TRIPPED): State.OPEN,
    (State.OPEN, Event.COOLED): State.HALF_OPEN,
    (State.HALF_OPEN, Event.PROBE_PASSED): State.CLOSED,
    (State.HALF_OPEN, Event.PROBE_FAILED): State.OPEN,
}

_WINDOW_S = 10
_FIRST_OPEN_NS = NS_PER_S // 2  # doubled each time a probe fails
_MAX_PROBES = 2


class _Second:
    """Endings of one second of the window."""

    __slots__ = ("calls", "failed", "second", "slow")

    def __init__(self, second: int) -> None:
        self.second, self.calls, self.failed, self.slow = second, 0, 0, 0


class Breaker:
    """Not thread safe: one event loop owns it. `acquire` and `record` come in pairs."""

    def __init__(self, settings: BreakerSettings, rng: Random) -> None:
        self._settings = settings
        self._rng = rng
        self._window: deque[_Second] = deque(maxlen=_WINDOW_S)
        self._generation = 0  # a permit of an earlier state says nothing about this one
        self._probes = 0
        self._failed_probes = 0
        self._open_until_ns = 0
        self.state = State.CLOSED
        self.on_move: Callable[[State], None] = lambda _: None

    def __repr__(self) -> str:
        return f"<Breaker {self.state.name.lower()}, {self._probes} probes>"

    def acquire(self, now_ns: int) -> int | None:
        """A permit for one call, to be handed to `record`; None while the rung is out of service."""
        if self.state is State.CLOSED:
            return self._generation
        if self.state is State.OPEN and now_ns >= self._open_until_ns:
            self._move(Event.COOLED, now_ns)
        if self.state is State.OPEN or self._probes >= _MAX_PROBES:
            return None
        self._probes += 1
        return self._generation

    def record(self, permit: int, ending: Ending, now_ns: int) -> bool:
        """Say how a call ended. True when this closed the breaker: the rung is back."""
        if permit != self._generation:
            return False
        if self.state is State.HALF_OPEN:
            self._probes -= 1
            if ending is Ending.IGNORED:
                return False
            self._move(Event.PROBE_PASSED if ending is Ending.OK else Event.PROBE_FAILED, now_ns)
            return ending is Ending.OK
        if ending is not Ending.IGNORED and self._is_tripped_by(ending, now_ns // NS_PER_S):
            self._move(Event.TRIPPED, now_ns)
        return False

    def _is_tripped_by(self, ending: Ending, second: int) -> bool:
        window = self._window
        if not window or window[-1].second != second:
            window.append(_Second(second))
        current = window[-1]
        current.calls += 1
        if ending is Ending.OK:
            return False
        current.failed += ending is Ending.FAILED
        current.slow += ending is Ending.SLOW
        recent = [past for past in window if past.second > second - _WINDOW_S]
        calls = sum(past.calls for past in recent)
        return calls >= self._settings.min_calls and (
            sum(past.failed for past in recent) >= self._settings.failure_share * calls
            or sum(past.slow for past in recent) >= self._settings.slow_share * calls
        )

    def _move(self, event: Event, now_ns: int) -> None:
        self.state = TRANSITIONS[self.state, event]
        self._generation += 1
        self._probes = 0
        self._window.clear()
        self.on_move(self.state)
        if self.state is State.CLOSED:
            self._failed_probes = 0
        elif self.state is State.OPEN:
            longest_ns = int(self._settings.max_open_ms * 1e6)
            # The exponent is capped, or a rung that is down for a week would compute 2**200000.
            open_ns = min(_FIRST_OPEN_NS << min(self._failed_probes, 20), longest_ns)
            self._open_until_ns = now_ns + int(open_ns * self._rng.uniform(0.8, 1.0))
            self._failed_probes += 1
