"""SqliteCommands: commands with their events, the state at the last checkpoint, and who may write them."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from budgets.clock import Clock
from router.log.errors import LogFenced, LogRefused
from router.log.journal import EVENTS_A_COMMAND, Checkpoint, Entry, PlacedEvent, Recovered, SideRows, Step
from router.log.sqlite.file import Connection, SqliteFile, Value, insert

_PLACE_BITS = EVENTS_A_COMMAND.bit_length() - 1
_ROWS_A_PAGE = 1_000
_VERSION = 2
"""Of the schema that has commands."""
_PUT = "INSERT INTO {} (kind, id, body) VALUES (?,?,?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body"
_DELETE = "DELETE FROM {} WHERE kind = ? AND id = ?"
_END = "INSERT OR REPLACE INTO ended (kind, id, at_ns, body) VALUES (?,?,?,?)"


class SqliteCommands:
    """Implements `CommandStore` and `CommandHistory`. All but `write` have a connection of their own."""

    def __init__(self, file: SqliteFile, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._epoch = 0

    def take_over(self) -> Recovered:
        """Raise the epoch, which ends whoever had it, then read what there is.

        Raises: as `SqliteFile.reading`; LogRefused: commands are missing.
        """
        with self._file.reading(least_version=_VERSION, is_writing=True) as connection:
            with self._file.transaction(connection):
                connection.execute("UPDATE journal SET epoch = epoch + 1")
                self._epoch, position = connection.execute("SELECT epoch, position FROM journal").fetchone()
            # Nobody else writes commands from here on, so these reads belong together.
            rows = connection.execute("SELECT kind, id, body FROM state").fetchall()
            entries = list(self._entries(connection, position + 1))
        expected = range(position + 1, position + 1 + len(entries))
        missing = next((at for at, entry in zip(expected, entries, strict=True) if entry.position != at), None)
        if missing is not None:
            why = f"command {missing} is missing, so what came after can't be repeated"
            raise LogRefused(str(self._file.path), why, "restore the file from a copy, or move it aside")
        return Recovered(epoch=self._epoch, position=position, rows=rows, entries=entries)

    def write(self, connection: Connection, steps: Sequence[Step]) -> None:
        """Write commands and checkpoints as a part of a transaction. Raises: LogFenced: another writer took over."""
        self._check_epoch(connection)
        commands: list[Value] = []
        events: list[Value] = []
        for step in steps:
            if not isinstance(step, Entry):
                self._write_rows(connection, step)
                continue
            commands += (step.position, step.at_ns, step.epoch, step.command)
            for subject, seq, number, body in step.events:
                events += (step.position << _PLACE_BITS | number, subject, seq, body)
        insert(connection, "commands", "position, at_ns, epoch, command", commands)
        insert(connection, "events", "place, subject, seq, body", events)

    def check_writer(self, connection: Connection) -> None:
        """Raises: LogFenced: another writer took over from this one, if it ever was one."""
        if self._epoch:
            self._check_epoch(connection)

    def _check_epoch(self, connection: Connection) -> None:
        (epoch,) = connection.execute("SELECT epoch FROM journal").fetchone()
        if epoch != self._epoch:
            message = f"{self._file.path}: another process has taken the commands over"
            raise LogFenced(message)

    def _write_rows(self, connection: Connection, step: Checkpoint | SideRows) -> None:
        table, now_ns = "state" if isinstance(step, Checkpoint) else "side", self._clock.wall_ns()
        put: list[Sequence[Value]] = []
        gone: list[Sequence[Value]] = []
        ended: list[Sequence[Value]] = []
        for kind, id_, body, is_kept in step.rows:
            if body is None or is_kept:
                gone.append((kind, id_))
            else:
                put.append((kind, id_, body))
            if body is not None and is_kept:
                ended.append((kind, id_, now_ns, body))
        connection.executemany(_DELETE.format(table), gone)
        connection.executemany(_PUT.format(table), put)
        connection.executemany(_END, ended)
        if isinstance(step, Checkpoint):
            connection.execute("UPDATE journal SET position = ?", (step.position,))

    def find(self, kind: str, id_: str) -> bytes | None:
        """A row of the last checkpoint, or one that was kept when it ended."""
        with self._file.reading(least_version=_VERSION) as connection:
            for table in ("state", "ended"):
                row = connection.execute(f"SELECT body FROM {table} WHERE kind = ? AND id = ?", (kind, id_)).fetchone()
                if row is not None:
                    return bytes(row[0])
        return None

    def events(self, subject: str, after_seq: int, most: int) -> list[bytes]:
        """As `Journal.events`."""
        query = "SELECT body FROM events WHERE subject = ? AND seq > ? ORDER BY seq LIMIT ?"
        with self._file.reading(least_version=_VERSION) as connection:
            return [body for (body,) in connection.execute(query, (subject, after_seq, most))]

    def events_since(self, cursor: tuple[int, int], most: int) -> list[PlacedEvent]:
        """As `Journal.events_since`."""
        position, number = cursor
        query = "SELECT place, body FROM events WHERE place > ? ORDER BY place LIMIT ?"
        with self._file.reading(least_version=_VERSION) as connection:
            found = connection.execute(query, (position << _PLACE_BITS | number, most)).fetchall()
        return [PlacedEvent(place >> _PLACE_BITS, place % EVENTS_A_COMMAND, body) for place, body in found]

    def side_rows(self, kind: str) -> list[tuple[str, bytes]]:
        """As `Journal.side_rows`."""
        with self._file.reading(least_version=_VERSION) as connection:
            return connection.execute("SELECT id, body FROM side WHERE kind = ?", (kind,)).fetchall()

    def entries(self, from_position: int = 1) -> Generator[Entry, None, None]:
        """As `CommandHistory.entries`, in pages: a long read would keep the WAL from being folded in."""
        with self._file.reading(least_version=_VERSION) as connection:
            yield from self._entries(connection, from_position)

    def _entries(self, connection: Connection, from_position: int) -> Generator[Entry, None, None]:
        query = (
            "SELECT position, at_ns, epoch, command FROM commands "
            "WHERE position BETWEEN ? AND ? ORDER BY position LIMIT ?"
        )
        (last,) = connection.execute("SELECT max(position) FROM commands").fetchone()
        while page := connection.execute(query, (from_position, last, _ROWS_A_PAGE)).fetchall():
            for row in page:
                yield Entry(*row)
            from_position = page[-1][0] + 1
