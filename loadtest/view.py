"""A run's requests as arrays, with what became of each. Every number of a report, a gate or a comparison is from here.

**Every scheduled request is in it, and is exactly one of six things.** Its latency counts from the time at which it
was meant to be sent, whatever the generator or the server did meanwhile; who never got an answer has an infinite one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loadtest.errors import ScenarioError
from loadtest.run import Run, RunRecord
from loadtest.sample import GAVE_UP, NEVER, NOTHING, REFUSED, SHED_STATUSES

OUTCOMES = ("ok", "late", "shed", "error", "unsent", "unfinished")
OK, LATE, SHED, ERROR, UNSENT, UNFINISHED = range(6)
# Longer than any run; compares as what it is, and is not mistaken for a number of milliseconds.
FOREVER_NS = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class View:
    """Rows of a run, in the order of their intended times.

    Shapes: all arrays have one entry a request. Times in ns from the start of the run.
    """

    record: RunRecord
    row: np.ndarray  # int64: index into the run's arrays
    planned: np.ndarray  # sample.PLANNED
    sample: np.ndarray  # sample.SAMPLE
    outcome: np.ndarray  # uint8: OK … UNFINISHED
    latency_ns: np.ndarray  # int64: done - intended; FOREVER_NS without a 200

    def __len__(self) -> int:
        return len(self.row)

    @property
    def send_latency_ns(self) -> np.ndarray:
        """The view of a tool that omits the wait before sending: done - sent, of those with a 200. int64."""
        answered = self.is_answered
        done_ns: np.ndarray = self.sample["done_ns"][answered] - self.sample["sent_ns"][answered]
        return done_ns

    @property
    def is_answered(self) -> np.ndarray:
        """Got a 200, in time or not. bool."""
        return self.outcome <= LATE

    @property
    def lag_ns(self) -> np.ndarray:
        """How late the generator was, of those that it got to. int64."""
        paced = self.sample["paced_ns"] != NEVER
        late_ns: np.ndarray = self.sample["paced_ns"][paced] - self.planned["intended_ns"][paced]
        return late_ns

    def where(self, mask: np.ndarray) -> View:
        """Only those of `mask` (bool, one entry a request)."""
        if mask.all():  # a run of a million requests is 130 MB to copy
            return self
        return View(
            self.record,
            self.row[mask],
            self.planned[mask],
            self.sample[mask],
            self.outcome[mask],
            self.latency_ns[mask],
        )

    def on(self, phase: str) -> View:
        """Only those of a phase; `all`: of every measured phase. Raises: ScenarioError: no such phase."""
        phases = self.record.phases
        if phase == "all":
            wanted = [at for at, each in enumerate(phases) if each.measure]
        else:
            wanted = [at for at, each in enumerate(phases) if each.name == phase]
            if not wanted:
                raise ScenarioError(
                    f"on: {phase!r} is no phase; there are {', '.join(p.name for p in phases)}, and all"
                )
        return self.where(np.isin(self.planned["phase"], np.array(wanted, np.uint8)))

    def counts(self) -> dict[str, int]:
        """How many became what; they sum to `len(self)`."""
        found = np.bincount(self.outcome, minlength=len(OUTCOMES))
        return {name: int(count) for name, count in zip(OUTCOMES, found, strict=True)}

    def met(self, limit_ns: int | None = None) -> np.ndarray:
        """Answered within `limit_ns` of the intended time; None: within its own budget. bool."""
        return self.latency_ns <= (self.planned["budget_ns"] if limit_ns is None else limit_ns)


def view(run: Run) -> View:
    """All requests of a run, warm-up included; `.on("all")` leaves that out."""
    order = np.argsort(run.planned["intended_ns"], kind="stable")
    planned, sample = run.planned[order], run.samples[order]
    latency_ns = latency_of(planned, sample)
    outcome = classify(planned, sample, latency_ns)
    return View(run.record, order, planned, sample, outcome, latency_ns)


def latency_of(planned: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """From the intended time to the last byte of a 200; without one FOREVER_NS. int64."""
    is_answered = (sample["status"] == 200) & (sample["done_ns"] != NEVER)  # noqa: PLR2004 - HTTP's OK
    latency_ns: np.ndarray = np.where(is_answered, sample["done_ns"] - planned["intended_ns"], FOREVER_NS)
    return latency_ns


def classify(planned: np.ndarray, sample: np.ndarray, latency_ns: np.ndarray) -> np.ndarray:
    """What became of each request, uint8.

    A 200 is `ok` within the request's budget and else `late`; 429, 503 and 504 are `shed`: refused in good order.
    Anything else that came back is an `error`, as is a connection that broke or that the server refused. What was
    written and never ended is `unfinished`, also if the generator hung up on it; what was never written is `unsent`.
    """
    status = sample["status"]
    outcome = np.full(len(sample), ERROR, np.uint8)
    outcome[latency_ns != FOREVER_NS] = LATE
    outcome[latency_ns <= planned["budget_ns"]] = OK
    outcome[np.isin(status, SHED_STATUSES)] = SHED
    outcome[(status == NOTHING) | (status == GAVE_UP) | (sample["done_ns"] == NEVER)] = UNFINISHED
    outcome[(sample["sent_ns"] == NEVER) & (status != REFUSED)] = UNSENT
    return outcome


def quantile_ns(latency_ns: np.ndarray, q: float) -> float:
    """The smallest latency that a share `q` does not exceed; `inf`: too many have none; NaN of nothing.

    An order statistic, never interpolated: between a number and never there is nothing.
    """
    if not len(latency_ns):
        return float("nan")
    rank = min(len(latency_ns) - 1, max(0, int(np.ceil(q * len(latency_ns) - 1e-9)) - 1))
    found = np.partition(latency_ns, rank)[rank]
    return float("inf") if found == FOREVER_NS else float(found)
