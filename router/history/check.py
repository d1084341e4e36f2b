"""All rules over one history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.history.count import Counts, Sums
from router.history.exchange import Join
from router.history.order import NoInversion, NoSacrifice
from router.history.response import BoundedBudget, LateIsLabelled, OneResponse
from router.history.rule import Finding
from router.history.start import BatchFits, ExpiredNeverRuns, StartsInTime
from router.history.verdict import DarkChangesNothing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.history.entry import Entry
    from router.history.exchange import Lines
    from router.history.rule import Rule


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What of a run is no request's.

    Attributes:
        during: when it was, on the wall clock, from and to.
        max_ms: the most that the server grants, budget.max_ms.
        most_critical: the rank that it grants to the clients of the run at most.
        outages: faults between client and server, from and to, ns from the start of the run.
        is_complete: it was not interrupted.
        counted: what the server counted during the run, if that is known.
    """

    during: tuple[int, int]
    max_ms: float
    most_critical: int = 0
    outages: Sequence[tuple[int, int]] = ()
    is_complete: bool = True
    counted: Counts | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`recorded`: requests of the run that the log holds; `foreign`: decisions of others meanwhile."""

    run: str
    requests: int
    recorded: int
    foreign: int
    holds: bool
    findings: tuple[Finding, ...]


def check(run_id: str, lines: Lines, entries: Iterable[Entry], given: Circumstances) -> Report:
    """Args: entries: of the log while the run lasted, in any order; those of others are counted."""
    joined = Join(run_id, lines, entries, given.during)
    late = LateIsLabelled()
    lost_total = 0 if given.counted is None else given.counted.dropped
    rules: tuple[Rule, ...] = (
        OneResponse(given.outages, lost_total, is_complete=given.is_complete),
        StartsInTime(),
        late,
        NoSacrifice(given.most_critical),
        Sums(given.counted, late, lambda: joined.foreign),
        ExpiredNeverRuns(),
        BatchFits(),
        BoundedBudget(given.max_ms),
        DarkChangesNothing(),
        NoInversion(),
    )
    for exchange in joined:
        for rule in rules:
            rule.see(exchange)
    for rule in rules:
        rule.end()
    findings = tuple(rule.finding() for rule in rules)
    return Report(
        run=run_id,
        requests=len(lines),
        recorded=joined.recorded,
        foreign=joined.foreign,
        holds=not any(finding.violated for finding in findings),
        findings=findings,
    )
