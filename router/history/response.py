"""What each request got: one response and one record, a label if it is late, a budget with an end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from router.history.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.history.exchange import Exchange

# Times in answers are rounded to a microsecond.
_ROUNDING_MS = 0.0011
_NS_PER_MS = 1_000_000
_TURNED_AWAY_STATUSES = (429, 503, 504)


class OneResponse(Rule):
    """Nothing gets two answers either: the generator takes a second one for bad HTTP.

    Args:
        outages: begin and end of faults between client and server, ns from the start of the run; no answer is due then.
        lost_total: records that the log says it has dropped; that many may be missing.
        is_complete: the run was not interrupted.
    """

    name, claim = "I1", "one response a request, and one record a decision"
    evidence = "status, decision_id; interaction_id and decision_id of the log"

    def __init__(self, outages: Sequence[tuple[int, int]], lost_total: int, *, is_complete: bool) -> None:
        super().__init__()
        self._outages, self._lost_total, self._is_complete = outages, lost_total, is_complete
        self._missing = self._excused = 0

    def see(self, exchange: Exchange) -> None:
        line, entry, is_again = exchange
        if line.sent_ns is None:
            return
        decision_id = line.decision_id if entry is None else entry.decision_id
        self.checked += not is_again
        if is_again:
            self._violate(line, "decided twice", decision_id)
        elif line.status == 0:
            if self._is_excused(line.sent_ns, line.answered_ns):
                self._excused += 1
            else:
                self._violate(line, f"no response: {line.error or 'nothing came'}", decision_id)
        elif entry is None:
            if line.decision_id:
                self._missing += 1
                if self._missing > self._lost_total:
                    self._violate(line, "answered, but not in the log", decision_id)
        elif line.status in _TURNED_AWAY_STATUSES:
            self._violate(line, f"refused with {line.status} {line.dropped}, and decided all the same", decision_id)
        elif line.decision_id and line.decision_id != entry.decision_id:
            self._violate(line, f"the answer says decision {line.decision_id}", decision_id)

    def end(self) -> None:
        if self._excused:
            self.notes.append(f"{self._excused} without a response while a fault broke connections, or cut short")
        if self._missing and self._lost_total:
            self.notes.append(f"{self._missing} are not in the log, which says that it dropped {self._lost_total}")

    def _is_excused(self, sent_ns: int, ended_ns: int | None) -> bool:
        if not self._is_complete:
            return True
        return any(
            begin <= (math.inf if ended_ns is None else ended_ns) and sent_ns <= end for begin, end in self._outages
        )


class LateIsLabelled(Rule):
    """An answer is labelled late if and only if the server's own books say so; the client's clock is told beside it."""

    name, claim = "I4", "later than the budget is labelled late"
    evidence = "elapsed_ms and late of the answer and of its record; the budget granted"

    def __init__(self) -> None:
        super().__init__()
        self.labelled = self.borderline = 0
        self._beyond_ms: list[float] = []

    def see(self, exchange: Exchange) -> None:
        line, entry, is_again = exchange
        if is_again or (line.late is None and entry is None):
            return
        self.checked += 1
        total_ms = line.budget_ms if entry is None else entry.total_ms
        decision_id = line.decision_id if entry is None else entry.decision_id
        if entry is not None and entry.late != (entry.elapsed_ms > entry.total_ms):
            self._violate(
                line, f"recorded as {_label(entry.late)} with {_spent(entry.elapsed_ms, total_ms)}", decision_id
            )
        elif line.late is not None and line.elapsed_ms is not None:
            over_ms = line.elapsed_ms - total_ms
            if abs(over_ms) > _ROUNDING_MS and line.late != (over_ms > 0):
                self._violate(
                    line, f"labelled {_label(line.late)} with {_spent(line.elapsed_ms, total_ms)}", decision_id
                )
            self.labelled += line.late
            # The books are closed once more when the answer has been encoded; metrics count by that.
            self.borderline += not line.late and over_ms > -1
        if line.late is False and line.sent_ns is not None and line.answered_ns is not None:
            client_ms = (line.answered_ns - line.sent_ns) / _NS_PER_MS
            if client_ms > total_ms:
                self._beyond_ms.append(client_ms - (line.elapsed_ms or 0.0))

    def end(self) -> None:
        if self._beyond_ms:
            worst_ms = max(self._beyond_ms)
            self.notes.append(
                f"{len(self._beyond_ms)} in time for the server were late for their client: sockets and the client"
                f" took up to {worst_ms:.1f} ms of it"
            )


class BoundedBudget(Rule):
    """Args: max_ms: the most that the server grants."""

    name, claim = "I14", "no budget without a bound, none longer than stated"
    evidence = "total_ms of the record; the budget sent; budget.max_ms"

    def __init__(self, max_ms: float) -> None:
        super().__init__()
        self._max_ms = max_ms

    def see(self, exchange: Exchange) -> None:
        line, entry, _ = exchange
        if entry is None:
            return
        self.checked += 1
        if not 0 < entry.total_ms <= min(self._max_ms, line.budget_ms + _ROUNDING_MS):
            what = f"granted {entry.total_ms:g} ms: {line.budget_ms:g} were stated, {self._max_ms:g} are the most"
            self._violate(line, what, entry.decision_id)


def _label(late: bool) -> str:  # noqa: FBT001 - its one argument
    return "late" if late else "in time"


def _spent(elapsed_ms: float, total_ms: float) -> str:
    return f"{elapsed_ms:.3f} of {total_ms:g} ms spent"
