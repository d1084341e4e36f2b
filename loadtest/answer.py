"""What is read of an answer: which rung, how degraded, where its time went."""

from __future__ import annotations

import msgspec


class AnswerBudget(msgspec.Struct, frozen=True):
    """The server's own books of one request."""

    elapsed_ms: float = -1.0
    stages_ms: dict[str, float] = {}


class Answer(msgspec.Struct, frozen=True):
    """The fields of a 200 that are measured. An answer without `rung` is none."""

    rung: str
    degraded: str
    route: str = ""
    action: str = ""  # of other decision points, in place of a route
    reason: str = ""
    decision_id: str = ""
    budget: AnswerBudget = AnswerBudget()


_DECODER = msgspec.json.Decoder(Answer)


def read_answer(body: bytes) -> Answer | None:
    """None: it is not an answer. Cost: about 2 us."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # a server may nest what it likes
        return None
