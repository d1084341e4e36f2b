"""What came of a day, in the definitions of contact centers. A customer counts where they came in, whole.

Waiting is all time in queues, also after a bot: who was passed on and waited again waited for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.simulate.day import S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from router.simulate.played import Journey, Played

SLOT_NS = 900 * S
ALL = "all"
QUANTILES = 100


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Customers of one queue, or of all; None: nobody to tell it of."""

    queue: str
    customers: int
    answered: int
    abandoned: int
    turned_away: int
    """By the queue's bounds or triggers."""
    unserved: int
    """Still waiting when everybody has gone home, or to be called back."""
    service_level: float | None
    """SL2: (answered in time + left in time) / (answered + abandoned)."""
    answered_level: float | None
    """SL1: answered in time / answered."""
    asa_s: float | None
    """Mean wait of those who were answered."""
    wait_p90_s: float | None
    """Of all who were answered or left."""
    abandoned_share: float | None
    """Of all who came."""


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A quarter of an hour, by when customers came."""

    at_s: int
    customers: int
    service_level: float | None
    asa_s: float | None
    abandoned_share: float | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One day under one policy. The first line is `all`."""

    lines: tuple[Line, ...]
    slots: tuple[Slot, ...]
    waits_s: tuple[float, ...]
    """Quantiles of the wait of all who were answered or left: 0 %, 1 %, … 100 %; empty: of nobody."""
    agents: tuple[str, ...]
    """People who were on duty."""
    occupancies: tuple[float, ...]
    """Of each: busy weight x time / capacity x time on duty."""
    occupancy: float | None
    gini: float | None
    """Of people's occupancy: 0: all work the same; towards 1: one does it all."""
    spread_ratio: float | None
    """Highest occupancy / lowest; None also where the lowest is 0."""
    missed_share: float | None
    """Offers that ran out / offers."""
    contained_share: float | None
    """Of the customers that a bot answered: those who needed nobody else; None: there is no bot."""


def measure(played: Played, targets_s: Mapping[str, float]) -> Outcome:
    """Args: targets_s: each queue's, within which an answer is in time; the same for every policy."""
    journeys = list(played.journeys.values())
    queues = sorted({each.customer.task.queue for each in journeys})
    by_queue = [[each for each in journeys if each.customer.task.queue == queue] for queue in queues]
    people = [each for each in played.meters.values() if each.agent.resource.kind == "agent" and each.duty_ns]
    occupancies = [each.busy_ns / each.duty_ns for each in people]
    busy_ns, duty_ns = sum(each.busy_ns for each in people), sum(each.duty_ns for each in people)
    waits = sorted(each.waited_ns / S for each in journeys if _is_over(each))
    return Outcome(
        lines=(
            _line(ALL, journeys, targets_s),
            *(_line(name, each, targets_s) for name, each in zip(queues, by_queue, strict=True)),
        ),
        slots=tuple(_slots(played, targets_s)),
        waits_s=tuple(quantile(waits, share / QUANTILES) for share in range(QUANTILES + 1)) if waits else (),
        agents=tuple(each.agent.resource.id for each in people),
        occupancies=tuple(occupancies),
        occupancy=_share(busy_ns, duty_ns),
        gini=gini(occupancies),
        spread_ratio=max(occupancies) / min(occupancies) if occupancies and min(occupancies) > 0 else None,
        missed_share=_share(played.expired, played.offers),
        contained_share=_contained(played, journeys),
    )


def gini(values: Sequence[float]) -> float | None:
    """Mean difference of two of them / twice their mean; None: of nobody, or nobody worked."""
    total, count = sum(values), len(values)
    if not total:
        return None
    ranked = sum((2 * rank - count - 1) * value for rank, value in enumerate(sorted(values), 1))
    return ranked / (count * total)


def quantile(ascending: Sequence[float], share: float) -> float:
    """The least value that `share` of them do not exceed."""
    return ascending[max(0, min(len(ascending) - 1, -int(-share * len(ascending) // 1) - 1))]


def _line(name: str, journeys: Sequence[Journey], targets_s: Mapping[str, float]) -> Line:
    answered = [each for each in journeys if _is_answered(each)]
    left = [each for each in journeys if each.end == "abandoned"]
    waiting = [each for each in journeys if not _is_answered(each) and not each.end]
    waits = sorted(each.waited_ns / S for each in journeys if _is_over(each))
    in_time = sum(_in_time(answered, targets_s))
    return Line(
        queue=name,
        customers=len(journeys),
        answered=len(answered),
        abandoned=len(left),
        turned_away=len(journeys) - len(answered) - len(left) - len(waiting),
        unserved=len(waiting),
        service_level=_share(in_time + sum(_in_time(left, targets_s)), len(waits)),
        answered_level=_share(in_time, len(answered)),
        asa_s=_mean(each.waited_ns / S for each in answered),
        wait_p90_s=quantile(waits, 0.9) if waits else None,
        abandoned_share=_share(len(left), len(journeys)),
    )


def _slots(played: Played, targets_s: Mapping[str, float]) -> Iterable[Slot]:
    start_ns = played.day.start_ns
    count = max(1, -(-(played.day.end_ns - start_ns) // SLOT_NS))
    slots: list[list[Journey]] = [[] for _ in range(count)]
    for each in played.journeys.values():
        slots[min(count - 1, (each.customer.at_ns - start_ns) // SLOT_NS)].append(each)
    for number, journeys in enumerate(slots):
        line = _line("", journeys, targets_s)
        yield Slot(
            at_s=number * SLOT_NS // S,
            customers=line.customers,
            service_level=line.service_level,
            asa_s=line.asa_s,
            abandoned_share=line.abandoned_share,
        )


def _is_answered(journey: Journey) -> bool:
    """In the end: who a bot gave up and who then left, left."""
    return bool(journey.answered_ns) and journey.end in {"", "completed"} and not journey.waiting_since_ns


def _is_over(journey: Journey) -> bool:
    return _is_answered(journey) or journey.end == "abandoned"


def _in_time(journeys: Iterable[Journey], targets_s: Mapping[str, float]) -> Iterable[bool]:
    return (each.waited_ns <= targets_s[each.customer.task.queue] * S for each in journeys)


def _contained(played: Played, journeys: Sequence[Journey]) -> float | None:
    by_bot = [
        each for each in journeys if each.answered_by and played.meters[each.answered_by].agent.resource.kind != "agent"
    ]
    return _share(sum(each.end == "completed" and each.legs == 1 for each in by_bot), len(by_bot))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return sum(known) / len(known) if known else None
