"""Who went first: the less critical never before the more critical, neither in the line nor by the overload control."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from router.history.entry import RANKS
from router.history.rule import Rule
from router.history.start import Batch, batch_of

if TYPE_CHECKING:
    from loadtest.history import Line
    from router.history.entry import Entry
    from router.history.exchange import Exchange

_NS_PER_MS = 1_000_000
# A job's time of queueing is read shortly before it stands in the line; the executor's thread may take the next batch
# in between.
_RACE_NS = 2 * _NS_PER_MS
# The overload control decides anew that often; what it decides changes no sooner (budgets/overload.py).
_WINDOW_NS = 100 * _NS_PER_MS
# See Entry.wall_ns: how much too late a time on the wall clock may be.
_WALL_ERROR_NS = 5 * _NS_PER_MS
_CRITICAL = RANKS["critical"]


class Waiting(NamedTuple):
    """A job in the line: from when to when it could have been started, on the server's monotonic clock."""

    from_ns: int
    to_ns: int
    rank: int
    decision_id: str
    line: Line


class NoInversion(Rule):
    """While a job waits and can still be started, no batch is started in which everybody is less critical.

    Stricter than the order of arrival: whoever is more critical goes first, whenever he came. What already runs is
    not interrupted.
    """

    name, claim = "G14", "no less critical job starts while a more critical one waits and could start"
    evidence = "began_ns, criticality and run.{queued_ms, start_ms, latest_start_ms}"

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Waiting] = []
        self._started: dict[Batch, tuple[int, str]] = {}  # its most critical member
        self._undated = 0

    def see(self, exchange: Exchange) -> None:
        line, entry, _ = exchange
        if entry is None or entry.run is None:
            return
        if not entry.began_ns:
            self._undated += 1
            return
        self.checked += 1
        run, batch = entry.run, batch_of(entry)
        if batch is not None:
            self._started[batch] = min(self._started.get(batch, (len(RANKS), "")), (entry.rank, entry.decision_id))
        left_ms = min(run.latest_start_ms, entry.elapsed_ms if run.start_ms is None else run.start_ms)
        from_ns, to_ns = entry.clock_ns(run.queued_ms) + _RACE_NS, entry.clock_ns(left_ms)
        if from_ns < to_ns:
            self._waiting.append(Waiting(from_ns, to_ns, entry.rank, entry.decision_id, line))

    def end(self) -> None:
        started = sorted((batch.start_ns, *member) for batch, member in self._started.items())
        starts_ns = [start_ns for start_ns, _, _ in started]
        for each in self._waiting:
            # One that starts as it does, does so in another batch or with it.
            first, last = bisect_left(starts_ns, each.from_ns), bisect_left(starts_ns, each.to_ns)
            less = [decision_id for _, rank, decision_id in started[first:last] if rank > each.rank]
            if less:
                waited_ms = (each.to_ns - each.from_ns + _RACE_NS) / _NS_PER_MS
                what = f"waited {waited_ms:.1f} ms while {len(less)} less critical started"
                self._violate(each.line, what, each.decision_id, tuple(less[:3]))
        if self._undated:
            self.notes.append(f"{self._undated} records of runs do not say when on the server's clock")


class Judged(NamedTuple):
    """When the overload control judged a request: between the two, on the wall clock."""

    low_ns: int
    high_ns: int
    decision_id: str


class Gave(NamedTuple):
    """A critical request that the control took something from. `is_all`: every model, else the executor."""

    line: Line
    judged: Judged
    rank: int
    is_all: bool
    how: str


class NoSacrifice(Rule):
    """Between two less critical requests that were let in within one window, no critical one gives way.

    The control changes its mind once a window at most, so to let in, to refuse and to let in again takes longer than
    one. What was refused for lack of slack is not its doing, and not looked at.

    Args: most_critical: the rank that clients are granted at most; who was refused only says what he asked for.
    """

    name, claim = "I5", "no critical request gives way while a less critical one gets a model it could have used"
    evidence = "verdict, dark, criticality, rung, run.start_ms, at_ns; refusals with rejected-overload"

    def __init__(self, most_critical: int = 0) -> None:
        super().__init__()
        self._most_critical = most_critical
        self._gave: list[Gave] = []
        # By rank of the least critical class that had to give way first, and by whether the executor was used.
        self._served: dict[tuple[int, bool], list[Judged]] = {}

    def see(self, exchange: Exchange) -> None:
        line, entry, _ = exchange
        if entry is None:
            rank = max(self._most_critical, RANKS.get(line.criticality or "critical", len(RANKS)))
            if line.dropped == "rejected-overload" and rank <= _CRITICAL and line.sent_ns is not None:
                since_ns, ended_ns = line.at_ns - line.intended_ns, line.answered_ns or line.sent_ns
                judged = Judged(since_ns + line.sent_ns, since_ns + ended_ns, line.id)
                self._gave.append(Gave(line, judged, rank, is_all=True, how="rejected"))
            return
        if entry.rank <= _CRITICAL and entry.is_enforced:
            judged = Judged(entry.wall_ns(0) - _WALL_ERROR_NS, entry.at_ns, entry.decision_id)
            self._gave.append(Gave(line, judged, entry.rank, is_all=entry.verdict != "inline", how=entry.verdict))
        ran = entry.run is not None and entry.run.start_ms is not None
        if entry.rank > 0 and not entry.is_enforced and (ran or entry.is_from_model):
            self._serve(entry, on_executor=ran)

    def _serve(self, entry: Entry, *, on_executor: bool) -> None:
        judged_ms = entry.elapsed_ms if entry.run is None else entry.run.queued_ms
        judged = Judged(entry.wall_ns(0) - _WALL_ERROR_NS, entry.wall_ns(judged_ms), entry.decision_id)
        for rank in range(min(entry.rank, _CRITICAL + 1)):
            self._served.setdefault((rank, on_executor), []).append(judged)

    def end(self) -> None:
        self.checked = len(self._gave)
        slots = {
            (rank, is_all): _Slots(
                [
                    *self._served.get((rank, True), []),
                    *(self._served.get((rank, False), []) if is_all else []),
                ]
            )
            for rank in range(_CRITICAL + 1)
            for is_all in (False, True)
        }
        for line, judged, rank, is_all, how in self._gave:
            others = slots[rank, is_all].around(judged)
            if others is not None:
                decision_id = "" if how == "rejected" else judged.decision_id
                self._violate(line, f"{how}, between two less critical ones that got a model", decision_id, others)
        if not self._gave:
            self.notes.append(
                "the overload control took nothing from a critical request; 504s and lack of time are not judged"
            )


class _Slots:
    """Requests that got a model, to be asked who was judged closely before and after another one."""

    def __init__(self, judged: list[Judged]) -> None:
        self._by_high = sorted(judged, key=itemgetter(1))
        self._by_low = sorted(judged)
        self._highs = [each.high_ns for each in self._by_high]
        self._lows = [each.low_ns for each in self._by_low]
        # Of those that were surely judged by then, the last; of those surely after, the first.
        self._last = list(accumulate(self._by_high, max))
        self._first = list(accumulate(reversed(self._by_low), _earlier))[::-1]

    def around(self, judged: Judged) -> tuple[str, str] | None:
        before, after = bisect_right(self._highs, judged.low_ns), bisect_left(self._lows, judged.high_ns)
        if not before or after == len(self._lows):
            return None
        last, first = self._last[before - 1], self._first[after]
        return (last.decision_id, first.decision_id) if first.high_ns - last.low_ns < _WINDOW_NS else None


def _earlier(one: Judged, other: Judged) -> Judged:
    return other if other.high_ns < one.high_ns else one
