"""Histories that nobody lived: valid ones, from a made-up server, and single exchanges to break on purpose."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from loadtest.history import Line
from loadtest.request import client_id
from router.domain.decision import RunFacts
from router.history import Entry, check
from router.history.check import Circumstances
from router.history.count import Counts
from router.history.entry import RANKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.history import Report

RUN = "0badcafe"
MS = 1_000_000
WALL_NS, BOOT_NS = 1_700_000_000_000_000_000, 5_000_000_000_000
DURING = (WALL_NS, WALL_NS + 3_600_000 * MS)
WORDS = tuple(RANKS)
_WIRE_MS = 0.1
_HOP_MS = 2.0


def facts(start_ms: float | None = 2.0, **fields: object) -> RunFacts:
    """A run of one text, queued at 1 ms, that took 5 ms."""
    return RunFacts(
        **{  # type: ignore[arg-type]
            "rung": "large",
            "texts": 0 if start_ms is None else 1,
            "predicted_ms": 6.0,
            "wait_ms": 0.0,
            "queued_ms": 1.0,
            "start_ms": start_ms,
            "latest_start_ms": 40.0,
            "commit_ms": 46.0,
            "end_ms": None if start_ms is None else start_ms + 5.0,
            **fields,
        }
    )


def entry(row: int, at_ms: float = 0.0, *, rank: int = 1, run: RunFacts | None = None, **fields: object) -> Entry:
    """The record of a request that arrived at `at_ms`; answered by `large` if it ran, else by the default route."""
    elapsed_ms = 1.0 if run is None else 8.0
    made = Entry(
        **{  # type: ignore[arg-type]
            "decision_id": f"{row:032x}",
            "interaction_id": client_id(RUN, row),
            "at_ns": 0,
            "criticality": WORDS[rank],
            "rung": "default" if run is None or run.start_ms is None else "large",
            "total_ms": 50.0,
            "elapsed_ms": elapsed_ms,
            "run": run,
            "began_ns": BOOT_NS + round(at_ms * MS),
            **fields,
        }
    )
    return msgspec.structs.replace(made, at_ns=made.at_ns or WALL_NS + round((at_ms + made.elapsed_ms) * MS))


def line(row: int, at_ms: float = 0.0, *, of: Entry | None = None, **fields: object) -> Line:
    """What the client of a request saw; its answer is that of the record `of`."""
    answered: dict[str, object] = {}
    if of is not None:
        answered = {
            "status": 200,
            "outcome": "ok",
            "rung": of.rung,
            "degraded": of.degraded,
            "criticality": of.criticality,
            "decision_id": of.decision_id,
            "late": of.late,
            "elapsed_ms": round(of.elapsed_ms, 3),
            "answered_ns": round((at_ms + of.elapsed_ms + _WIRE_MS) * MS),
            "budget_ms": of.total_ms,
        }
    sent_ns = round((at_ms - _WIRE_MS) * MS)
    known = {"outcome": "error", "budget_ms": 50.0, "sent_ns": sent_ns, "phase": "steady", **answered}
    return Line(id=client_id(RUN, row), intended_ns=sent_ns, at_ns=WALL_NS + sent_ns, **{**known, **fields})  # type: ignore[arg-type]


def refused(row: int, at_ms: float, code: str, *, rank: int = 1) -> Line:
    status = 503 if code.startswith("rejected") else 504
    answered_ns = round((at_ms + 1) * MS)
    return line(
        row, at_ms, status=status, outcome="shed", dropped=code, criticality=WORDS[rank], answered_ns=answered_ns
    )


def report(lines: Sequence[Line], entries: Sequence[Entry], counted: Counts | None = None, **given: object) -> Report:
    circumstances = Circumstances(**{"during": DURING, "max_ms": 1_000.0, "counted": counted, **given})  # type: ignore[arg-type]
    return check(RUN, lines, entries, circumstances)


def broken(found: Report) -> dict[str, int]:
    """Violations by rule."""
    return {each.rule: each.violated for each in found.findings if each.violated}


class Arrival(NamedTuple):
    gap_ms: float
    rank: int
    budget_ms: float
    cost_ms: float  # of its run; predicted are 6 ms
    wire_ms: float
    pause_ms: float  # between its books and its record


@dataclass(slots=True)
class _Job:
    row: int
    arrival: Arrival
    begin_ms: float

    @property
    def commit_ms(self) -> float:
        return self.begin_ms + self.arrival.budget_ms - _HOP_MS

    @property
    def latest_ms(self) -> float:
        return self.commit_ms - 6.0

    @property
    def key(self) -> tuple[int, float]:
        return self.arrival.rank, self.latest_ms


@dataclass(slots=True)
class Shop:
    """A server with one executor, a line by criticality, batches of two, and a control that may change each 120 ms.

    Args: gives_way: for each 120 ms, the rank from which on requests get the floor answer; 4: nobody.
    """

    gives_way: Sequence[int]
    dark: bool = False
    lines: dict[int, Line] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    _waiting: list[_Job] = field(default_factory=list)
    _free_ms: float = 0.0

    def live(self, arrivals: Sequence[Arrival]) -> tuple[list[Line], list[Entry]]:
        """A whole run."""
        now_ms = 0.0
        for row, arrival in enumerate(arrivals):
            now_ms += arrival.gap_ms
            self._work(now_ms)
            self._arrive(_Job(row, arrival, now_ms))
        self._work(float("inf"))
        return [self.lines[row] for row in range(len(arrivals))], self.entries

    def counts(self) -> Counts:
        """What it would have counted."""
        lines = self.lines.values()
        return Counts(
            Counter(each.rung for each in lines if each.rung), Counter(each.dropped for each in lines if each.dropped),
            sum(each.late is True for each in lines), 0,
        )  # fmt: skip

    def _arrive(self, job: _Job) -> None:
        arrival, gives_way = job.arrival, self.gives_way[int(job.begin_ms / 120) % len(self.gives_way)]
        if arrival.budget_ms < 1:
            self.lines[job.row] = refused(job.row, job.begin_ms, "deadline-unmeetable", rank=arrival.rank)
        elif arrival.rank < gives_way or self.dark:
            verdict = "admit" if arrival.rank < gives_way else "floor"
            if job.latest_ms < job.begin_ms + 1:
                self._tell(job, 0.5, None, verdict)
            else:
                self._waiting.append(job)
        elif gives_way <= 2 and arrival.rank == 3:
            self.lines[job.row] = refused(job.row, job.begin_ms, "rejected-overload", rank=arrival.rank)
        else:
            self._tell(job, 0.5, None, "floor")

    def _work(self, until_ms: float) -> None:
        """Run batches that start before then; those who joined the line less than a moment before are not seen yet."""
        while self._waiting:
            start_ms = max(self._free_ms, min(job.begin_ms + 1 for job in self._waiting))
            if start_ms >= until_ms:
                return
            ready = sorted((job for job in self._waiting if job.begin_ms + 1 <= start_ms), key=lambda job: job.key)
            dead = [job for job in ready if job.latest_ms < start_ms]
            for job in dead:
                self._end(job, start_ms=None, batch=[job], end_ms=job.latest_ms)
            alive = [job for job in ready if job.latest_ms >= start_ms]
            if alive:
                fits = [job for job in alive[1:] if start_ms + 6.0 <= min(job.commit_ms, alive[0].commit_ms)]
                batch = [alive[0], *fits[:1]]
                self._free_ms = start_ms + max(job.arrival.cost_ms for job in batch)
                for job in batch:
                    self._end(job, start_ms=start_ms, batch=batch, end_ms=self._free_ms)

    def _end(self, job: _Job, *, start_ms: float | None, batch: list[_Job], end_ms: float) -> None:
        self._waiting.remove(job)
        is_used = start_ms is not None and end_ms <= job.commit_ms
        run = facts(
            None if start_ms is None else start_ms - job.begin_ms,
            texts=0 if start_ms is None else len(batch),
            latest_start_ms=job.latest_ms - job.begin_ms,
            commit_ms=job.commit_ms - job.begin_ms,
            end_ms=end_ms - job.begin_ms if is_used else None,
        )
        gives_way = self.gives_way[int(job.begin_ms / 120) % len(self.gives_way)]
        verdict = "admit" if job.arrival.rank < gives_way else "floor"
        elapsed_ms = min(end_ms, job.commit_ms) - job.begin_ms + 0.3
        self._tell(job, elapsed_ms, run, verdict, rung="large" if is_used else "default")

    def _tell(self, job: _Job, elapsed_ms: float, run: RunFacts | None, verdict: str, **fields: object) -> None:
        arrival = job.arrival
        made = entry(
            job.row, job.begin_ms, rank=arrival.rank, run=run, elapsed_ms=elapsed_ms, total_ms=arrival.budget_ms,
            at_ns=WALL_NS + round((job.begin_ms + elapsed_ms + arrival.pause_ms) * MS),
            late=elapsed_ms > arrival.budget_ms, verdict=verdict, dark=self.dark and verdict != "admit", **fields,
        )  # fmt: skip
        self.entries.append(made)
        wire_ns = round(arrival.wire_ms * MS)
        told = line(job.row, job.begin_ms, of=made)
        assert told.sent_ns is not None
        assert told.answered_ns is not None
        self.lines[job.row] = msgspec.structs.replace(
            told, sent_ns=told.sent_ns - wire_ns, answered_ns=told.answered_ns + wire_ns
        )
