"""Retention: deletes what is too old or too much, oldest first, in small batches."""

from __future__ import annotations

from budgets.clock import Clock
from router.log.journal import EVENTS_A_COMMAND
from router.log.settings import LogSettings
from router.log.sqlite.file import Connection, live_bytes

_ROWS_A_DELETE = 500
_DAY_NS = 86_400_000_000_000


class Retention:
    """Decisions, ended tasks, and commands before the last checkpoint; nothing that a recovery reads."""

    def __init__(self, settings: LogSettings, clock: Clock) -> None:
        self._retention_ns = int(settings.retention_days * _DAY_NS)
        self._max_bytes = settings.max_bytes
        self._clock = clock
        self._next_seq = {"decisions": 0, "ended": 0}  # where the next `tidy` goes on

    def tidy(self, connection: Connection) -> bool:
        """Delete one batch of each kind, as part of a transaction; True when there may be more."""
        if live_bytes(connection) > self._max_bytes:
            return self._make_room(connection)
        now_ns = self._clock.wall_ns()
        found = [self._expire(connection, table, now_ns) for table in self._next_seq]
        found.append(self._expire_commands(connection, now_ns - self._retention_ns))
        return any(found)

    def _expire(self, connection: Connection, table: str, now_ns: int) -> bool:
        """Rows from the future, written while the clock was ahead, stay, but hold up nothing that is behind them."""
        before_ns = now_ns - self._retention_ns
        start, self._next_seq[table] = self._next_seq[table], 0
        query = f"SELECT seq, at_ns FROM {table} WHERE seq >= ? ORDER BY seq LIMIT 1"
        first = connection.execute(query, (start,)).fetchone()
        if first is None or before_ns <= first[1] <= now_ns:
            return False
        end = first[0] + _ROWS_A_DELETE
        delete = f"DELETE FROM {table} WHERE seq >= ? AND seq < ? AND at_ns < ?"
        connection.execute(delete, (first[0], end, before_ns))
        self._next_seq[table] = end
        return True

    def _expire_commands(self, connection: Connection, before_ns: int) -> bool:
        """The core's time never goes back, so what is too old comes before what is not."""
        (checkpoint,) = connection.execute("SELECT position FROM journal").fetchone()
        (first,) = connection.execute("SELECT min(position) FROM commands").fetchone()
        if first is None or first > checkpoint:
            return False
        query = "SELECT min(position) FROM commands WHERE position >= ? AND position < ? AND at_ns >= ?"
        most = min(first + _ROWS_A_DELETE, checkpoint + 1)
        (young,) = connection.execute(query, (first, most, before_ns)).fetchone()
        end = most if young is None else young
        _delete_commands(connection, end)
        return bool(end == first + _ROWS_A_DELETE)

    def _make_room(self, connection: Connection) -> bool:
        """Delete a batch of the kind whose first row is the oldest."""
        oldest = "SELECT {key}, at_ns, '{table}' FROM {table} {where} ORDER BY {key} LIMIT 1"
        firsts = [
            connection.execute(oldest.format(table=table, key=key, where=where)).fetchone()
            for table, key, where in (
                ("decisions", "seq", ""),
                ("ended", "seq", ""),
                ("commands", "position", "WHERE position <= (SELECT position FROM journal)"),
            )
        ]
        there = [first for first in firsts if first is not None]
        if not there:
            return False
        first, _, table = min(there, key=lambda row: int(row[1]))
        end = first + _ROWS_A_DELETE
        if table == "commands":
            (checkpoint,) = connection.execute("SELECT position FROM journal").fetchone()
            _delete_commands(connection, min(end, checkpoint + 1))
        else:
            connection.execute(f"DELETE FROM {table} WHERE seq < ?", (end,))
        return True


def _delete_commands(connection: Connection, before: int) -> None:
    connection.execute("DELETE FROM commands WHERE position < ?", (before,))
    connection.execute("DELETE FROM events WHERE place < ?", (before * EVENTS_A_COMMAND,))
