"""Counts decision records, one after the other, in any order. Times are whole microseconds, as in the records."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from router.audit.cause import Cause, cause_of
from router.audit.repeat import Repeats
from router.audit.run import RungTally, Runs
from router.audit.spread import Spread, micros
from router.audit.window import Windows

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.log import DecisionRecord

_FLOOR = frozenset({"guard", "cache", "rules", "default"})
_BEFORE_LADDER = ("parse", "admit", "floor", "context", "cache", "loop")
# Shares of a budget are counted in thousandths.
USED_UNIT = 1_000


class GroupKey(NamedTuple):
    """What requests are told apart by."""

    point: str
    rung: str
    criticality: str


@dataclass(slots=True)
class Group:
    """Requests that have something in common."""

    n: int = 0
    late: int = 0
    degraded: int = 0
    elapsed: Spread = field(default_factory=Spread)
    budget: Spread = field(default_factory=Spread)
    used: Spread = field(default_factory=Spread)

    def add(self, record: DecisionRecord) -> None:
        self.n += 1
        self.late += record.late
        self.degraded += record.degraded != "none"
        self.elapsed.add(micros(record.elapsed_ms))
        self.budget.add(micros(record.total_ms))
        self.used.add(int(USED_UNIT * record.elapsed_ms / record.total_ms) if record.total_ms > 0 else USED_UNIT)

    def take(self, other: Group) -> None:
        self.n += other.n
        self.late += other.late
        self.degraded += other.degraded
        self.elapsed.take(other.elapsed)
        self.budget.take(other.budget)
        self.used.take(other.used)


@dataclass(slots=True)
class StageTally:
    """Time in one stage. `all` counts requests that entered it."""

    all: Spread = field(default_factory=Spread)
    late_us: int = 0
    degraded_us: int = 0
    late_without: int = 0


@dataclass(slots=True)
class Shortfall:
    """Answers in time that lack a rung because of the budget or the queue. "models": records that name no rung.

    `spare` is of the former: what was left of each budget when the ladder was reached.
    """

    spare: Spread = field(default_factory=Spread)
    queued: int = 0
    by_model: int = 0
    """Of both: how many another model answered."""


class Tally:
    """Everything an audit needs, in a size that depends on the kinds of requests and not on their number."""

    def __init__(self) -> None:
        self.n = self.late = 0
        self._groups: defaultdict[GroupKey, Group] = defaultdict(Group)
        self.stages: defaultdict[str, StageTally] = defaultdict(StageTally)
        self.models: defaultdict[str, RungTally] = defaultdict(RungTally)
        self._runs = Runs()
        self.shortfalls: defaultdict[str, Shortfall] = defaultdict(Shortfall)
        self.degraded: Counter[str] = Counter()
        self.causes: Counter[Cause] = Counter()
        self.verdicts: Counter[tuple[str, bool]] = Counter()
        self.relieved = 0
        """In time, but kept from every model to relieve the event loop."""
        self.windows = Windows()
        self.repeats = Repeats()
        self.without_text = 0
        self.first_at_ns: int | None = None
        self.last_at_ns: int | None = None

    def add(self, record: DecisionRecord) -> None:
        """Count one record. Cost: about 20 us."""
        self.n += 1
        self.late += record.late
        self._groups[GroupKey(record.point, record.rung, record.criticality)].add(record)
        self.degraded[record.degraded] += 1
        if record.verdict != "admit":
            self.verdicts[record.verdict, record.dark] += 1
        self.first_at_ns = record.at_ns if self.first_at_ns is None else min(self.first_at_ns, record.at_ns)
        self.last_at_ns = record.at_ns if self.last_at_ns is None else max(self.last_at_ns, record.at_ns)
        cause = cause_of(record)
        if cause is not None:
            self.causes[cause] += 1
        self.relieved += cause is Cause.LOOP and not record.late
        self._add_stages(record)
        self._add_window(record, cause, self._add_model(record))
        self._add_shortfall(record, cause)
        self._add_text(record)

    def groups(self, by: Callable[[GroupKey], str]) -> dict[str, Group]:
        """The requests so far by one part of their key, such as `lambda key: key.rung`."""
        found: defaultdict[str, Group] = defaultdict(Group)
        for key, group in self._groups.items():
            found[by(key)].take(group)
        return found

    def _add_stages(self, record: DecisionRecord) -> None:
        over_ms = record.elapsed_ms - record.total_ms
        for name, ms in record.stages_ms.items():
            stage, spent_us = self.stages[name], micros(ms)
            stage.all.add(spent_us)
            if record.degraded != "none":
                stage.degraded_us += spent_us
            if record.late:
                stage.late_us += spent_us
                stage.late_without += ms >= over_ms

    def _add_model(self, record: DecisionRecord) -> float:
        """Returns: what of the executor's time the record tells of, ms; 0 where others told before."""
        run, infer_ms = record.run, record.stages_ms.get("infer")
        if run is not None and run.start_ms is not None:
            return self._runs.add(record, run, self.models[run.rung])
        if run is not None:
            self.models[run.rung].add_queued(record, run)
        if infer_ms is not None and record.rung not in _FLOOR:  # no run, so all of it is this rung's, inline
            self.models[record.rung].run.add(micros(infer_ms))
        return 0.0

    def _add_shortfall(self, record: DecisionRecord, cause: Cause | None) -> None:
        if record.late or cause not in {Cause.BUDGET, Cause.QUEUE}:
            return
        shortfall = self.shortfalls[record.skipped[0][0] if record.skipped else "models"]
        shortfall.by_model += record.rung not in _FLOOR
        if cause is Cause.QUEUE:
            shortfall.queued += 1
        else:
            spent_ms = sum(record.stages_ms.get(name, 0.0) for name in _BEFORE_LADDER)
            shortfall.spare.add(micros(record.total_ms - spent_ms))

    def _add_window(self, record: DecisionRecord, cause: Cause | None, executor_ms: float) -> None:
        window = self.windows.at(record.at_ns)
        window.n += 1
        window.troubled += cause is not None
        window.queued += cause is Cause.QUEUE
        window.executor_us += 1_000 * executor_ms
        has_run = record.run is not None and record.run.start_ms is not None
        elsewhere = ("queue", "loop", "infer") if has_run else ("queue", "loop")
        elsewhere_ms = sum(record.stages_ms.get(name, 0.0) for name in elsewhere)
        window.loop_us += 1_000 * max(0.0, record.elapsed_ms - elsewhere_ms)

    def _add_text(self, record: DecisionRecord) -> None:
        if record.text is None:
            self.without_text += 1
        elif record.rung != "guard":
            self.repeats.add(record.text, is_cached=record.rung == "cache")
