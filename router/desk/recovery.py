"""The state from the journal: the rows of the last checkpoint, and the commands that came after it."""

from __future__ import annotations

import asyncio
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from router.assign.engine import Engine
from router.assign.errors import Refused
from router.assign.policy import Policy
from router.desk.record import decode_command
from router.log.errors import LogRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from router.assign.state import Condition
    from router.log.journal import Recovered

NEW = Policy(queues={})
"""Before the first command, which configures another."""
MANY = 1_000
"""Rows, commands or tasks: more take longer than the event loop should be kept from other work, 20 to 50 ms."""


async def recover(
    recovered: Recovered, compile_condition: Callable[[str], Condition], executor: Executor | None = None
) -> Engine:
    """The engine as it was after the last durable command. Many tasks are recovered in a thread: that takes seconds.

    Raises: LogRefused: what was written can't be read, or a replay goes another way than the first time.
    """
    if len(recovered.rows) + len(recovered.entries) <= MANY:
        return _recover(recovered, compile_condition)
    with _without_collections():
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, _recover, recovered, compile_condition)


@contextmanager
def _without_collections() -> Iterator[None]:
    """What is recovered stays: a look through it for garbage would stop the event loop for most of a second."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _recover(recovered: Recovered, compile_condition: Callable[[str], Condition]) -> Engine:
    try:
        rows = recovered.rows
        engine = Engine.restore(rows, compile_condition) if rows else Engine(compile_condition, NEW)
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise _refused(f"the checkpoint at command {recovered.position}", error) from error
    for entry in recovered.entries:
        try:
            stepped = engine.step(decode_command(entry.command), entry.at_ns)
        except (msgspec.MsgspecError, ValueError, Refused) as error:
            raise _refused(f"command {entry.position}", error) from error
        if stepped.is_repeat or stepped.position != entry.position:
            raise _refused(f"command {entry.position}", "it does not do again what it did")
    return engine


def _refused(what: str, error: object) -> LogRefused:
    return LogRefused("commands", f"{what} can't be replayed: {error}", "run the Takt that wrote it")
