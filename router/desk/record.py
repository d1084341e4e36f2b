"""What the journal keeps of the engine, as bytes: commands, events, tasks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.assign.command import AnyCommand
from router.assign.entity import Task
from router.assign.errors import BadCommand
from router.assign.event import Event
from router.log.journal import Entry, EventRow

if TYPE_CHECKING:
    from router.assign.command import Command
    from router.assign.engine import Stepped

_encode = msgspec.msgpack.Encoder().encode
decode_command = msgspec.msgpack.Decoder(AnyCommand).decode
decode_event = msgspec.msgpack.Decoder(Event).decode
decode_task = msgspec.msgpack.Decoder(Task).decode


def write_down(command: Command) -> tuple[bytes, AnyCommand]:
    """A command's record, and the command as a replay will read it. Raises: BadCommand: it can't be written down."""
    try:
        body = _encode(command)
        return body, decode_command(body)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise BadCommand(f"can't be written down: {error}") from error


def entry_of(stepped: Stepped, body: bytes, at_ns: int, epoch: int) -> Entry:
    """What one command, written down as `body`, did."""
    rows = tuple(
        EventRow(shelf_of(event), event.seq, number, _encode(event)) for number, event in enumerate(stepped.events)
    )
    return Entry(stepped.position, at_ns, epoch, body, rows)


def shelf_of_task(task_id: str) -> str:
    """Under which name the journal finds the events of a task: a resource may have the same id."""
    return f"task/{task_id}"


def shelf_of(event: Event) -> str:
    kind, _, _ = event.type.partition(".")
    return shelf_of_task(event.subject) if kind in {"task", "offer"} else f"{kind}/{event.subject}"
