"""Decisions that a person put right: the text and what was known beside it from the log, the route from a CSV file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from budgets.clock import SystemClock
from models.columns import read
from models.data import Example, read_csv
from router.commands.errors import CommandError
from router.commands.terminal import note
from router.log import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.columns import Column
    from router.config import Config
    from router.log import DecisionRecord


def open_log(config: Config, path: Path | None = None) -> SqliteStore:
    """The project's log, or the one at a path, to find decisions in."""
    settings = config.settings.log
    where = config.path(settings.path) if path is None else path
    return SqliteStore(msgspec.structs.replace(settings, path=str(where)), SystemClock())


def read_corrections(path: Path, config: Config, columns: Sequence[Column]) -> list[Example]:
    """Rows of a CSV file with the columns `decision_id` and `route`; those that the log can't complete are told.

    Raises: DataError, LogError; CommandError: none can be used.
    """
    log = open_log(config)
    rows = read_csv(path, "decision_id")
    examples, unknown, dropped = [], 0, 0
    for decision_id, route, _ in rows:
        record = log.find(decision_id)
        if record is None:
            unknown += 1
        elif record.text is None:
            dropped += 1
        else:
            examples.append(_example(record, record.text, route, columns))
    reasons = {"not in the log": unknown, "logged without their text (log.text)": dropped}
    left_out = ", ".join(f"{number} {why}" for why, number in reasons.items() if number)
    if not examples:
        raise CommandError(f"{path}: none of {len(rows)} decisions can be learned from: {left_out}")
    if left_out:
        note(f"warning: {path}: of {len(rows)} decisions {unknown + dropped} are left out: {left_out}")
    return examples


def _example(record: DecisionRecord, text: str, route: str, columns: Sequence[Column]) -> Example:
    known = dict(record.columns)
    return Example(text, route, tuple(read(column.kind, known.get(column.name)) for column in columns))
