"""Whoever comes when with whatever patience: back by the commit time, one run a key at a time, nothing left over."""

from __future__ import annotations

import asyncio
from random import Random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from budgets.predictor import CostEstimate
from fallbacks.breaker import Breaker, BreakerSettings
from fallbacks.ladder import Choice, Degraded, Rung
from fallbacks.runner import Runner
from tests.virtual import MS, VirtualExecutor, VirtualLoop, run


class Caller(NamedTuple):
    gap_ms: int
    key: str
    within_ms: int
    leaves_after_ms: int | None


CALLERS = st.lists(
    st.builds(
        Caller,
        gap_ms=st.integers(0, 15),
        key=st.sampled_from("abc"),
        within_ms=st.integers(1, 60),
        leaves_after_ms=st.none() | st.integers(0, 40),
    ),
    max_size=12,
)
DURATIONS = st.lists(st.sampled_from((1, 5, 10, 12, 30, 200)), min_size=1)


class Scene:
    """Callers before one rung; each of its runs takes the next of the durations."""

    def __init__(self, loop: VirtualLoop, durations_ms: list[int], max_jobs: int) -> None:
        self.loop, self.clock = loop, loop.clock
        self.rung = Rung("large", CostEstimate(10 * MS, 10 * MS), Breaker(BreakerSettings(), Random(0)), True)
        self.executor = VirtualExecutor(loop, max_jobs, lambda job: self._duration_ns(), wake_ns=0)
        self.landed: list[str] = []
        self.runner = Runner[str, str](self.executor, self.clock)
        self.durations_ms, self.runs, self.calls = durations_ms, 0, list[str]()

    def _duration_ns(self) -> int:
        self.runs += 1
        return self.durations_ms[self.runs % len(self.durations_ms)] * MS

    def _call(self, key: str) -> str:
        self.calls.append(key)
        if self.durations_ms[len(self.calls) % len(self.durations_ms)] == 5:
            raise ValueError(key)
        return key.upper()

    async def ask(self, caller: Caller, jitter_ns: int) -> None:
        now_ns = self.clock.now_ns()
        commit_ns = now_ns + caller.within_ms * MS
        permit = self.rung.breaker.acquire(now_ns)
        if permit is None:
            return
        found = await self.runner.run(
            caller.key,
            Choice(self.rung, permit, commit_ns),
            lambda: self._call(caller.key),
            lambda key, _: self.landed.append(key),
        )
        assert self.clock.now_ns() <= max(commit_ns, now_ns) + jitter_ns
        assert len(self.executor) <= self.executor._line.max_jobs
        assert (found.value is not None) == (found.why is Degraded.NONE)
        assert found.value in {None, caller.key.upper()}
        assert found.end_ns is None or (found.start_ns is not None and found.start_ns <= found.end_ns)
        assert bool(found.error) == (found.why is Degraded.ERROR)


@given(CALLERS, DURATIONS, st.integers(1, 4), st.none() | st.integers(0, 9))
def test_the_runner_keeps_its_word(
    callers: list[Caller], durations_ms: list[int], max_jobs: int, jitter_seed: int | None
) -> None:
    async def main(loop: VirtualLoop) -> None:
        scene = Scene(loop, durations_ms, max_jobs)
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
        assert scene.runs == len(scene.calls) <= len(callers)
        assert len(scene.landed) <= scene.runs

    run(main, None if jitter_seed is None else VirtualLoop(Random(jitter_seed)))
