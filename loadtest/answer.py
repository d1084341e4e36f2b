"""What is read of an answer: which rung, how degraded, where its time went."""

from __future__ import annotations

import msgspec


class AnswerBudget(msgspec.Struct, frozen=True):
    """The server's own books of one request."""

    elapsed_ms: float = -1.0
    stages_ms: dict[str, float] = {}
    late: bool = False


class Answer(msgspec.Struct, frozen=True):
    """The fields of a 200 that are measured. An answer without `rung` is none."""

    rung: str
    degraded: str
    route: str = ""
    action: str = ""  # of other decision points, in place of a route
    reason: str = ""
    decision_id: str = ""
    budget: AnswerBudget = AnswerBudget()


class _Problem(msgspec.Struct, frozen=True):
    """What is read of a refusal (RFC 9457)."""

    code: str = ""


_DECODER, _PROBLEM_DECODER = msgspec.json.Decoder(Answer), msgspec.json.Decoder(_Problem)


def read_answer(body: bytes) -> Answer | None:
    """None: it is not an answer. Cost: about 2 us."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # a server may nest what it likes
        return None


def read_code(body: bytes) -> str:
    """Why a request was refused; empty: it does not say so. Cost: below 1 us."""
    try:
        return _PROBLEM_DECODER.decode(body).code
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
