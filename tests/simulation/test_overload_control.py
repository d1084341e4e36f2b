"""The overload control in a closed loop: it settles, keeps the executor busy, lets go, and spares the critical.

Two toy plants, each what one pressure controls. An executor serves a line by class and deadline; who would start too
late is not asked about. An event loop serves in turns whatever arrived during the turn before, at a cost by verdict.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from budgets.criticality import CLASSES, COHORTS, CRITICAL, CRITICAL_PLUS, SHEDDABLE
from budgets.deadline import NS_PER_MS as MS
from budgets.overload import Overload, OverloadSettings
from budgets.shedding import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

S = 1_000 * MS
START_NS = 1_000 * S
TICK_NS, WINDOW_NS = 20 * MS, 100 * MS
NEVER_NS = 1 << 62
BUDGET_NS = 50 * MS
CRITICAL_ONLY, MIXED, SHEDDABLE_ONLY = (0, 1, 0, 0), (0.05, 0.45, 0.25, 0.25), (0, 0, 0, 1)
# A model's time, and its budget: five and ten times it, many times it, and a slow one of which few fit a window.
RUNGS = ((10 * MS, 50 * MS), (5 * MS, 50 * MS), (1 * MS, 50 * MS), (40 * MS, 200 * MS))


def arrivals(load: Callable[[float], float], capacity_s: float, seconds: float, rng: Random) -> Iterator[int]:
    """Poisson at `load(t_s)` times the capacity, by thinning; the last one is never."""
    most_s = max(load(tenth / 10) for tenth in range(int(seconds * 10))) * capacity_s
    at_s = 0.0
    while at_s < seconds:
        at_s += rng.expovariate(most_s)
        if rng.random() * most_s < load(at_s) * capacity_s:
            yield START_NS + int(at_s * S)
    yield NEVER_NS


class Waiting(NamedTuple):
    rank: int
    latest_ns: int
    joined_ns: int


@dataclass
class Executor:
    """One executor, its line and its clients. Costs vary by a tenth; clients are of random levels of their class."""

    cost_ns: int
    budget_ns: int
    mix: tuple[float, ...]
    seed: int
    busy_ns: int = 0
    asked: list[int] = field(default_factory=lambda: [0] * CLASSES)
    ran: list[int] = field(default_factory=lambda: [0] * CLASSES)
    pressures: list[float] = field(default_factory=list)  # each 100 ms

    def __post_init__(self) -> None:
        self.control = Overload(OverloadSettings(), max_jobs=64, smallest_budget_ns=BUDGET_NS)
        self.rng = Random(self.seed)
        self.line: list[Waiting] = []
        self.free_ns: int | None = None  # when what runs ends

    def run(self, load: Callable[[float], float], seconds: float) -> Executor:
        coming = arrivals(load, S / self.cost_ns, seconds, self.rng)
        next_ns, tick_ns = next(coming), START_NS
        while True:
            now_ns = min(next_ns, tick_ns, self.free_ns or NEVER_NS)
            if now_ns >= START_NS + seconds * S:
                return self
            if now_ns == self.free_ns:
                self.free_ns = None
            elif now_ns == tick_ns:
                self.control.lagged(0, now_ns)
                tick_ns += TICK_NS
                if not (now_ns - START_NS) % WINDOW_NS:
                    self.pressures.append(self.control.shed_share)
            else:
                next_ns = next(coming)
                self.arrive(now_ns)
            self.start(now_ns)

    def arrive(self, now_ns: int) -> None:
        rank = self.rng.choices(range(CLASSES), self.mix)[0]
        self.asked[rank] += 1
        if self.control.judge(rank * COHORTS + self.rng.randrange(COHORTS), now_ns) is not Verdict.ADMIT:
            return
        job = Waiting(rank, now_ns + self.budget_ns - self.cost_ns * 13 // 10, now_ns)
        ahead_ns = sum(self.cost_ns for other in self.line if other < job) + (self.free_ns or now_ns) - now_ns
        in_line = len(self.line) + (self.free_ns is not None)
        if now_ns + ahead_ns <= job.latest_ns and self.control.admits_run(rank, self.cost_ns, in_line, now_ns):
            heapq.heappush(self.line, job)

    def start(self, now_ns: int) -> None:
        while self.free_ns is None and self.line:
            job = heapq.heappop(self.line)
            runs = now_ns <= job.latest_ns
            self.control.waited(now_ns - job.joined_ns, self.budget_ns, runs, now_ns)
            if runs:
                took_ns = int(self.cost_ns * self.rng.lognormvariate(0, 0.1))
                self.free_ns = now_ns + took_ns
                self.busy_ns += took_ns
                self.ran[job.rank] += 1
            else:
                self.control.refund(self.cost_ns)

    def served_share(self, rank: int) -> float:
        return self.ran[rank] / self.asked[rank]


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("mix", [CRITICAL_ONLY, MIXED, SHEDDABLE_ONLY])
@pytest.mark.parametrize("load", [2, 4])
def test_an_overrun_executor_stays_busy_and_the_pressure_settles(
    rung: tuple[int, int], mix: tuple[float, ...], load: float
) -> None:
    seconds = 12
    executor = Executor(*rung, mix, seed=1).run(lambda _: load, seconds)
    assert executor.busy_ns >= 0.8 * seconds * S
    settled = executor.pressures[40:]
    mean = sum(settled) / len(settled)
    # What the executor cannot do, nine in ten of it, are turned away by level; not by who came last.
    assert 0.2 < mean < 1 - 0.8 / load
    # A slow rung is seen a few times a second, so it is followed less closely.
    spread = sum(abs(each - mean) for each in settled) / len(settled)
    assert spread < (0.15 if rung[0] >= 40 * MS else 0.07)


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("mix", [CRITICAL_ONLY, MIXED])
@pytest.mark.parametrize("seed", [1, 2])
def test_pressure_ends_within_two_seconds_of_a_spike(rung: tuple[int, int], mix: tuple[float, ...], seed: int) -> None:
    executor = Executor(*rung, mix, seed).run(lambda at_s: 10 if 2 <= at_s < 12 else 0.5, 16)
    assert max(executor.pressures[60:120]) > 0.6, "ten times the load is felt"
    assert max(executor.pressures[140:]) < 0.05


@pytest.mark.parametrize("load", [0.3, 0.5, 0.7])
def test_without_overload_nobody_is_refused_for_long(load: float) -> None:
    executor = Executor(5 * MS, 50 * MS, CRITICAL_ONLY, seed=3).run(lambda _: load, 10)
    assert executor.served_share(CRITICAL) > 0.97
    assert sum(executor.pressures) / len(executor.pressures) < 0.02


def test_bursts_of_a_second_are_ridden_out() -> None:
    executor = Executor(5 * MS, 50 * MS, MIXED, seed=4).run(lambda at_s: 3 if at_s % 3 < 1 else 0.3, 15)
    assert executor.served_share(CRITICAL_PLUS) > 0.99
    assert executor.served_share(CRITICAL) > executor.served_share(SHEDDABLE)
    ends = [executor.pressures[tenth] for tenth in range(28, 150, 30)]
    assert max(ends) < 0.05, "before each burst it has let go of the one before"


@pytest.mark.parametrize("rung", RUNGS[:3])
def test_twelve_times_the_sheddable_traffic_leaves_the_critical_their_executor(rung: tuple[int, int]) -> None:
    """The critical alone ask for four tenths of it."""
    mix = (0.0, 0.4, 0.0, 12 * 0.4)
    executor = Executor(*rung, mix, seed=5).run(lambda _: sum(mix), 8)
    assert executor.served_share(CRITICAL) > 0.97
    assert executor.served_share(SHEDDABLE) < 0.2


def test_one_caller_at_one_level_is_thinned_not_switched_on_and_off() -> None:
    executor = Executor(5 * MS, 50 * MS, CRITICAL_ONLY, seed=6)
    executor.rng.randrange = lambda *_: 77  # type: ignore[method-assign]
    executor.run(lambda _: 3, 12)
    assert executor.busy_ns >= 0.8 * 12 * S
    assert max(executor.pressures[40:]) < 0.9


LOOP_COST_NS = {Verdict.ADMIT: 300_000, Verdict.INLINE: 300_000, Verdict.FLOOR: 120_000, Verdict.REJECT: 40_000}


@dataclass
class EventLoop:
    """Turns that read what has arrived and serve it, with a tick that is late by what it waited for its turn."""

    mix: tuple[float, ...]
    seed: int
    block_every_s: float | None = None  # 100 ms each
    waits_ns: list[tuple[float, int]] = field(default_factory=list)  # arrived at s, waited
    pressures: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.control = Overload(OverloadSettings(), max_jobs=64, smallest_budget_ns=BUDGET_NS)

    def run(self, load: Callable[[float], float], seconds: float) -> EventLoop:
        rng = Random(self.seed)
        coming = arrivals(load, S / LOOP_COST_NS[Verdict.ADMIT], seconds, rng)
        now_ns, next_ns, tick_ns, turn_ns, sampled_ns = START_NS, next(coming), START_NS, 0, START_NS
        block_ns = START_NS + S
        while now_ns < START_NS + seconds * S:
            began_ns = now_ns
            if self.block_every_s is not None and now_ns >= block_ns:
                now_ns += 100 * MS
                block_ns += int(self.block_every_s * S)
            if now_ns >= tick_ns:
                late_ns = now_ns - tick_ns
                self.control.lagged(max(late_ns if late_ns >= 2 * MS else 0, turn_ns), now_ns)
                tick_ns = now_ns + TICK_NS
            read_ns = now_ns
            while next_ns <= read_ns:
                rank = rng.choices(range(CLASSES), self.mix)[0]
                verdict = self.control.judge(rank * COHORTS + rng.randrange(COHORTS), now_ns)
                now_ns += LOOP_COST_NS[verdict]
                self.waits_ns.append(((next_ns - START_NS) / S, now_ns - next_ns))
                next_ns = next(coming)
            turn_ns = now_ns - began_ns
            while now_ns >= sampled_ns:
                self.pressures.append(self.control.reject_pressure)
                self.steps.append(self.control.brownout_step)
                sampled_ns += WINDOW_NS
            now_ns = max(now_ns, min(next_ns, tick_ns)) if now_ns == began_ns else now_ns
        return self

    def wait_ms(self, q: float, from_s: float, to_s: float) -> float:
        waits = sorted(waited for at_s, waited in self.waits_ns if from_s <= at_s < to_s)
        return waits[int(q * (len(waits) - 1))] / MS


@pytest.mark.parametrize(
    ("mix", "load"), [(CRITICAL_ONLY, 1.5), (CRITICAL_ONLY, 2.5), (MIXED, 1.5), (MIXED, 2.5), (SHEDDABLE_ONLY, 4)]
)
def test_an_overrun_event_loop_keeps_its_lag_within_the_budget(mix: tuple[float, ...], load: float) -> None:
    seconds = 8
    loop = EventLoop(mix, seed=1).run(lambda at_s: load if at_s < seconds - 2 else 0.5, seconds)
    assert loop.wait_ms(0.5, 3, 6) < 0.25 * BUDGET_NS / MS
    assert loop.wait_ms(0.99, 3, 6) < BUDGET_NS / MS
    settled = loop.pressures[30:60]
    assert max(settled) - min(settled) < 0.5
    assert loop.pressures[-1] < 0.02
    assert max(loop.steps) == 3


def test_the_cap_on_rejections_holds_whatever_the_loop_suffers() -> None:
    loop = EventLoop(CRITICAL_ONLY, seed=2).run(lambda _: 4, 5)
    given = loop.control.verdicts(CRITICAL)
    assert loop.control.reject_pressure > 0.9
    assert 0.15 < given[Verdict.REJECT] / sum(given.values()) < 0.21
    assert loop.control.spared_total > given[Verdict.REJECT]


def test_one_block_of_the_loop_now_and_then_changes_nothing() -> None:
    loop = EventLoop(CRITICAL_ONLY, seed=3, block_every_s=1.0).run(lambda _: 0.5, 8)
    assert max(loop.pressures) == 0.0
