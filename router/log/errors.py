"""What can go wrong with the log."""

from __future__ import annotations


class LogError(Exception):
    """Base of this package's errors; never raised itself.

    `status` and `code` are those of the problem document an HTTP caller gets.
    """

    status = 500
    code = "log-error"


class LogRefused(LogError):
    """The log's file can't be used as it is, and only a person can change that."""

    code = "log-refused"

    def __init__(self, path: str, why: str, advice: str) -> None:
        self.path = path
        self.why = why
        self.advice = advice
        super().__init__(f"log.path: {path}: {why}; {advice}")


class LogUnavailable(LogError):
    """The log can't be read or written now; trying again later may help."""

    status = 503
    code = "log-unavailable"


class LogFenced(LogUnavailable):
    """Another process has taken the commands over; trying again helps only where that one answers."""

    code = "log-fenced"
