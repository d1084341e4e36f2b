"""SqliteStore: decisions in one SQLite file. The only importer of sqlite3.

WAL with synchronous=FULL: a committed group outlives the process, the kernel and the power. One INSERT of 64
rows takes less CPU than executemany, row by row (`python -m tests.bench.log_append` prints the ratio).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import msgspec

from budgets.clock import Clock
from router.log.errors import LogRefused, LogUnavailable
from router.log.record import DecisionRecord
from router.log.settings import LogSettings

_APPLICATION_ID = 0x54414B54  # "TAKT"
_SCHEMA_VERSION = 1
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE decisions (
    seq INTEGER PRIMARY KEY, decision_id TEXT NOT NULL, at_ns INTEGER NOT NULL, record BLOB NOT NULL);
CREATE UNIQUE INDEX decisions_by_id ON decisions (decision_id);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_SCHEMA_VERSION};
COMMIT;
"""
_ROWS_A_STATEMENT = 64
"""Also bounds how long encoding holds the interpreter lock: about 0.1 ms."""
_ROWS_A_DELETE = 500
_ROWS_A_PAGE = 1_000
_BUSY_S = 0.25
_OWNER_ONLY = 0o600  # it holds what customers wrote
_DAY_NS = 86_400_000_000_000
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(DecisionRecord)


class SqliteStore:
    """Implements `Store` and `History`. `find` and `newest` need no `open`: they read beside a running server, too."""

    def __init__(self, settings: LogSettings, clock: Clock) -> None:
        self._path = Path(settings.path)
        self._retention_ns = int(settings.retention_days * _DAY_NS)
        self._max_bytes = settings.max_bytes
        self._clock = clock
        self._connection: sqlite3.Connection
        self._tidy_seq = 0  # where the next `tidy` goes on

    def open(self) -> None:
        """Open the file or make it.

        Raises: LogRefused: no Takt log, a newer one, damaged, or not writable.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if not self._path.exists():  # SQLite gives its -wal and -shm the same mode
                os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, _OWNER_ONLY))
            connection = self._connect()
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        except OSError as error:
            raise LogRefused(str(self._path), str(error), "make its folder writable") from error
        except sqlite3.Error as error:
            raise LogRefused(str(self._path), str(error), self._advice(error)) from error
        self._connection = connection

    def write(self, records: list[DecisionRecord]) -> int:
        """Write a group in one transaction; returns how many could not be encoded."""
        left_out = 0
        with self._transaction() as connection:
            for start in range(0, len(records), _ROWS_A_STATEMENT):
                values: list[str | int | bytes] = []
                for record in records[start : start + _ROWS_A_STATEMENT]:
                    try:
                        values += (record.decision_id, record.at_ns, _ENCODER.encode(record))
                    except (TypeError, ValueError, OverflowError):  # e.g. half a surrogate pair in a text
                        left_out += 1
                if values:
                    connection.execute(_insert(len(values) // 3), values)
        return left_out

    def tidy(self) -> bool:
        """Delete the oldest rows, in the order written, while the first is too old or all are too many.

        Rows from the future, written while the clock was ahead, stay, but hold up nothing that is behind them.
        """
        now_ns = self._clock.wall_ns()
        before_ns = now_ns - self._retention_ns
        with self._transaction() as connection:
            is_full = self._live_bytes(connection) > self._max_bytes
            start = 0 if is_full else self._tidy_seq
            self._tidy_seq = 0
            query = "SELECT seq, at_ns FROM decisions WHERE seq >= ? ORDER BY seq LIMIT 1"
            first = connection.execute(query, (start,)).fetchone()
            if first is None:
                return False
            seq, at_ns = first
            if before_ns <= at_ns <= now_ns and not is_full:
                return False
            end = seq + _ROWS_A_DELETE
            connection.execute(
                "DELETE FROM decisions WHERE seq >= ? AND seq < ? AND (? OR at_ns < ?)", (seq, end, is_full, before_ns)
            )
        self._tidy_seq = end
        return True

    def find(self, decision_id: str) -> DecisionRecord | None:
        """Read one record by a connection of its own.

        Raises: LogRefused: no log at the path, not one of ours, or a damaged record. LogUnavailable: try again.
        """
        with self._reading() as connection:
            row = connection.execute("SELECT record FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
        return None if row is None else self._decode(decision_id, row[0])

    def newest(self) -> Iterator[DecisionRecord]:
        """Every record, the last written first, in pages: a long read would keep the WAL from being folded in.

        Raises: as `find`.
        """
        query = "SELECT seq, decision_id, record FROM decisions WHERE seq < ? ORDER BY seq DESC LIMIT ?"
        with self._reading() as connection:
            (last,) = connection.execute("SELECT max(seq) FROM decisions").fetchone()
            before = 0 if last is None else last + 1
            while page := connection.execute(query, (before, _ROWS_A_PAGE)).fetchall():
                for _, decision_id, row in page:
                    yield self._decode(decision_id, row)
                before = page[-1][0]

    def close(self) -> None:
        """Close the file; SQLite folds the WAL into it."""
        self._connection.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own that writes nothing. Raises: as `find`."""
        if not self._path.exists():
            raise LogRefused(str(self._path), "there is no such file", "set log.path, or start the server once")
        with self._translated(), closing(self._connect()) as connection:
            connection.execute("PRAGMA query_only = ON")
            self._check_kind(connection)
            yield connection

    def _decode(self, decision_id: str, row: bytes) -> DecisionRecord:
        try:
            return _DECODER.decode(row)
        except msgspec.DecodeError as error:
            why = f"the record of {decision_id!r} can't be read: {error}"
            raise LogRefused(str(self._path), why, "the others are not affected") from error

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        is_new = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        if not is_new:
            self._check_kind(connection)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise LogRefused(str(self._path), "its file system can't do WAL", "use a local disk")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: a plain fsync does not reach the disk
        connection.execute("PRAGMA journal_size_limit = 16777216")
        if is_new:
            connection.executescript(_SCHEMA)

    def _check_kind(self, connection: sqlite3.Connection) -> None:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application_id != _APPLICATION_ID:
            why = "it is an SQLite file, but no Takt log"
            raise LogRefused(str(self._path), why, "set log.path elsewhere")
        if version != _SCHEMA_VERSION:
            why = f"its schema is version {version}, this Takt knows {_SCHEMA_VERSION}"
            raise LogRefused(str(self._path), why, "run the Takt that wrote it, or set log.path elsewhere")

    def _live_bytes(self, connection: sqlite3.Connection) -> int:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite rolls back by itself on some errors, such as a full disk, but not on all.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            message = f"{self._path}: {error}; {self._advice(error)}"
            raise LogUnavailable(message) from error

    def _advice(self, error: sqlite3.Error) -> str:
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:
            case sqlite3.SQLITE_FULL:
                return "free space on its disk"
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return "another process holds it: end that one"
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return (
                    f"stop the server and move {self._path.name} aside with its -wal and -shm files; the "
                    "next start makes a new log, and `sqlite3 FILE .recover` may save what the old one held"
                )
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                return "make the file and its folder writable"
            case _:
                return "look at its disk"


@cache
def _insert(rows: int) -> str:
    return "INSERT OR IGNORE INTO decisions (decision_id, at_ns, record) VALUES" + ",".join(["(?,?,?)"] * rows)
