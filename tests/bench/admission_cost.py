"""What it costs to decide whether and how far a request gets in, calm and under pressure, and which rung it gets.

Run: python -m tests.bench.admission_cost. Each call is timed alone, in blocks that take turns with the baseline's: a
`json.dumps` of a small answer, so that the ratio says what admission is next to encoding one response. Quote the
ratios; single times vary with the machine. The goal for all of it, up to the place in a line of eight jobs, is 15 us at
the median and 100 us at the 99th percentile.
"""

from __future__ import annotations

import json
from asyncio import new_event_loop
from random import Random
from threading import Event
from time import perf_counter_ns, sleep
from typing import TYPE_CHECKING, Any

from budgets.admission import Admission, AdmissionSettings
from budgets.batch_cost import BatchCost, Sample
from budgets.clock import SystemClock
from budgets.criticality import CLASSES, COHORTS, CRITICAL, CRITICAL_PLUS
from budgets.deadline import NS_PER_MS, BudgetSettings, open_budget
from budgets.job import Job, Work
from budgets.ledger import Ledger
from budgets.overload import Overload, OverloadSettings
from budgets.predictor import InlineCost
from fallbacks.breaker import Breaker, BreakerSettings, Ending
from fallbacks.ladder import Ask, Rung, choose
from models.executor import ThreadExecutor

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCKS, CALLS = 200, 500
GAP_NS = 200_000  # between arrivals: 5,000 a second, so every 500th call closes a window
START_NS, NEVER_NS = 1_000_000_000_000, 1 << 62
ANSWER = {"route": "card_arrival", "rung": "small", "confidence": 0.93, "decision_id": "0" * 26, "degraded": "none"}


class Arrivals:
    """One admission after the other, as the pipeline does it: hard bounds, verdict, executor."""

    def __init__(self, settings: OverloadSettings, *, lag_ns: int, wait_share: float) -> None:
        self.control = Overload(settings, max_jobs=64, smallest_budget_ns=50 * NS_PER_MS)
        self.admission = Admission(AdmissionSettings())
        self.budgets = BudgetSettings()
        self.rng = Random(7)
        self.levels = [self.rng.randrange(CLASSES * COHORTS) for _ in range(4_096)]
        self.lag_ns, self.wait_share = lag_ns, wait_share
        self.now_ns, self.calls = START_NS, 0

    def between(self) -> None:
        """What the rest of a server tells the control; not timed."""
        self.now_ns += GAP_NS
        self.calls += 1
        if not self.calls % 10:
            self.control.waited(int(self.wait_share * 50 * NS_PER_MS), 50 * NS_PER_MS, True, self.now_ns)
        if not self.calls % 100:
            self.control.lagged(self.lag_ns, self.now_ns)
        self.budget = open_budget(50 * NS_PER_MS, self.budgets, Ledger(self.now_ns))

    def once(self) -> None:
        level = self.levels[self.calls % len(self.levels)]
        self.admission.admit(self.budget, self.now_ns, 200_000)
        self.control.judge(level, self.now_ns)
        self.control.admits_run(level // COHORTS, 2 * NS_PER_MS, self.calls % 4, self.now_ns)
        self.admission.release()


class Choosing(Arrivals):
    """The same, and then a rung: `large` behind eight jobs that wait, `small` below it."""

    def __init__(self, executor: ThreadExecutor, work: Work[Any, Any]) -> None:
        super().__init__(OverloadSettings(), lag_ns=0, wait_share=0.05)
        self.executor = executor
        small = InlineCost(80_000, 120_000)
        self.rungs = [
            Rung[Any, Any](name, cost, Breaker(BreakerSettings(), self.rng), runs)
            for name, cost, runs in (("large", work.cost, work), ("small", small, None))
        ]

    def once(self) -> None:
        now_ns = self.now_ns
        self.admission.admit(self.budget, now_ns, 200_000)
        self.control.judge(CRITICAL * COHORTS + self.calls % COHORTS, now_ns)
        ask = Ask(CRITICAL, 40, self.budget.deadline_ns - 200_000, self.may_queue)
        choice = choose(self.rungs, [], self.executor, ask, now_ns=now_ns, hop_ns=2 * NS_PER_MS)
        assert choice is not None
        assert choice.rung is self.rungs[0]
        choice.rung.breaker.record(choice.permit, Ending.IGNORED, now_ns)
        self.admission.release()

    def may_queue(self, cost_ns: int) -> bool:
        self.control.admits_run(CRITICAL, cost_ns, self.executor.ahead(CRITICAL), self.now_ns)
        return True  # what the allowance says after hours of granting is not asked here


def line_of_eight(executor: ThreadExecutor, gate: Event) -> Work[Any, Any]:
    """One job that runs until the gate opens, and eight of a rung whose every text costs 2 ms."""
    blocker = Work[Any, Any]("gate", BatchCost.flat(1, 1), lambda _: [gate.wait()])
    cost = BatchCost([Sample(texts, 60, 2 * NS_PER_MS * texts) for texts in (1, 2, 4, 8)])
    work = Work[Any, Any]("large", cost, list)
    for place, its_work in enumerate((blocker, *[work] * 8)):
        executor.submit(Job(its_work, None, 40, CRITICAL_PLUS, START_NS + place, NEVER_NS, NEVER_NS, 0, lambda _: None))
    while not blocker.batches_total:
        sleep(0.001)
    executor._line.running = None  # as if it were done in a moment
    return work


def encode() -> None:
    json.dumps(ANSWER)


def spent_ns(action: Callable[[], None], between: Callable[[], None]) -> list[int]:
    spent = []
    for _ in range(CALLS):
        between()
        start_ns = perf_counter_ns()
        action()
        spent.append(perf_counter_ns() - start_ns)
    return spent


def quantile_us(spent: list[int], q: float) -> float:
    return sorted(spent)[int(q * (len(spent) - 1))] / 1e3


def main() -> None:
    loop, gate = new_event_loop(), Event()
    executor = ThreadExecutor(loop, SystemClock(), 64, 17 * NS_PER_MS)
    choosing = Choosing(executor, line_of_eight(executor, gate))
    calm = Arrivals(OverloadSettings(), lag_ns=0, wait_share=0.05)
    pressed = Arrivals(OverloadSettings(), lag_ns=11 * NS_PER_MS, wait_share=0.6)
    off = Arrivals(OverloadSettings(mode="off"), lag_ns=0, wait_share=0.05)
    cases: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "json.dumps of an answer": (encode, lambda: None),
        "admission, control off": (off.once, off.between),
        "admission, calm": (calm.once, calm.between),
        "admission, under pressure": (pressed.once, pressed.between),
        "admission and a rung, line of 8": (choosing.once, choosing.between),
    }
    spent: dict[str, list[int]] = {name: [] for name in cases}
    for _ in range(BLOCKS):
        for name, case in cases.items():
            spent[name] += spent_ns(*case)
    baseline_us = quantile_us(spent["json.dumps of an answer"], 0.5)
    for name, each in spent.items():
        p50, p99, most = (quantile_us(each, q) for q in (0.5, 0.99, 0.999))
        print(f"{name:31} p50 {p50:6.2f} us  p99 {p99:6.2f} us  p99.9 {most:6.1f} us  p50 {p50 / baseline_us:4.2f} x")
    print(f"under pressure: model {pressed.control.shed_share:.2f}, loop {pressed.control.reject_pressure:.2f}")
    gate.set()
    executor.close()
    loop.close()


if __name__ == "__main__":
    main()
