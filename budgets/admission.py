"""Who gets in: the hard bounds, in order, before any work is done.

Only what is never negotiable stands here: an expired budget, a draining server, a full house, a budget too small for
even the cheapest answer. What pressure allows comes after (overload.py), and what fits the budget after that (the
ladder).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import msgspec

if TYPE_CHECKING:
    from budgets.deadline import Budget


class AdmissionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on what the server takes on at once."""

    max_inflight: Annotated[
        int, msgspec.Meta(ge=1, le=1_000_000, description="requests being decided at once; one more gets 503")
    ] = 1_024


class Refusal(Enum):
    """Why a request was turned away. The value is the stable code on the wire."""

    EXPIRED = "deadline-expired"
    DRAINING = "rejected-draining"
    FULL = "rejected-inflight"
    UNMEETABLE = "deadline-unmeetable"
    SHED = "rejected-overload"


class Admission:
    """Counts who is inside. `admit` and `release` come in pairs; a refused request is not released."""

    __slots__ = ("draining", "inflight", "max_inflight")

    def __init__(self, settings: AdmissionSettings) -> None:
        self.max_inflight = settings.max_inflight
        self.inflight = 0
        self.draining = False

    def admit(self, budget: Budget, now_ns: int, least_ns: int) -> Refusal | None:
        """None: come in. `least_ns` is what the cheapest answer takes, from here to its last byte."""
        remaining_ns = budget.remaining_ns(now_ns) + min(budget.stalled_ns, max(budget.total_ns, 0))
        if remaining_ns <= 0:  # 1: expired is never "most urgent"
            return Refusal.EXPIRED
        if self.draining:  # 2
            return Refusal.DRAINING
        if self.inflight >= self.max_inflight:  # 3
            return Refusal.FULL
        if remaining_ns < least_ns:  # 4: better a quick no than a late answer
            return Refusal.UNMEETABLE
        self.inflight += 1
        return None

    def release(self) -> None:
        self.inflight -= 1
