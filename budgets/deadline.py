"""One absolute deadline out of everything a client says about its patience.

Durations travel relative (clocks of two hosts do not agree to a millisecond) and are absolute inside: a deadline is
computed once from monotonic time and never extended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from budgets.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterable

NS_PER_MS = 1_000_000

# At most this part of a budget is kept back for the network, so that a 2 ms budget is not all reserve.
MAX_RESERVE_SHARE = 0.1


class BudgetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a decision may take."""

    default_ms: Annotated[
        float, msgspec.Meta(gt=0, le=60_000, description="budget of a request that states none, ms")
    ] = 50.0
    max_ms: Annotated[float, msgspec.Meta(gt=0, le=60_000, description="a stated budget is cut to this, ms")] = 1_000.0
    net_reserve_ms: Annotated[
        float,
        msgspec.Meta(
            ge=0, le=1_000, description="kept back for the way to the client, ms; a tenth of the budget at most"
        ),
    ] = 1.0


@dataclass(slots=True)
class Budget:
    """What one request may spend, and the ledger of what it spent.

    `total_ns` is what was granted from `ledger.start_ns` on; `deadline_ns` (monotonic) lies before its end by the
    network reserve. `stalled_ns` of the time since the start is an estimate: how long the request may have waited
    unseen while the event loop was blocked. It counts against the deadline, but nobody is turned away for it.
    """

    total_ns: int
    deadline_ns: int
    ledger: Ledger
    stalled_ns: int = 0

    def remaining_ns(self, now_ns: int) -> int:
        return self.deadline_ns - now_ns

    def is_met(self) -> bool:
        """Whether the answer, as far as it has been booked, came within what was granted."""
        return self.ledger.elapsed_ns <= self.total_ns


def grant_ns(stated_ms: Iterable[float], settings: BudgetSettings) -> int:
    """Nanoseconds granted: the smallest stated budget, cut to the maximum; the default when none is stated.

    Zero or less stays that: the budget has run out, which is never the same as "no budget".
    """
    smallest_ms = min(stated_ms, default=settings.default_ms)
    # From below, too: a client may state -1e308.
    return int(max(-settings.max_ms, min(smallest_ms, settings.max_ms)) * NS_PER_MS)


def open_budget(total_ns: int, settings: BudgetSettings, ledger: Ledger, stalled_ns: int = 0) -> Budget:
    """The budget of a request, running since `ledger.start_ns`."""
    reserve_ns = min(int(settings.net_reserve_ms * NS_PER_MS), int(max(total_ns, 0) * MAX_RESERVE_SHARE))
    return Budget(total_ns, ledger.start_ns + total_ns - reserve_ns, ledger, stalled_ns)
