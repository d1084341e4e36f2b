"""What statistics count of queues and agents, and the figures that are told of it, by their exact definitions.

Counts are of what happened within the window. A wait is from when a task came into the queue until it was accepted;
one that is handed on, or comes back, waits anew. Shares are None where there is nothing to divide by. Where what ended
in the window may have begun before it (abandoned of queued, expired of offers), a share is at most 1.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

_US = 1_000_000


class Q(IntEnum):
    """A queue's counters."""

    QUEUED = 0
    CALLBACKS = 1  # of those queued
    ANSWERED = 2
    ANSWERED_IN = 3  # within the target
    WAITED_US = 4  # of the answered
    ABANDONED = 5
    ABANDONED_IN = 6
    SHORT_ABANDONED = 7
    LEFT = 8  # the queue otherwise: moved, postponed, canceled
    OFFERS = 9
    DECLINED = 10
    EXPIRED = 11
    RESCINDED = 12
    HANDLED = 13  # assignments that ended
    TRANSFERRED = 14  # of those
    HANDLED_US = 15
    WRAPPED_US = 16
    COMPLETED = 17
    CANCELED = 18
    BOT_ENDED = 19  # of both, tasks that a bot had
    CONTAINED = 20  # of those completed, and no human had them
    DEFLECTED = 21  # canceled as such
    ACCEPTED = 22  # offers


class A(IntEnum):
    """An agent's counters."""

    OFFERS = 0
    ACCEPTED = 1
    DECLINED = 2
    EXPIRED = 3
    HANDLED = 4
    TRANSFERRED = 5
    HANDLED_US = 6
    WRAPPED_US = 7


class L(IntEnum):
    """Levels of an agent, and of a queue their sums over its agents; then those of a queue alone."""

    BUSY = 0  # weight of assignments and wrap-ups, at most the capacity, while signed in
    WORKING = 1  # capacity while available, busy, or holding work
    SIGNED = 2  # capacity while signed in
    AGENTS = 3  # signed in
    AVAILABLE = 4
    WAITING = 5


AGENT_LEVELS = 5


class QueueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One queue over a window that ends now."""

    queue: str
    window_s: float
    """As long as was asked for, and up to the full minute (of more than an hour for agents: quarter) before."""
    target_s: float
    waiting: int
    """Now, as are the next three."""
    longest_wait_s: float | None
    agents: int
    """Signed in; one who is in several queues is in each."""
    available: int
    mean_waiting: float
    queued: int
    callbacks: int
    """Of those queued."""
    answered: int
    abandoned: int
    """Callbacks, and who left sooner than short_abandon_s, are not counted."""
    short_abandoned: int
    left: int
    """Handed on to another queue, postponed, or canceled for another reason, before they were answered."""
    asa_s: float | None
    """Average speed of answer: mean wait of the answered."""
    sl1_share: float | None
    """Answered within the target, of the answered."""
    sl2_share: float | None
    """Answered or abandoned within the target, of the answered and abandoned: the service level."""
    abandoned_share: float | None
    """Of the queued but callbacks and short ones."""
    offers: int
    accepted: int
    declined: int
    expired: int
    rescinded: int
    rona_share: float | None
    """Offers that expired, of all."""
    handled: int
    """Assignments that ended."""
    aht_s: float | None
    """Average handling time: talk, hold and wrap-up, of each."""
    transferred_share: float | None
    """Of the assignments that ended."""
    occupancy_share: float | None
    """Weight of assignments and wrap-ups x time, of capacity x time of agents available, busy or with work."""
    utilisation_share: float | None
    """The same, of capacity x time of all who are signed in."""
    completed: int
    canceled: int
    containment_share: float | None
    """Of the ended tasks that a bot had: completed, and no human had them."""
    deflection_share: float | None
    """Of the ended tasks: contained, or canceled as deflected."""


class AgentFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One agent (or bot) over a window that ends now; terms as in `QueueFigures`."""

    resource_id: str
    kind: str
    queues: tuple[str, ...]
    presence: str
    window_s: float
    signed_in_s: float
    available_s: float
    offers: int
    accepted: int
    declined: int
    expired: int
    rona_share: float | None
    handled: int
    aht_s: float | None
    transferred_share: float | None
    occupancy_share: float | None
    utilisation_share: float | None


def of_queue(queue: str, sums: list[int], levels: list[int], **now: float | None) -> QueueFigures:
    """Args: sums: of a window, by `Q` and then `L`; levels: by `L`; now: window_s, target_s, longest_wait_s."""
    area = sums[len(Q) :]
    window_s = now["window_s"] or 0.0
    settled = sums[Q.ANSWERED] + sums[Q.ABANDONED]
    ended = sums[Q.COMPLETED] + sums[Q.CANCELED]
    countable = sums[Q.QUEUED] - sums[Q.CALLBACKS] - sums[Q.SHORT_ABANDONED]
    return QueueFigures(
        queue=queue,
        window_s=window_s,
        target_s=now["target_s"] or 0.0,
        waiting=levels[L.WAITING],
        longest_wait_s=now["longest_wait_s"],
        agents=levels[L.AGENTS],
        available=levels[L.AVAILABLE],
        mean_waiting=area[L.WAITING] / 1e3 / window_s if window_s else float(levels[L.WAITING]),
        queued=sums[Q.QUEUED],
        callbacks=sums[Q.CALLBACKS],
        answered=sums[Q.ANSWERED],
        abandoned=sums[Q.ABANDONED],
        short_abandoned=sums[Q.SHORT_ABANDONED],
        left=sums[Q.LEFT],
        asa_s=_mean(sums[Q.WAITED_US], sums[Q.ANSWERED]),
        sl1_share=share(sums[Q.ANSWERED_IN], sums[Q.ANSWERED]),
        sl2_share=share(sums[Q.ANSWERED_IN] + sums[Q.ABANDONED_IN], settled),
        abandoned_share=share(sums[Q.ABANDONED], countable),
        offers=sums[Q.OFFERS],
        accepted=sums[Q.ACCEPTED],
        declined=sums[Q.DECLINED],
        expired=sums[Q.EXPIRED],
        rescinded=sums[Q.RESCINDED],
        rona_share=share(sums[Q.EXPIRED], sums[Q.OFFERS]),
        handled=sums[Q.HANDLED],
        aht_s=_mean(sums[Q.HANDLED_US] + sums[Q.WRAPPED_US], sums[Q.HANDLED]),
        transferred_share=share(sums[Q.TRANSFERRED], sums[Q.HANDLED]),
        occupancy_share=share(area[L.BUSY], area[L.WORKING]),
        utilisation_share=share(area[L.BUSY], area[L.SIGNED]),
        completed=sums[Q.COMPLETED],
        canceled=sums[Q.CANCELED],
        containment_share=share(sums[Q.CONTAINED], sums[Q.BOT_ENDED]),
        deflection_share=share(sums[Q.CONTAINED] + sums[Q.DEFLECTED], ended),
    )


def of_agent(sums: list[int], *, resource_id: str, kind: str, queues: tuple[str, ...], presence: str,
             window_s: float) -> AgentFigures:  # fmt: skip
    """Args: sums: of a window, by `A` and then `L`."""
    area = sums[len(A) :]
    return AgentFigures(
        resource_id=resource_id,
        kind=kind,
        queues=queues,
        presence=presence,
        window_s=window_s,
        signed_in_s=area[L.AGENTS] / 1e3,
        available_s=area[L.AVAILABLE] / 1e3,
        offers=sums[A.OFFERS],
        accepted=sums[A.ACCEPTED],
        declined=sums[A.DECLINED],
        expired=sums[A.EXPIRED],
        rona_share=share(sums[A.EXPIRED], sums[A.OFFERS]),
        handled=sums[A.HANDLED],
        aht_s=_mean(sums[A.HANDLED_US] + sums[A.WRAPPED_US], sums[A.HANDLED]),
        transferred_share=share(sums[A.TRANSFERRED], sums[A.HANDLED]),
        occupancy_share=share(area[L.BUSY], area[L.WORKING]),
        utilisation_share=share(area[L.BUSY], area[L.SIGNED]),
    )


def share(part: int, whole: int) -> float | None:
    return min(1.0, part / whole) if whole > 0 else None


def _mean(total_us: int, count: int) -> float | None:
    return total_us / count / _US if count else None
