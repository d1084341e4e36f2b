"""The log: what was decided, kept to be explained later, and what was commanded, kept to be repeated.

How to read this package:

    record.py    DecisionRecord, what one row of the decision log holds
    base.py      Log, its port: append (never waits), commit, get, stats; History: every record, newest first; since
    journal.py   Journal, the port of the commands: start (recover), append, checkpoint, commit, events, find
    backlog.py   pure: the bounded queue between the request path and the writer
    lane.py      Lane: a backlog and who waits for it
    writer.py    Writer: one thread, group commit of both lanes over a `Store`
    group.py     GroupLog, the log's port over a Writer
    command.py   GroupJournal, the journal's port over the same Writer
    sqlite/      SqliteStore, the only importer of sqlite3
    memory.py    MemoryLog, MemoryJournal: bounded and gone with the process
    settings.py  [log] of takt.toml

    append ──► Backlog ──► writer thread ──► Store.write (one transaction, one fsync) ──► commit() resolves
                  ▲                              │ fails: the batch stays, state "failing", retry after ≤ 1 s
    get, find ────┴── reader thread ─────────────┴─► Store.find            newest, entries: page by page, any process
"""

from __future__ import annotations

from router.log.base import History, Log, LogStats, since
from router.log.command import GroupJournal
from router.log.errors import LogError, LogFenced, LogRefused, LogUnavailable
from router.log.group import GroupLog
from router.log.journal import (
    Checkpoint,
    CommandHistory,
    Entry,
    EventRow,
    Journal,
    JournalStats,
    PlacedEvent,
    Recovered,
    Row,
    SideRows,
)
from router.log.memory import JournalMemory, MemoryJournal, MemoryLog
from router.log.record import DecisionRecord, Match
from router.log.settings import LogSettings
from router.log.sqlite import SqliteStore
from router.log.writer import StoreFault

__all__ = [
    "Checkpoint",
    "CommandHistory",
    "DecisionRecord",
    "Entry",
    "EventRow",
    "GroupJournal",
    "GroupLog",
    "History",
    "Journal",
    "JournalMemory",
    "JournalStats",
    "Log",
    "LogError",
    "LogFenced",
    "LogRefused",
    "LogSettings",
    "LogStats",
    "LogUnavailable",
    "Match",
    "MemoryJournal",
    "MemoryLog",
    "PlacedEvent",
    "Recovered",
    "Row",
    "SideRows",
    "SqliteStore",
    "StoreFault",
    "since",
]
