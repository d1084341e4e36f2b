"""What adapters need of the engine's desk, and how they answer."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from router.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from router.assign.command import Command
    from router.assign.engine import Stepped
    from router.assign.event import Event
    from router.assign.state import State


class Desk(Protocol):
    """The part of `router.desk.desk.Desk` that is used here."""

    @property
    def state(self) -> State: ...

    def submit_now(self, command: Command) -> tuple[Stepped, Awaitable[object]]:
        """Step at once; the awaitable is done when it is durable. Raises: Refused, LogUnavailable."""

    def subscribe(self, subscriber: Callable[[Sequence[Event]], None]) -> object: ...

    def heartbeat(self, resource_id: str, session: str | None = None) -> bool: ...


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an event of another system; its administrators read it in their logs."""

    outcome: Literal["applied", "unchanged"]
    detail: str
    task_id: str | None = None


class UnknownAgent(RequestRefused):
    """The other system names somebody whom Takt does not know."""

    status, code = 404, "unknown-agent"


class AgentOffline(RequestRefused):
    """Takt knows the agent, but as signed out: it can't hold anything."""

    status, code = 409, "agent-offline"


async def give(desk: Desk, commands: Sequence[Command]) -> bool:
    """Give commands without anything in between; returns when they are durable. False: it was done before.

    Raises: Refused, LogUnavailable; the commands before the one that was refused have been done.
    """
    written: list[Awaitable[object]] = []
    is_new = False
    try:
        for command in commands:
            stepped, durable = desk.submit_now(command)
            written.append(durable)
            if stepped.is_repeat:
                break
            is_new = True
    finally:
        for durable in written:
            await durable
    return is_new


def is_same(given: str | None, secret: str) -> bool:
    """In constant time; headers come with bytes that are no UTF-8 as surrogates."""
    return hmac.compare_digest((given or "").encode(errors="surrogateescape"), secret.encode())
