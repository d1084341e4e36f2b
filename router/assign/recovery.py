"""The state from the journal: the rows of the last checkpoint, and the commands that came after it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from router.assign.engine import Engine
from router.assign.errors import Refused
from router.assign.policy import Policy
from router.assign.record import decode_command
from router.log.errors import LogRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.assign.state import Condition
    from router.log.journal import Recovered

NEW = Policy(queues={})
"""Before the first command, which configures another."""
_REPLAYS_A_TURN = 256
"""Then the event loop has its turn: a few ms."""


async def recover(recovered: Recovered, compile_condition: Callable[[str], Condition]) -> Engine:
    """The engine as it was after the last durable command.

    Raises: LogRefused: what was written can't be read, or a replay goes another way than the first time.
    """
    try:
        rows = recovered.rows
        engine = Engine.restore(rows, compile_condition) if rows else Engine(compile_condition, NEW)
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise _refused(f"the checkpoint at command {recovered.position}", error) from error
    for number, entry in enumerate(recovered.entries, 1):
        try:
            stepped = engine.step(decode_command(entry.command), entry.at_ns)
        except (msgspec.MsgspecError, ValueError, Refused) as error:
            raise _refused(f"command {entry.position}", error) from error
        if stepped.is_repeat or stepped.position != entry.position:
            raise _refused(f"command {entry.position}", "it does not do again what it did")
        if number % _REPLAYS_A_TURN == 0:
            await asyncio.sleep(0)
    return engine


def _refused(what: str, error: object) -> LogRefused:
    return LogRefused("commands", f"{what} can't be replayed: {error}", "run the Takt that wrote it")
