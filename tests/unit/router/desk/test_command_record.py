"""Records: a command is stepped as a replay will read it, and events are filed by what they are about."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from router.assign import command as do
from router.assign.engine import Stepped
from router.assign.errors import BadCommand
from router.assign.event import Event
from router.assign.policy import Policy
from router.desk.record import decode_command, decode_event, entry_of, shelf_of_task, write_down

FIELDS: dict[str, Any] = {
    "policy": Policy(queues={}), "epoch": 2, "id": "x", "queue": "q", "queues": ("q",), "channels": {}, "number": 3,
    "task_id": "t", "resource_id": "r", "offer_id": "t-1", "presence": "away", "is_open": None,
    "pairs": (do.Pair("t", "r", 0.5),),
}  # fmt: skip


@pytest.mark.parametrize("kind", get_args(do.AnyCommand))
def test_every_command_is_read_as_it_was_written(kind: type[do.Command]) -> None:
    needed = {name: FIELDS[name] for name in kind.__struct_fields__ if name in FIELDS}
    command = kind(**needed)
    body, record = write_down(command)
    assert record == command
    assert decode_command(body) == command


def test_what_is_stepped_is_what_a_replay_reads() -> None:
    context: dict[str, Any] = {"pair": (1, 2), "n": 1}
    _, record = write_down(do.CreateTask(id="t", queue="q", context=context, target_s=5))
    assert isinstance(record, do.CreateTask)
    assert record.context == {"pair": [1, 2], "n": 1}
    assert isinstance(record.target_s, float)
    context["n"] = 2
    assert record.context["n"] == 1, "it is nobody else's"


@pytest.mark.parametrize("value", [1 << 70, "\ud800", object(), {"deep": {1, object()}}])
def test_what_cannot_be_written_is_refused(value: object) -> None:
    with pytest.raises(BadCommand, match="can't be written down"):
        write_down(do.CreateTask(id="t", queue="q", context={"x": value}))


def test_events_are_filed_by_what_they_are_about() -> None:
    kinds = ("task.queued", "offer.issued", "resource.presence", "queue.opened", "engine.resumed")
    events = tuple(
        Event(id=f"7-{number}", type=kind, subject="same", seq=number, position=7, at_ns=1)
        for number, kind in enumerate(kinds)
    )
    entry = entry_of(Stepped("same", events, (), 7, is_repeat=False), b"body", 5, 2)
    assert (entry.position, entry.at_ns, entry.epoch, entry.command) == (7, 5, 2, b"body")
    shelves = [row.subject for row in entry.events]
    assert shelves == [shelf_of_task("same")] * 2 + ["resource/same", "queue/same", "engine/same"]
    assert [row.number for row in entry.events] == [0, 1, 2, 3, 4]
    assert tuple(decode_event(row.body) for row in entry.events) == events
