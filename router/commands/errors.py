"""What ends a command, and with which exit code."""

from __future__ import annotations

from loadtest.errors import LoadtestError
from models.errors import ModelError, QualityRefused
from router.errors import RequestRefused
from router.log import LogError, LogUnavailable
from router.policy.errors import PolicyError
from router.telemetry.errors import TelemetryError


class CommandError(Exception):
    """Wrong usage or configuration; the message says what is allowed and what to do next."""

    exit_code = 2


class CheckFailed(CommandError):
    """The command was right, what it looked at was not."""

    exit_code = 1


def exit_code(error: Exception) -> int | None:
    """The exit code for an error whose message is meant for people; None: nobody foresaw it."""
    match error:
        case CommandError() | LoadtestError():
            return error.exit_code
        case QualityRefused() | RequestRefused() | LogUnavailable():
            return 1
        case ModelError() | PolicyError() | LogError() | TelemetryError():
            return 2
        case _:
            return None
