"""One SQLite file for decisions and commands. Only `file.py` imports sqlite3.

file.py       SqliteFile: the schema, connections, transactions, and errors in words
decision.py   the table of decisions
command.py    SqliteCommands: commands, events, rows and who may write them
retention.py  Retention: deletes what is too old or too much, in small batches
store.py      SqliteStore: all of them behind one transaction
"""

from __future__ import annotations

from router.log.sqlite.command import SqliteCommands
from router.log.sqlite.store import SqliteStore

__all__ = ["SqliteCommands", "SqliteStore"]
