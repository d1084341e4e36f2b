"""Which rung answered when, what was broken meanwhile, and how fast the server gave in and came back."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from loadtest.quality.choose import is_degraded
from loadtest.quantity import S
from loadtest.report.section.part import Part, share_of, window_ns
from loadtest.run import RunRecord
from loadtest.sample import DEGRADED, RUNGS
from loadtest.view import ERROR, SHED, UNSENT, View

_WINDOWS = 240
_LOOK_NS = S
FULL_SHARE = 0.95
_FLAP_NS = 10 * S
_MOST_TURNS = 50


class Band(Part, frozen=True, kw_only=True):
    """Requests a window that came to one end: a rung, or `shed`, `error`, `no answer`."""

    name: str
    total: int
    share: float
    counts: tuple[int, ...]


class Cause(Part, frozen=True, kw_only=True):
    """Why answers of a rung were not the best one's, as the server says, and of how many."""

    rung: str
    why: str
    total: int
    share: float  # of the measured answers


class FaultSpan(Part, frozen=True, kw_only=True):
    """What was broken, and when."""

    name: str
    begin_ns: int
    end_ns: int
    error: str


class Turn(Part, frozen=True, kw_only=True):
    """From this second on another rung gives most answers."""

    at_ns: int
    before: str
    after: str


class Episode(Part, frozen=True, kw_only=True):
    """What a fault, or a phase, did to the quality of answers.

    `degrade_ns`: from its begin until the first second in which fewer than 95 % of the requests due were answered
    undegraded; null: it never came to that. `recover_ns`: from its end until that share stays above up to the next
    fault or phase; null: it did not, or was never lost.
    """

    trigger: Literal["fault", "phase"]
    name: str
    begin_ns: int
    end_ns: int
    degrade_ns: int | None
    recover_ns: int | None
    full_share: float | None


class Ladder(Part, frozen=True, kw_only=True):
    """The whole run, warm-up included. `flaps_total`: returns to full quality that held for less than 10 s.

    `full_share`: of the measured requests, those answered undegraded; null: no answer says by whom it is.
    """

    window_ns: int
    end_ns: int
    scheduled: tuple[int, ...]
    attained: tuple[int, ...]
    bands: tuple[Band, ...]
    phases: tuple[str, ...]
    phase_starts_ns: tuple[int, ...]
    measured: tuple[bool, ...]
    faults: tuple[FaultSpan, ...]
    full_share: float | None
    causes: tuple[Cause, ...]  # the most frequent first
    turns: tuple[Turn, ...]
    turns_total: int
    flaps_total: int
    episodes: tuple[Episode, ...]


def is_full(view: View) -> np.ndarray:
    """Answered with nothing given up. bool."""
    full: np.ndarray = view.is_answered & ~is_degraded(view)
    return full


def tells_rungs(view: View) -> bool:
    """Whether any answer says which rung it is of: those of servers other than Takt don't, nor those that are not read.

    Without that `is_full` means answered, and nothing is known of quality.
    """
    return bool((view.is_answered & (view.sample["rung"] != 0)).any())


def tell_ladder(whole: View, measured: View) -> Ladder:
    record = whole.record
    end_ns = max(1, record.ended_ns, int(whole.planned["intended_ns"].max(initial=0)) + 1)
    window = window_ns(end_ns, _WINDOWS)
    at = whole.planned["intended_ns"] // window
    windows = -(-end_ns // window)
    seconds = _seconds(whole, end_ns)
    turns = _turns(whole)
    return Ladder(
        window_ns=window,
        end_ns=end_ns,
        scheduled=tuple(np.bincount(at, minlength=windows).tolist()),
        attained=tuple(np.bincount(at[whole.met()], minlength=windows).tolist()),
        bands=_bands(whole, at, windows),
        phases=tuple(phase.name for phase in record.phases),
        phase_starts_ns=tuple(phase.start_ns for phase in record.phases),
        measured=tuple(phase.measure for phase in record.phases),
        faults=tuple(
            FaultSpan(
                name=f"{each.kind} {each.what}".strip(), begin_ns=each.begin_ns, end_ns=each.end_ns, error=each.error
            )
            for each in record.faults
        ),
        full_share=share_of(int(is_full(measured).sum()), len(measured)) if tells_rungs(measured) else None,
        causes=_causes(measured),
        turns=turns[:_MOST_TURNS],
        turns_total=len(turns),
        flaps_total=_flaps(seconds),
        episodes=_episodes(record, seconds),
    )


def ends(view: View) -> tuple[tuple[str, np.ndarray], ...]:
    """Every request in exactly one: the rung of its 200, or what came instead. Names with bool masks."""
    answered = view.is_answered
    rungs = tuple((rung or "not told", answered & (view.sample["rung"] == i)) for i, rung in enumerate(RUNGS))
    # The best rung first; those without a rung last.
    order = ("guard", "large", "small", "cache", "rules", "default", "other", "not told")
    return (
        *sorted(rungs, key=lambda each: order.index(each[0])),
        ("shed", view.outcome == SHED),
        ("error", view.outcome == ERROR),
        ("no answer", view.outcome >= UNSENT),
    )


def _bands(view: View, at: np.ndarray, windows: int) -> tuple[Band, ...]:
    found = []
    for name, mask in ends(view):
        total = int(mask.sum())
        if total:
            counts = tuple(np.bincount(at[mask], minlength=windows).tolist())
            found.append(Band(name=name, total=total, share=total / len(view), counts=counts))
    return tuple(found)


def _causes(view: View) -> tuple[Cause, ...]:
    degraded = is_degraded(view)
    kinds = view.sample["rung"][degraded].astype(np.int64) * len(DEGRADED) + view.sample["degraded"][degraded]
    answers = int(view.is_answered.sum())
    found = [(int(kind), int(total)) for kind, total in zip(*np.unique(kinds, return_counts=True), strict=True)]
    return tuple(
        Cause(rung=RUNGS[kind // len(DEGRADED)], why=DEGRADED[kind % len(DEGRADED)], total=total, share=total / answers)
        for kind, total in sorted(found, key=lambda each: -each[1])
    )


class _Seconds(NamedTuple):
    """Per second: requests due, and those of them answered undegraded."""

    due: np.ndarray
    full: np.ndarray

    def is_low(self) -> np.ndarray:
        """Seconds below full quality; one without requests is as the one before it."""
        low = self.full < FULL_SHARE * self.due
        known = np.where(self.due > 0, np.arange(len(self.due)), -1)
        last = np.maximum.accumulate(known)
        return (last >= 0) & low[np.maximum(last, 0)]


def _seconds(view: View, end_ns: int) -> _Seconds:
    at, count = view.planned["intended_ns"] // _LOOK_NS, -(-end_ns // _LOOK_NS)
    return _Seconds(np.bincount(at, minlength=count), np.bincount(at[is_full(view)], minlength=count))


def _turns(view: View) -> tuple[Turn, ...]:
    """Changes of the rung that gives most answers, second by second."""
    names = [name for name, _ in ends(view)]
    at = view.planned["intended_ns"] // _LOOK_NS
    if not len(at):
        return ()
    counts = np.stack([np.bincount(at[mask], minlength=int(at.max()) + 1) for _, mask in ends(view)])
    seconds = np.flatnonzero(counts.sum(axis=0))
    most = counts[:, seconds].argmax(axis=0)
    changes = np.flatnonzero(np.diff(most)) + 1
    return tuple(
        Turn(at_ns=int(seconds[i]) * _LOOK_NS, before=names[most[i - 1]], after=names[most[i]]) for i in changes
    )


def _flaps(seconds: _Seconds) -> int:
    low = seconds.is_low()
    edges = np.flatnonzero(np.diff(low.astype(np.int8))) + 1
    return sum(1 for begin, end in pairwise(edges.tolist()) if not low[begin] and (end - begin) * _LOOK_NS < _FLAP_NS)


def _episodes(record: RunRecord, seconds: _Seconds) -> tuple[Episode, ...]:
    """Of every fault, and of every phase that lost quality by itself."""
    low = seconds.is_low()
    faults = [("fault", f"{each.kind} {each.what}".strip(), each.begin_ns, each.end_ns) for each in record.faults]
    phases = [("phase", each.name, each.start_ns, each.end_ns) for each in record.phases]
    begins = sorted({begin for _, _, begin, _ in (*faults, *phases)})
    found = []
    for trigger, name, begin_ns, end_ns in (*faults, *phases):
        first, last = begin_ns // _LOOK_NS, -(-end_ns // _LOOK_NS)
        under = np.flatnonzero(low[first:last])
        if trigger == "phase" and (not len(under) or _is_inherited(low, first) or _is_shared(faults, begin_ns, end_ns)):
            continue
        degrade_ns = max(0, (first + int(under[0])) * _LOOK_NS - begin_ns) if len(under) else None
        horizon_ns = next((each for each in begins if each > end_ns), len(low) * _LOOK_NS)
        due = int(seconds.due[first:last].sum())
        found.append(
            Episode(
                trigger="fault" if trigger == "fault" else "phase",
                name=name,
                begin_ns=begin_ns,
                end_ns=end_ns,
                degrade_ns=degrade_ns,
                recover_ns=_recovery(low, end_ns, horizon_ns) if len(under) else None,
                full_share=share_of(int(seconds.full[first:last].sum()), due),
            )
        )
    return tuple(sorted(found, key=lambda each: each.begin_ns))


def _is_inherited(low: np.ndarray, first: int) -> bool:
    """Quality was lost before; that is the affair of whoever lost it."""
    return bool(first > 0 and low[first - 1])


def _is_shared(faults: list[tuple[str, str, int, int]], begin_ns: int, end_ns: int) -> bool:
    return any(begin < end_ns and begin_ns < end for _, _, begin, end in faults)


def _recovery(low: np.ndarray, end_ns: int, horizon_ns: int) -> int | None:
    """From `end_ns` until quality stays full up to `horizon_ns`."""
    first, last = end_ns // _LOOK_NS, horizon_ns // _LOOK_NS
    rest = low[first:last]
    if not len(rest) or rest[-1]:
        return None
    lows = np.flatnonzero(rest)
    return max(0, (first + int(lows[-1]) + 1) * _LOOK_NS - end_ns) if len(lows) else 0
