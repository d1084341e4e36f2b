"""The table of decisions."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from router.log.errors import LogRefused
from router.log.record import DecisionRecord
from router.log.sqlite.file import ROWS_A_STATEMENT, Connection, SqliteFile, Value, insert

_ROWS_A_PAGE = 1_000
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(DecisionRecord)


def write(connection: Connection, records: list[DecisionRecord]) -> int:
    """Insert records; returns how many could not be encoded."""
    left_out = 0
    for start in range(0, len(records), ROWS_A_STATEMENT):
        values: list[Value] = []
        for record in records[start : start + ROWS_A_STATEMENT]:
            try:
                values += (record.decision_id, record.at_ns, _ENCODER.encode(record))
            except (TypeError, ValueError, OverflowError):  # e.g. half a surrogate pair in a text
                left_out += 1
        insert(connection, "decisions", "decision_id, at_ns, record", values)
    return left_out


def find(file: SqliteFile, decision_id: str) -> DecisionRecord | None:
    """Read one record by a connection of its own. Raises: as `SqliteFile.reading`."""
    with file.reading() as connection:
        row = connection.execute("SELECT record FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
    return None if row is None else _decode(file, decision_id, row[0])


def newest(file: SqliteFile) -> Iterator[DecisionRecord]:
    """Every record, the last written first, in pages: a long read would keep the WAL from being folded in."""
    query = "SELECT seq, decision_id, record FROM decisions WHERE seq < ? ORDER BY seq DESC LIMIT ?"
    with file.reading() as connection:
        (last,) = connection.execute("SELECT max(seq) FROM decisions").fetchone()
        before = 0 if last is None else last + 1
        while page := connection.execute(query, (before, _ROWS_A_PAGE)).fetchall():
            for _, decision_id, row in page:
                yield _decode(file, decision_id, row)
            before = page[-1][0]


def _decode(file: SqliteFile, decision_id: str, row: bytes) -> DecisionRecord:
    try:
        return _DECODER.decode(row)
    except msgspec.DecodeError as error:
        why = f"the record of {decision_id!r} can't be read: {error}"
        raise LogRefused(str(file.path), why, "the others are not affected") from error
