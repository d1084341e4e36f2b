"""Whoever comes when with whatever patience: back by the commit time, one run a key at a time, nothing left over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from budgets.job import Batch
from fallbacks.breaker import Breaker, BreakerSettings
from fallbacks.ladder import Ask, Choice, Degraded, Rung
from fallbacks.runner import Run, Runner
from tests.jobs import FACTORS, LinearCost, work_of
from tests.virtual import MS, VirtualExecutor, VirtualLoop, run

COST_NS, P99_NS = 10 * MS, 15 * MS


class Caller(NamedTuple):
    gap_ms: int
    key: str
    within_ms: int
    leaves_after_ms: int | None
    rank: int


CALLERS = st.lists(
    st.builds(
        Caller,
        gap_ms=st.integers(0, 15),
        key=st.sampled_from("abcde"),
        within_ms=st.integers(1, 60),
        leaves_after_ms=st.none() | st.integers(0, 40),
        rank=st.integers(0, 3),
    ),
    max_size=12,
)
DURATIONS = st.lists(st.sampled_from((1, 5, 10, 12, 30, 200)), min_size=1)


def paid_ns(batch: Batch) -> int:
    """A call of his own, as it was granted; in company no more than his share of it."""
    texts = len(batch.jobs)
    assert batch.end_ns is not None
    return COST_NS if texts == 1 else texts * min(COST_NS, (batch.end_ns - batch.start_ns) // texts)


class Scene:
    """Callers before one rung; each of its calls takes the next of the durations."""

    def __init__(self, loop: VirtualLoop, durations_ms: list[int], max_jobs: int, fixed_ns: int) -> None:
        self.loop, self.clock = loop, loop.clock
        cost = LinearCost(fixed_ns, COST_NS - fixed_ns, factors=FACTORS)
        self.rung = Rung("large", cost, Breaker(BreakerSettings(), Random(0)), work_of(cost, self._call))
        self.executor = VirtualExecutor(loop, max_jobs, 30 * MS, self._duration_ns, wake_ns=0)
        self.landed: Counter[str] = Counter()
        self.runner = Runner[str, str, str](self.executor, self.clock, self)
        self.durations_ms, self.batches, self.calls = durations_ms, list[Batch](), list[list[str]]()
        self.granted_ns = self.refunded_ns = self.ran = 0

    def waited(self, waited_ns: int, usable_ns: int, *, ran: bool, now_ns: int) -> None:
        assert waited_ns >= 0
        assert not ran or waited_ns <= usable_ns, "no start after the latest"
        self.ran += ran

    def refund(self, cost_ns: int) -> None:
        self.refunded_ns += cost_ns

    def _duration_ns(self, batch: Batch) -> int:
        for job in batch.jobs:
            assert not job.cancelled
            assert job.enqueued_ns <= batch.start_ns <= job.latest_start_ns
        if len(batch.jobs) > 1:
            assert all(batch.start_ns + batch.limit_ns <= job.commit_ns for job in batch.jobs)
        self.batches.append(batch)
        return self.durations_ms[len(self.batches) % len(self.durations_ms)] * MS

    def _call(self, questions: Sequence[str]) -> list[str]:
        assert len(set(questions)) == len(questions), "equal questions share a run"
        self.calls.append(list(questions))
        if self.durations_ms[len(self.calls) % len(self.durations_ms)] == 5:
            raise ValueError(questions)
        return [question.upper() for question in questions]

    def _land(self, key: str, value: str) -> None:
        assert value == key.upper()
        self.landed[key] += 1

    async def ask(self, caller: Caller, jitter_ns: int) -> None:
        now_ns = self.clock.now_ns()
        commit_ns = now_ns + caller.within_ms * MS
        permit = self.rung.breaker.acquire(now_ns)
        if permit is None:
            return
        self.granted_ns += COST_NS
        choice = Choice(self.rung, permit, commit_ns, P99_NS, 0, COST_NS)
        ask = Ask(caller.rank, 20, commit_ns, lambda _: True)
        found = await self.runner.run(caller.key, choice, ask, caller.key, self._land)
        assert self.clock.now_ns() <= max(commit_ns, now_ns) + jitter_ns
        assert len(self.executor) <= self.executor._line.max_jobs
        self._check(found, caller)

    def _check(self, found: Run[str], caller: Caller) -> None:
        assert (found.value is not None) == (found.why is Degraded.NONE)
        assert found.value in {None, caller.key.upper()}
        assert found.batch is None or found.batch in self.batches
        assert found.batch is not None or found.value is None
        assert bool(found.error) == (found.why is Degraded.ERROR)

    def check_books(self, callers: int) -> None:
        texts = sum(len(call) for call in self.calls)
        assert len(self.batches) == len(self.calls)
        assert texts == self.ran <= callers
        assert self.landed.total() <= texts
        assert self.granted_ns - self.refunded_ns == sum(map(paid_ns, self.batches)), "what ran is paid for, once"
        took_ns = sum((batch.end_ns or 0) - batch.start_ns for batch in self.batches)
        assert took_ns - texts <= self.runner.used_ns + self.runner.wasted_ns <= took_ns


@given(CALLERS, DURATIONS, st.integers(1, 4), st.sampled_from((0, 9 * MS)), st.none() | st.integers(0, 9))
def test_the_runner_keeps_its_word(
    callers: list[Caller], durations_ms: list[int], max_jobs: int, fixed_ns: int, jitter_seed: int | None
) -> None:
    async def main(loop: VirtualLoop) -> None:
        scene = Scene(loop, durations_ms, max_jobs, fixed_ns)
        tasks = []
        for caller in callers:
            await asyncio.sleep(caller.gap_ms / 1e3)
            task = loop.create_task(scene.ask(caller, 0 if jitter_seed is None else MS))
            if caller.leaves_after_ms is not None:
                loop.call_later(caller.leaves_after_ms / 1e3, task.cancel)
            tasks.append(task)
        await asyncio.sleep(10)
        for task in tasks:
            assert task.cancelled() or task.result() is None
        assert len(scene.executor) == 0
        assert not scene.runner._flights
        assert scene.rung.breaker._probes == 0
        scene.check_books(len(callers))

    run(main, None if jitter_seed is None else VirtualLoop(Random(jitter_seed)))
