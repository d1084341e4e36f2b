"""SqliteStore: decisions and commands in one file, a group of both in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from budgets.clock import Clock
from router.log.journal import Step
from router.log.record import DecisionRecord
from router.log.settings import LogSettings
from router.log.sqlite import decision
from router.log.sqlite.command import SqliteCommands
from router.log.sqlite.file import SqliteFile
from router.log.sqlite.retention import Retention


class SqliteStore(SqliteFile):
    """Implements `RecordStore` and `History`; `commands` has the rest.

    `find` and `newest` need no `open`: they read beside a running server, too.
    """

    def __init__(self, settings: LogSettings, clock: Clock) -> None:
        super().__init__(settings.path)
        self.commands = SqliteCommands(self, clock)
        self._retention = Retention(settings, clock)

    def write(self, records: list[DecisionRecord], steps: Sequence[Step] = ()) -> int:
        """Write a group in one transaction; returns how many records could not be encoded."""
        with self.transaction() as connection:
            if steps:
                self.commands.write(connection, steps)
            return decision.write(connection, records)

    def tidy(self) -> bool:
        """Delete small batches of the oldest rows, where they are too old or all are too many."""
        with self.transaction() as connection:
            self.commands.check_writer(connection)
            return self._retention.tidy(connection)

    def find(self, decision_id: str) -> DecisionRecord | None:
        """Read one record by a connection of its own.

        Raises: LogRefused: no log at the path, not one of ours, or a damaged record. LogUnavailable: try again.
        """
        return decision.find(self, decision_id)

    def newest(self) -> Iterator[DecisionRecord]:
        """Every record, the last written first. Raises: as `find`."""
        return decision.newest(self)
