"""What can be wrong with a user's routes and rules."""

from __future__ import annotations


class PolicyError(Exception):
    """Bad routes or rules; the message names the file, the key and what is allowed."""


class ExpressionError(PolicyError):
    """A condition that can't be compiled or is not bounded."""
