"""What the product refuses. Each error knows its status on the wire and its stable code."""

from __future__ import annotations

from budgets.admission import Refusal


class RequestRefused(Exception):
    """A request that gets no decision. `detail` is for people; `code` is for programs and never changes."""

    status = 400
    code = "bad-request"
    retry_after_s: int | None = None
    fallback = ""
    """The route that stands in, where a task was not taken."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


_WORDS = {
    Refusal.EXPIRED: (504, "the budget had run out before the work began"),
    Refusal.UNMEETABLE: (504, "no answer, however cheap, fits into what is left of the budget"),
    Refusal.FULL: (503, "as many requests as `admission.max_inflight` allows are being decided"),
    Refusal.SHED: (503, "the server is overloaded, and more critical requests come first"),
    Refusal.DRAINING: (503, "the server is shutting down; another one will answer"),
}


class NotAdmitted(RequestRefused):
    """Turned away at the door."""

    def __init__(self, refusal: Refusal) -> None:
        self.status, detail = _WORDS[refusal]
        self.code = refusal.value
        self.retry_after_s = 1 if self.status == 503 else None  # noqa: PLR2004
        super().__init__(detail)
