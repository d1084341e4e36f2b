"""What ends a command, with its exit code (docs/load-testing.md)."""

from __future__ import annotations

PASSED, FAILED, USAGE, INCONCLUSIVE, INVALID, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class LoadtestError(Exception):
    """The message is for people: what is wrong, where, and what to do next."""

    exit_code = USAGE


class ScenarioError(LoadtestError):
    """A scenario, a gate or an argument that cannot be; the message names the key."""


class RunError(LoadtestError):
    """A directory that holds no run, or not a whole one."""


class Unreachable(LoadtestError):
    """The target cannot be reached, started or made ready."""

    exit_code = UNREACHABLE


class InvalidRun(LoadtestError):
    """The generator could not do what the scenario asks, so its numbers mean nothing."""

    exit_code = INVALID


class Interrupted(LoadtestError):
    """SIGINT or SIGTERM before a run began or after it, or twice while it lasted; the message says what is left."""

    exit_code = INTERRUPTED
