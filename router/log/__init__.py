"""The decision log: what was decided, kept so that it can be explained later.

How to read this package:

    record.py    DecisionRecord, what one row holds
    base.py      Log, the port: append (never waits), commit, get, stats; History: every record, newest first; since
    backlog.py   pure: the bounded queue between the request path and the writer
    group.py     GroupLog, the port as one writer thread with group commit over a `Store`
    sqlite.py    SqliteStore, the only importer of sqlite3
    memory.py    MemoryLog, bounded and gone with the process
    settings.py  [log] of takt.toml

    append ──► Backlog ──► writer thread ──► Store.write (one transaction, one fsync) ──► commit() resolves
                  ▲                              │ fails: the batch stays, state "failing", retry after ≤ 1 s
    get ──────────┴── reader thread ─────────────┴─► Store.find            newest: page by page, any process
"""

from __future__ import annotations

from router.log.base import History, Log, LogStats, since
from router.log.errors import LogError, LogRefused, LogUnavailable
from router.log.group import GroupLog, StoreFault
from router.log.memory import MemoryLog
from router.log.record import DecisionRecord, Match
from router.log.settings import LogSettings
from router.log.sqlite import SqliteStore

__all__ = [
    "DecisionRecord",
    "GroupLog",
    "History",
    "Log",
    "LogError",
    "LogRefused",
    "LogSettings",
    "LogStats",
    "LogUnavailable",
    "Match",
    "MemoryLog",
    "SqliteStore",
    "StoreFault",
    "since",
]
