"""Which rung answers next, and why the better ones did not.

A ladder is a list of rungs from best to cheapest. Each request walks it downwards once: a rung either answers or is
skipped with a reason, and no rung is tried twice. What is below the last rung (cache, rules, default) is the floor,
which is held before the walk begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from budgets.batch_cost import P50
from budgets.criticality import TAIL
from fallbacks.breaker import Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from budgets.job import Work
    from fallbacks.breaker import Breaker

Q = TypeVar("Q")
T = TypeVar("T")
# An explorer needs this much more than a rung's median (llm-d explores with as much).
_EXPLORER_SLACK = 1.5


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

    def ahead(self, rank: int) -> int:
        """Jobs that a newcomer of that rank would wait for."""
        ...

    def wait_ns(self, rank: int, latest_start_ns: int, now_ns: int) -> int:
        """Expected time until a job submitted now would start."""
        ...

    def overdue_ns(self, now_ns: int) -> int:
        """How long the running call has run, if longer than it should; else 0."""
        ...


class Cost(Protocol):
    """What a call of a rung is expected to take."""

    def quantile_ns(self, at: int, texts: int, longest: int, now_ns: int) -> int:
        """`at` is an index into `budgets.batch_cost.QUANTILES`; `longest` is the longest question's length."""
        ...

    def observe(self, texts: int, longest: int, cost_ns: int, now_ns: int) -> None:
        """Learn from a call."""
        ...

    def coverage(self, at: int) -> float:
        """Share of the latest calls at or below what was expected of them at that quantile; NaN before any."""
        ...

    def restart(self) -> None:
        """Forget what was learned."""
        ...


@dataclass(slots=True)
class Rung(Generic[Q, T]):
    """One way to answer: what it costs, whether it is in service, and whether it runs on the executor or inline."""

    name: str
    cost: Cost
    breaker: Breaker
    work: Work[Q, T] | None  # None: it is cheap enough to run inline

    @property
    def needs_executor(self) -> bool:
        return self.work is not None


R = TypeVar("R", bound="Rung[Any, Any]")


class Ask(NamedTuple):
    """What the ladder must know of a request.

    `may_queue` is asked last, whether so many ns of the executor may be used; None: none at all. An explorer tries a
    rung although it may be too slow: nothing else would show that it no longer is.
    """

    rank: int
    length: int  # of the question, in characters
    commit_ns: int  # when the answer must be held, at the latest
    may_queue: Callable[[int], bool] | None
    is_explorer: bool = False
    lost_ns: int = 0  # of its budget, to a busy event loop, before it came here


class Choice(NamedTuple, Generic[R]):
    """A rung to try: the permit of its breaker, when to stop waiting for it, and what is expected of it."""

    rung: R
    permit: int
    until_ns: int
    cost_ns: int  # of a call alone, at the quantile of the request's class
    wait_ns: int  # until it starts
    charged_ns: int  # of the executor's time

    @property
    def latest_start_ns(self) -> int:
        return self.until_ns - self.cost_ns


def choose(
    rungs: Sequence[R], skips: list[Skip], line: Line, ask: Ask, *, now_ns: int, hop_ns: int
) -> Choice[R] | None:
    """The best rung not yet skipped that can answer in time; None: take the floor.

    Appends to `skips` each rung that is passed over, so `len(skips)` is how far down the walk is.

    Args: hop_ns: kept back on the executor for the way back to the event loop and the coarseness of its timers.
    """
    tail = TAIL[ask.rank]
    for at in range(len(skips), len(rungs)):
        rung = rungs[at]
        cost_ns, until_ns = rung.cost.quantile_ns(tail, 1, ask.length, now_ns), ask.commit_ns
        wait_ns = overdue_ns = charged_ns = 0
        if rung.needs_executor:
            charged_ns = rung.cost.quantile_ns(P50, 1, ask.length, now_ns)
            # An executor that nobody else wants is tried on a thinner margin: what stands in still fits at `until_ns`,
            # and a rung that is believed to be slower than it is can't stay out of use.
            if ask.is_explorer or not line.ahead(ask.rank):
                cost_ns = min(cost_ns, int(_EXPLORER_SLACK * charged_ns))
            overdue_ns = line.overdue_ns(now_ns)
            # A call that has overrun is likely to run as long again: the best guess without a model of the tail, and
            # it makes a stalled rung too dear within one budget.
            cost_ns = max(cost_ns, 2 * overdue_ns)
            # Waiting may be in vain, so it ends while the next rung, which runs inline, still fits.
            until_ns -= hop_ns
            if at + 1 < len(rungs):
                until_ns -= rungs[at + 1].cost.quantile_ns(tail, 1, ask.length, now_ns)
            if ask.may_queue is not None and now_ns + cost_ns <= until_ns:
                wait_ns = line.wait_ns(ask.rank, until_ns - cost_ns, now_ns)
        if now_ns + wait_ns + cost_ns > until_ns:
            # An idle server would have had what this one lost before it came here. Behind a call that drags, it is the
            # rung that is too slow, not the others that are too many.
            fits_idle = now_ns + cost_ns <= until_ns + ask.lost_ns and not overdue_ns
            skips.append(Skip(rung.name, Degraded.OVERLOAD if fits_idle else Degraded.BUDGET))
        elif (permit := rung.breaker.acquire(now_ns)) is None:
            skips.append(Skip(rung.name, Degraded.BREAKER))
        elif rung.needs_executor and (ask.may_queue is None or not ask.may_queue(charged_ns)):
            rung.breaker.record(permit, Ending.IGNORED, now_ns)
            skips.append(Skip(rung.name, Degraded.OVERLOAD))
        else:
            return Choice(rung, permit, until_ns, cost_ns, wait_ns, charged_ns)
    return None


def degraded(skips: Sequence[Skip]) -> Degraded:
    """Why the answer is not the best rung's: what befell the best one."""
    return skips[0].why if skips else Degraded.NONE
