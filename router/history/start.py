"""When models were started: never too late, never for the expired, never in a batch that a member can't wait for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from router.history.rule import Rule

if TYPE_CHECKING:
    from loadtest.history import Line
    from router.domain.decision import RunFacts
    from router.history.entry import Entry
    from router.history.exchange import Exchange

# Of a float that was made of nanoseconds.
_ROUNDING_MS = 1e-5
_EXPIRED = ("deadline-expired", "deadline-unmeetable")


class Batch(NamedTuple):
    """Records that started together ran together: there is one executor."""

    rung: str
    start_ns: int


def batch_of(entry: Entry) -> Batch | None:
    """None: it waited for no run that was started, or the record does not say when."""
    run = entry.run
    if run is None or run.start_ms is None or not entry.began_ns:
        return None
    return Batch(run.rung, entry.clock_ns(run.start_ms))


class StartsInTime(Rule):
    """A run that equal texts share starts by the deadline of the most patient; such batches are left out."""

    name, claim = "I2", "no model starts after its latest start"
    evidence = "run.start_ms, run.latest_start_ms"

    def __init__(self) -> None:
        super().__init__()
        self._members: Counter[Batch] = Counter()
        self._late: list[tuple[Line, Entry, RunFacts]] = []

    def see(self, exchange: Exchange) -> None:
        line, entry, _ = exchange
        if entry is None or entry.run is None or entry.run.start_ms is None:
            return
        self.checked += 1
        batch = batch_of(entry)
        if batch is not None:
            self._members[batch] += 1
        if entry.run.start_ms > entry.run.latest_start_ms + _ROUNDING_MS:
            self._late.append((line, entry, entry.run))

    def end(self) -> None:
        for line, entry, run in self._late:
            batch = batch_of(entry)
            if batch is None or self._members[batch] <= run.texts:
                what = f"{run.rung} started at {run.start_ms:.3f} ms, at the latest at {run.latest_start_ms:.3f}"
                self._violate(line, what, entry.decision_id)


class ExpiredNeverRuns(Rule):
    """An expired deadline is no deadline that is very near."""

    name, claim = "I8", "an expired request never runs"
    evidence = "run.start_ms and total_ms; refusals with deadline-expired or deadline-unmeetable"

    def see(self, exchange: Exchange) -> None:
        line, entry, _ = exchange
        if line.dropped in _EXPIRED:
            self.checked += 1
            if entry is not None:
                self._violate(line, f"refused as {line.dropped}, and decided by {entry.rung}", entry.decision_id)
        elif entry is not None and entry.run is not None and entry.run.start_ms is not None:
            self.checked += 1
            if entry.run.start_ms >= entry.total_ms:
                what = f"{entry.run.rung} started at {entry.run.start_ms:.3f} ms of a budget of {entry.total_ms:g}"
                self._violate(line, what, entry.decision_id)


class BatchFits(Rule):
    """By the prediction of then; one alone is I2's, whose margin is that of its class."""

    name, claim = "I9", "a batch is expected to end before any member's commit time"
    evidence = "began_ns and run.{start_ms, texts, predicted_ms, commit_ms}"

    def __init__(self) -> None:
        super().__init__()
        self._told_of: dict[Batch, tuple[int, float]] = {}
        self._undated = 0

    def see(self, exchange: Exchange) -> None:
        line, entry, _ = exchange
        if entry is None or entry.run is None or entry.run.start_ms is None:
            return
        run, batch = entry.run, batch_of(entry)
        if batch is None:
            self._undated += 1
            return
        if run.texts < 2 or run.queued_ms > entry.run.start_ms:  # noqa: PLR2004 - alone, or came while it ran
            return
        self.checked += 1
        told = self._told_of.setdefault(batch, (run.texts, run.predicted_ms))
        ends_ms = entry.run.start_ms + run.predicted_ms
        if told != (run.texts, run.predicted_ms):
            what = f"started with others in one batch, of {told[0]} texts for them and of {run.texts} here"
            self._violate(line, what, entry.decision_id)
        elif ends_ms > run.commit_ms + _ROUNDING_MS:
            what = f"joined {run.texts - 1} others till {ends_ms:.3f} ms, had to be done by {run.commit_ms:.3f}"
            self._violate(line, what, entry.decision_id)

    def end(self) -> None:
        if self._undated:
            self.notes.append(f"{self._undated} records of runs do not say when on the server's clock")
        elif not self.checked:
            self.notes.append("no batch of several")
