"""Where every scheduled request is, and two checks that the books are right: the workers' counts and Little's law."""

from __future__ import annotations

import numpy as np

from loadtest.health import Validity
from loadtest.report.section.part import Part, share_of
from loadtest.sample import NEVER
from loadtest.view import FOREVER_NS, OUTCOMES, View

_LITTLE_TOLERANCE = 0.05


class Ledger(Part, frozen=True, kw_only=True):
    """scheduled = ok + late + shed + error + unsent + unfinished."""

    scheduled: int
    ok: int
    late: int
    shed: int
    error: int
    unsent: int
    unfinished: int

    @property
    def balance(self) -> int:
        """Scheduled less everything it became; anything but 0 is a defect of this program."""
        became: int = sum(getattr(self, name) for name in OUTCOMES)
        return self.scheduled - became


class Count(Part, frozen=True, kw_only=True):
    """The same thing counted twice: `workers` as they ran, `samples` from what they wrote."""

    what: str
    workers: int
    samples: int


class Books(Part, frozen=True, kw_only=True):
    """`whole` has the warm-up in it, `measured` has not. `killed`: workers that could not tell their counts."""

    measured: Ledger
    whole: Ledger
    counts: tuple[Count, ...]
    killed: tuple[int, ...]
    mismatches: tuple[str, ...]


class Little(Part, frozen=True, kw_only=True):
    """Over the measured time: requests in flight on average, against rate x mean stay of those that came in it.

    A request is in flight from its intended time until it ended, or until the run did.
    """

    in_flight: float
    in_flight_max: int
    rate_per_s: float
    stay_ns: int
    expected: float
    difference_share: float | None
    agrees: bool


def tell_books(whole: View, measured: View, validity: Validity) -> Books:
    counts = tuple(
        Count(what=what, workers=validity.counted[what], samples=validity.written[what]) for what in validity.counted
    )
    killed = tuple(worker.index for worker in whole.record.workers if worker.ended == "killed")
    ledgers = {"measured": _ledger(measured), "whole": _ledger(whole)}
    mismatches = [
        f"{name}: {ledger.scheduled} scheduled, {ledger.scheduled - ledger.balance} accounted for"
        for name, ledger in ledgers.items()
        if ledger.balance
    ]
    if not killed:
        mismatches += [
            f"{each.what}: workers counted {each.workers}, their samples show {each.samples}"
            for each in counts
            if each.workers != each.samples
        ]
    return Books(
        measured=ledgers["measured"],
        whole=ledgers["whole"],
        counts=counts,
        killed=killed,
        mismatches=tuple(mismatches),
    )


def _ledger(view: View) -> Ledger:
    return Ledger(scheduled=len(view), **view.counts())


def tell_little(whole: View) -> Little | None:
    """None: nothing was measured."""
    measured = [phase for phase in whole.record.phases if phase.measure]
    if not measured or not len(whole):
        return None
    begin, end = measured[0].start_ns, measured[-1].end_ns
    intended, done = whole.planned["intended_ns"], whole.sample["done_ns"]
    last = max(end, whole.record.ended_ns)
    left = np.where(done == NEVER, last, done)
    inside = (intended >= begin) & (intended < end)
    if end <= begin or not inside.any():
        return None
    # By events, not by requests, so that it is another sum than rate x stay. Who leaves makes room before who comes.
    times = np.concatenate([np.clip(left, begin, end), np.clip(intended, begin, end)])
    steps = np.repeat([-1, 1], len(intended))
    order = np.argsort(times, kind="stable")
    times, level = times[order], np.cumsum(steps[order])
    in_flight = float((level[:-1] * np.diff(times)).sum() / (end - begin))
    stay = float((left[inside] - intended[inside]).mean())
    rate = float(inside.sum()) / (end - begin)
    expected = rate * stay
    difference = share_of(in_flight - expected, expected)
    return Little(
        in_flight=in_flight,
        in_flight_max=int(level.max(initial=0)),
        rate_per_s=rate * 1e9,
        stay_ns=int(stay),
        expected=expected,
        difference_share=difference,
        agrees=difference is not None and abs(difference) <= _LITTLE_TOLERANCE,
    )


class Throughput(Part, frozen=True, kw_only=True):
    """Requests per second of measured time. `goodput`: answered within the budget."""

    seconds: float
    scheduled_per_s: float
    answered_per_s: float
    goodput_per_s: float


def tell_throughput(measured: View) -> Throughput:
    seconds = sum(phase.end_ns - phase.start_ns for phase in measured.record.phases if phase.measure) / 1e9
    per = 1 / seconds if seconds else 0.0
    return Throughput(
        seconds=seconds,
        scheduled_per_s=len(measured) * per,
        answered_per_s=float((measured.latency_ns != FOREVER_NS).sum()) * per,
        goodput_per_s=float(measured.met().sum()) * per,
    )
