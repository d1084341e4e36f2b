"""The history of a run: what each scheduled request saw, one line of JSON each. See docs/checking-histories.md.

Nothing is written for it while a run lasts: the run's arrays hold it, and lines are made from them when asked for.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from loadtest.quantity import MS
from loadtest.request import client_id
from loadtest.sample import DEGRADED, ERRORS, NEVER, NOT_SAID, REASONS, RUNGS, SAID
from loadtest.view import OUTCOMES, classify, latency_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.run import Run

FORMAT = "loadtest-history/1"
# Lines are made by so many rows at once, and the last of them kept: who asks in nearly the order of time pays once.
_CHUNK_ROWS, _KEPT_CHUNKS = 1_024, 32
_WITH_PROBLEM = SAID.index("late") + 1  # words from here on are codes of problems
_IN_TIME, _LATE = SAID.index("in-time"), SAID.index("late")


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `at_ns`: the start of the run, UTC since 1970; every other time counts from there."""

    format: str = FORMAT
    run: str
    at_ns: int
    status: str
    requests: int


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One scheduled request. Times in ns from the start of the run, on the generator's monotonic clock.

    What did not happen, was not said or is not known is left out.
    """

    id: str
    """In the body of the request: the run's id and the row."""
    at_ns: int
    """Wall clock of `intended_ns`, UTC since 1970."""
    intended_ns: int
    sent_ns: int | None = None
    answered_ns: int | None = None
    """Last byte of the answer, or when the request failed."""
    phase: str
    budget_ms: float
    criticality: str = ""
    channel: str = ""
    outcome: str
    """ok, late (by the client's clock, from the intended time), shed, error, unsent, unfinished."""
    status: int = 0
    """Of HTTP."""
    error: str = ""
    """Why there is no status."""
    rung: str = ""
    degraded: str = ""
    reason: str = ""
    route: str = ""
    decision_id: str = ""
    late: bool | None = None
    """As the server labelled its answer."""
    elapsed_ms: float | None = None
    """What the server says it took."""
    dropped: str = ""
    """The `code` of the problem that came in place of a decision."""


class History:
    """The lines of a run, in the order of its rows, which is that of the intended times. Memory: some MB."""

    def __init__(self, run: Run) -> None:
        self.run = run
        latency_ns = latency_of(run.planned, run.samples)
        self._outcome = classify(run.planned, run.samples, latency_ns)
        self._chunk = lru_cache(_KEPT_CHUNKS)(self._make_chunk)

    def __len__(self) -> int:
        return len(self.run.planned)

    def __getitem__(self, row: int) -> Line:
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self._chunk(row // _CHUNK_ROWS)[row % _CHUNK_ROWS]

    def __iter__(self) -> Iterator[Line]:
        for number in range(-(-len(self) // _CHUNK_ROWS)):
            yield from self._make_chunk(number)

    @property
    def head(self) -> Head:
        record = self.run.record
        return Head(run=record.id, at_ns=record.origin_wall_ns, status=record.status, requests=len(self))

    def json_lines(self) -> Iterator[bytes]:
        """The file: the head, then a line a request."""
        encode = msgspec.json.Encoder().encode
        yield encode(self.head) + b"\n"
        for line in self:
            yield encode(line) + b"\n"

    def _make_chunk(self, number: int) -> list[Line]:
        rows = slice(number * _CHUNK_ROWS, (number + 1) * _CHUNK_ROWS)
        planned, samples = self.run.planned[rows], self.run.samples[rows]
        columns = [planned[name].tolist() for name in ("intended_ns", "budget_ns", "phase", "criticality", "channel")]
        columns += [samples[name].tolist() for name in _FIELDS]
        columns.append(self._outcome[rows].tolist())
        first = number * _CHUNK_ROWS
        return [self._line(first + at, values) for at, values in enumerate(zip(*columns, strict=True))]

    def _line(self, row: int, values: tuple[int, ...]) -> Line:
        record = self.run.record
        intended_ns, budget_ns, phase, criticality, channel, *happened, outcome = values
        sent_ns, done_ns, high, low, server_us, status, route, rung, degraded, reason, said = happened
        return Line(
            id=client_id(record.id, row),
            at_ns=record.origin_wall_ns + intended_ns,
            intended_ns=intended_ns,
            sent_ns=None if sent_ns == NEVER else sent_ns,
            answered_ns=None if done_ns == NEVER else done_ns,
            phase=record.phases[phase].name,
            budget_ms=budget_ns / MS,
            criticality="" if criticality == NOT_SAID else record.criticalities[criticality],
            channel=record.channels[channel],
            outcome=OUTCOMES[outcome],
            status=max(0, status),
            error=ERRORS.get(status, ""),
            rung=RUNGS[rung],
            degraded=DEGRADED[degraded],
            reason=REASONS[reason],
            route="" if route == NEVER else record.routes[route],
            decision_id=f"{high:016x}{low:016x}" if high or low else "",
            late={_IN_TIME: False, _LATE: True}.get(said),
            elapsed_ms=None if server_us == NEVER else server_us / 1_000,
            dropped=SAID[said] if said >= _WITH_PROBLEM else "",
        )


_FIELDS = (
    "sent_ns", "done_ns", "decision_high", "decision_low", "server_us", "status", "route", "rung", "degraded",
    "reason", "said",
)  # fmt: skip
