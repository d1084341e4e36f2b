"""SqliteFile: the file, its schema, its connections and transactions. The only importer of sqlite3.

WAL with synchronous=FULL: a committed group outlives the process, the kernel and the power. One INSERT of 64
rows takes less CPU than executemany, row by row (`python -m tests.bench.log_append` prints the ratio).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from router.log.errors import LogRefused, LogUnavailable

Connection = sqlite3.Connection
Value = str | int | bytes | None

ROWS_A_STATEMENT = 64
"""Also bounds how long encoding holds the interpreter lock: about 0.1 ms."""
_APPLICATION_ID = 0x54414B54  # "TAKT"
_SCHEMA_VERSION = 2
_DECISIONS = """
CREATE TABLE decisions (
    seq INTEGER PRIMARY KEY, decision_id TEXT NOT NULL, at_ns INTEGER NOT NULL, record BLOB NOT NULL);
CREATE UNIQUE INDEX decisions_by_id ON decisions (decision_id);
"""
_COMMANDS = """
CREATE TABLE commands (
    position INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, epoch INTEGER NOT NULL, command BLOB NOT NULL);
CREATE TABLE events (
    place INTEGER PRIMARY KEY, -- position << 20 | number
    subject TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX events_by_subject ON events (subject, seq);
CREATE TABLE state (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX state_by_id ON state (kind, id);
CREATE TABLE ended (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, at_ns INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX ended_by_id ON ended (kind, id);
CREATE TABLE side (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX side_by_id ON side (kind, id);
CREATE TABLE journal (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL, -- of who may write commands
    position INTEGER NOT NULL); -- that `state` is of
INSERT INTO journal VALUES (1, 0, 0);
"""
_STATEMENTS_KEPT = 512
_BUSY_S = 0.25
_OWNER_ONLY = 0o600  # it holds what customers wrote


class SqliteFile:
    """A Takt log. Reading needs no `open`: it works beside a running server, too."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._connection: Connection

    def open(self) -> None:
        """Open the file or make it.

        Raises: LogRefused: no Takt log, a newer one, damaged, or not writable.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():  # SQLite gives its -wal and -shm the same mode
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, _OWNER_ONLY))
            connection = self._connect()
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        except OSError as error:
            raise LogRefused(str(self.path), str(error), "make its folder writable") from error
        except sqlite3.Error as error:
            raise LogRefused(str(self.path), str(error), self._advice(error)) from error
        self._connection = connection

    def close(self) -> None:
        """Close the file; SQLite folds the WAL into it."""
        self._connection.close()

    @contextmanager
    def transaction(self, connection: Connection | None = None) -> Iterator[Connection]:
        """All or nothing, on the connection of `open` or another one. Raises: LogUnavailable: try again."""
        connection = connection or self._connection
        with self._translated():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # SQLite rolls back by itself on some errors, such as a full disk, but not on all.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self, *, least_version: int = 1, is_writing: bool = False) -> Iterator[Connection]:
        """A connection of its own, which writes nothing unless `is_writing`.

        Raises: LogRefused: no log at the path, or not one of ours. LogUnavailable: try again.
        """
        if not self.path.exists():
            raise LogRefused(str(self.path), "there is no such file", "set log.path, or start the server once")
        with self._translated(), closing(self._connect()) as connection:
            if is_writing:
                _flush_commits(connection)
            else:
                connection.execute("PRAGMA query_only = ON")
            if self._check_kind(connection) < least_version:
                why = "it is from before there were commands and holds decisions only"
                raise LogRefused(str(self.path), why, "start the server with it once")
            yield connection

    def _connect(self) -> Connection:
        uri = f"{self.path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, cached_statements=_STATEMENTS_KEPT)

    def _prepare(self, connection: Connection) -> None:
        is_new = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        version = 0 if is_new else self._check_kind(connection)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise LogRefused(str(self.path), "its file system can't do WAL", "use a local disk")
        _flush_commits(connection)
        connection.execute("PRAGMA journal_size_limit = 16777216")
        if version < _SCHEMA_VERSION:
            connection.executescript(
                f"BEGIN IMMEDIATE; {_DECISIONS if is_new else ''} {_COMMANDS} "
                f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;"
            )

    def _check_kind(self, connection: Connection) -> int:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application_id != _APPLICATION_ID:
            why = "it is an SQLite file, but no Takt log"
            raise LogRefused(str(self.path), why, "set log.path elsewhere")
        if not 1 <= version <= _SCHEMA_VERSION:  # 1: decisions only; the next server that opens it adds the rest
            why = f"its schema is version {version}, this Takt knows {_SCHEMA_VERSION}"
            raise LogRefused(str(self.path), why, "run the Takt that wrote it, or set log.path elsewhere")
        return int(version)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            message = f"{self.path}: {error}; {self._advice(error)}"
            raise LogUnavailable(message) from error

    def _advice(self, error: sqlite3.Error) -> str:
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:
            case sqlite3.SQLITE_FULL:
                return "free space on its disk"
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return "another process holds it: end that one"
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return (
                    f"stop the server and move {self.path.name} aside with its -wal and -shm files; the "
                    "next start makes a new log, and `sqlite3 FILE .recover` may save what the old one held"
                )
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                return "make the file and its folder writable"
            case _:
                return "look at its disk"


def _flush_commits(connection: Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: a plain fsync does not reach the disk


def live_bytes(connection: Connection) -> int:
    """How much of the file is in use."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def insert(connection: Connection, table: str, columns: str, values: Sequence[Value]) -> None:
    """Insert rows, given value by value, in few statements; a row whose key is there already is ignored."""
    width = columns.count(",") + 1
    for start in range(0, len(values), width * ROWS_A_STATEMENT):
        some = values[start : start + width * ROWS_A_STATEMENT]
        connection.execute(_insert(table, columns, width, len(some) // width), some)


@cache
def _insert(table: str, columns: str, width: int, rows: int) -> str:
    row = f"({','.join('?' * width)})"
    return f"INSERT INTO {table} ({columns}) VALUES {','.join([row] * rows)} ON CONFLICT DO NOTHING"
