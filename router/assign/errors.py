"""What the engine refuses. A command that is refused has changed nothing."""

from __future__ import annotations

from typing import NamedTuple


class Same(NamedTuple):
    """No error: what a command asks for had been done before. Nothing is changed, nothing is logged."""

    subject: str


class Refused(Exception):
    """Base; `code` is for programs and never changes, `status` is that of the problem document."""

    status = 409
    code = "conflict"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Conflict(Refused):
    """The state does not allow it."""


class LostRace(Refused):
    """Somebody else was faster, or the offer was taken back."""

    code = "lost_race"


class Expired(Refused):
    """The offer's time was over."""

    status, code = 410, "expired"


class StaleFence(Refused):
    """The caller speaks of a state that has passed."""

    status, code = 412, "stale_fence"


class Unknown(Refused):
    """There is no such task, offer, resource or queue."""

    status, code = 404, "not-found"


class BadCommand(Refused):
    """A field's value can't be. The message names the field."""

    status, code = 400, "malformed"


class KeyReused(Refused):
    """The same Idempotency-Key came with another command."""

    status, code = 422, "idempotency-key-reused"


class Full(Refused):
    """A bound of the engine is reached."""

    status, code = 503, "engine-full"
