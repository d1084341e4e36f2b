"""Which rung answers next, and why the better ones did not.

A ladder is a list of rungs from best to cheapest. Each request walks it downwards once: a rung either answers or is
skipped with a reason, and no rung is tried twice. What is below the last rung (cache, rules, default) is the floor,
which is held before the walk begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from budgets.predictor import CostEstimate
    from fallbacks.breaker import Breaker


class Degraded(Enum):
    """Why an answer is not the best rung's. The value is the word on the wire."""

    NONE = "none"
    BUDGET = "budget"  # would not have fitted an idle server either
    OVERLOAD = "overload"  # would have fitted, but for those ahead of it
    BREAKER = "breaker"  # taken out of service
    ERROR = "error"  # raised, or answered nonsense
    COLD = "cold"  # not loaded yet


class Skip(NamedTuple):
    rung: str
    why: Degraded


class Line(Protocol):
    """What the ladder needs to know of the executor's queue."""

    def wait_ns(self, now_ns: int) -> int:
        """Expected time until a call submitted now would start."""
        ...

    def overdue_ns(self, now_ns: int) -> int:
        """How long the running call has run, if longer than it should; else 0."""
        ...


@dataclass(slots=True)
class Rung:
    """One way to answer: what it costs, whether it is in service, whether it runs on the executor."""

    name: str
    cost: CostEstimate
    breaker: Breaker
    needs_executor: bool


R = TypeVar("R", bound=Rung)


class Choice(NamedTuple, Generic[R]):
    """A rung to try: the permit of its breaker, and when to stop waiting for it."""

    rung: R
    permit: int
    until_ns: int


def choose(
    rungs: Sequence[R], skips: list[Skip], line: Line, *, now_ns: int, commit_ns: int, hop_ns: int
) -> Choice[R] | None:
    """The best rung not yet skipped that can answer in time; None: take the floor.

    Appends to `skips` each rung that is passed over, so `len(skips)` is how far down the walk is.

    Args:
        commit_ns: when the answer must be held, at the latest.
        hop_ns: kept back on the executor for the way back to the event loop and the coarseness of its timers.
    """
    for at in range(len(skips), len(rungs)):
        rung = rungs[at]
        cost_ns, wait_ns, overdue_ns, until_ns = rung.cost.p99_ns(now_ns), 0, 0, commit_ns
        if rung.needs_executor:
            wait_ns, overdue_ns = line.wait_ns(now_ns), line.overdue_ns(now_ns)
            # A call that has overrun is likely to run as long again: the best guess without a model of the tail, and
            # it makes a stalled rung too dear within one budget.
            cost_ns = max(cost_ns, 2 * overdue_ns)
            # Waiting may be in vain, so it ends while the next rung, which runs inline, still fits.
            until_ns -= hop_ns + (rungs[at + 1].cost.p99_ns(now_ns) if at + 1 < len(rungs) else 0)
        if now_ns + wait_ns + cost_ns > until_ns:
            # Behind a call that drags, it is the rung that is too slow, not the others that are too many.
            fits_alone = now_ns + cost_ns <= until_ns and not overdue_ns
            skips.append(Skip(rung.name, Degraded.OVERLOAD if fits_alone else Degraded.BUDGET))
        elif (permit := rung.breaker.acquire(now_ns)) is None:
            skips.append(Skip(rung.name, Degraded.BREAKER))
        else:
            return Choice(rung, permit, until_ns)
    return None


def degraded(skips: Sequence[Skip]) -> Degraded:
    """Why the answer is not the best rung's: what befell the best one."""
    return skips[0].why if skips else Degraded.NONE
