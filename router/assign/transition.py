"""What may follow what: tasks, offers, assignments, presence. The docs' diagrams are drawn from here.

A pair that is not in its table cannot happen: whoever asks for it is refused.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import TYPE_CHECKING, TypeVar

from router.assign.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Mapping


class TaskState(StrEnum):
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    OFFERED = "offered"
    ASSIGNED = "assigned"
    PAUSED = "paused"
    WRAPPING = "wrapping"
    COMPLETED = "completed"
    CANCELED = "canceled"


class TaskMove(StrEnum):
    """What happens to a task."""

    OPEN = "open"  # its time has come: the queue opens, the callback is due
    OFFER = "offer"
    TAKE = "take"  # a resource that accepts by itself, or a supervisor's word
    ACCEPT = "accept"
    RETURN = "return"  # the last live offer was declined, expired or rescinded
    PAUSE = "pause"
    RESUME = "resume"
    RELEASE = "release"  # transfer, requeue, escalation, or its agent was lost
    POSTPONE = "postpone"  # a callback at a later time
    FINISH = "finish"
    WRAPPED = "wrapped"
    CANCEL = "cancel"


_S, _M = TaskState, TaskMove
TASK: Mapping[tuple[TaskState, TaskMove], TaskState] = {
    (_S.SCHEDULED, _M.OPEN): _S.QUEUED,
    (_S.QUEUED, _M.OFFER): _S.OFFERED,
    (_S.QUEUED, _M.TAKE): _S.ASSIGNED,
    (_S.OFFERED, _M.ACCEPT): _S.ASSIGNED,
    (_S.OFFERED, _M.RETURN): _S.QUEUED,
    (_S.ASSIGNED, _M.PAUSE): _S.PAUSED,
    (_S.PAUSED, _M.RESUME): _S.ASSIGNED,
    (_S.ASSIGNED, _M.RELEASE): _S.QUEUED,
    (_S.PAUSED, _M.RELEASE): _S.QUEUED,
    (_S.QUEUED, _M.POSTPONE): _S.SCHEDULED,
    (_S.ASSIGNED, _M.FINISH): _S.WRAPPING,
    (_S.PAUSED, _M.FINISH): _S.WRAPPING,
    (_S.WRAPPING, _M.WRAPPED): _S.COMPLETED,
    **{(state, _M.CANCEL): _S.CANCELED for state in (_S.SCHEDULED, _S.QUEUED, _S.OFFERED, _S.ASSIGNED, _S.PAUSED)},
}
TERMINAL = frozenset((TaskState.COMPLETED, TaskState.CANCELED))
WAITING = frozenset((TaskState.QUEUED, TaskState.OFFERED))


class OfferState(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    RESCINDED = "rescinded"


class OfferMove(StrEnum):
    ACCEPT = "accept"
    DECLINE = "decline"
    EXPIRE = "expire"
    RESCIND = "rescind"


OFFER: Mapping[tuple[OfferState, OfferMove], OfferState] = {
    (OfferState.PENDING, OfferMove.ACCEPT): OfferState.ACCEPTED,
    (OfferState.PENDING, OfferMove.DECLINE): OfferState.DECLINED,
    (OfferState.PENDING, OfferMove.EXPIRE): OfferState.EXPIRED,
    (OfferState.PENDING, OfferMove.RESCIND): OfferState.RESCINDED,
}


class AssignmentState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    WRAPPING = "wrapping"
    CLOSED = "closed"
    RELEASED = "released"


class AssignmentMove(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    FINISH = "finish"
    WRAPPED = "wrapped"
    RELEASE = "release"


_A, _N = AssignmentState, AssignmentMove
ASSIGNMENT: Mapping[tuple[AssignmentState, AssignmentMove], AssignmentState] = {
    (_A.ACTIVE, _N.PAUSE): _A.PAUSED,
    (_A.PAUSED, _N.RESUME): _A.ACTIVE,
    (_A.ACTIVE, _N.FINISH): _A.WRAPPING,
    (_A.PAUSED, _N.FINISH): _A.WRAPPING,
    (_A.WRAPPING, _N.WRAPPED): _A.CLOSED,
    (_A.ACTIVE, _N.RELEASE): _A.RELEASED,
    (_A.PAUSED, _N.RELEASE): _A.RELEASED,
}


class Presence(StrEnum):
    OFFLINE = "offline"
    AVAILABLE = "available"
    BUSY = "busy"
    AWAY = "away"
    DRAINING = "draining"
    MISSED = "missed"


class PresenceMove(StrEnum):
    SIGN_OUT = "sign_out"
    READY = "ready"  # the agent says so, or the time after missed offers is over
    OCCUPY = "occupy"
    LEAVE = "leave"
    DRAIN = "drain"
    MISS = "miss"  # too many offers in a row expired
    LOSE = "lose"  # the lease and its grace ran out


_P, _Q = Presence, PresenceMove
PRESENCE: Mapping[tuple[Presence, PresenceMove], Presence] = {
    **{(state, _Q.SIGN_OUT): _P.OFFLINE for state in Presence},
    **{(state, _Q.READY): _P.AVAILABLE for state in Presence},
    **{(state, _Q.OCCUPY): _P.BUSY for state in Presence},
    **{(state, _Q.LEAVE): _P.AWAY for state in Presence},
    **{(state, _Q.DRAIN): _P.DRAINING for state in Presence if state is not _P.OFFLINE},
    **{(state, _Q.LOSE): _P.OFFLINE for state in Presence},
    (_P.AVAILABLE, _Q.MISS): _P.MISSED,
}
"""Every presence can be left for every other that an agent may choose; only `missed` comes by itself."""

S = TypeVar("S", bound=Enum)
M = TypeVar("M", bound=Enum)


def follow(table: Mapping[tuple[S, M], S], state: S, move: M, subject: str) -> S:
    """The state after a move. Raises: Conflict: the table has no such move."""
    after = table.get((state, move))
    if after is None:
        raise Conflict(f"{subject} is {state.value}: {move.value} is not possible now")
    return after
