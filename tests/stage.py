"""A runner over one rung, on virtual time: for the tests of the runner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, NamedTuple

from budgets.criticality import CRITICAL
from fallbacks.breaker import Breaker, BreakerSettings
from fallbacks.ladder import Ask, Choice, Degraded, Rung
from fallbacks.runner import Run, Runner
from tests.jobs import LinearCost, work_of
from tests.virtual import MS, VirtualExecutor, VirtualLoop, run

P99_NS = 13 * MS


def call_of(fixed_ns: int = 0) -> LinearCost:
    """10 ms alone, at most 13 ms; of which a part is the same for several."""
    return LinearCost(fixed_ns, 10 * MS - fixed_ns, factors=(1.0, 1.2, 1.3, 1.3))


class Found(NamedTuple):
    """What a waiter is told: a value or why not, when his batch began and ended as he was told, the error."""

    value: str | None
    why: Degraded
    start_ns: int | None = None
    end_ns: int | None = None
    error: str = ""


class Books:
    """What the overload control is told."""

    def __init__(self) -> None:
        self.waits: list[tuple[int, int, bool]] = []
        self.refunded_ns = 0

    def waited(self, waited_ns: int, usable_ns: int, *, ran: bool, now_ns: int) -> None:
        self.waits.append((waited_ns, usable_ns, ran))

    def refund(self, cost_ns: int) -> None:
        self.refunded_ns += cost_ns


class Stage:
    """A runner over one rung whose calls take `duration_ns`."""

    def __init__(self, loop: VirtualLoop, max_jobs: int, cost: LinearCost) -> None:
        self.loop, self.cost, self.books = loop, cost, Books()
        self.duration_ns = 10 * MS
        self.calls: list[list[str]] = []
        self.landed: list[tuple[str, str]] = []
        self.fails = self.forgets = False
        self.executor = VirtualExecutor(loop, max_jobs, 100 * MS, lambda batch: self.duration_ns, wake_ns=0)
        self.runner = Runner[str, str, str](self.executor, loop.clock, self.books)
        self.rung = self.other("large")

    def other(self, name: str) -> Rung[str, str]:
        breaker = Breaker(BreakerSettings(), Random(0))
        return Rung(name, self.cost, breaker, work_of(self.cost, self.call, name))

    @property
    def now_ns(self) -> int:
        return self.loop.clock.now_ns()

    def call(self, questions: Sequence[str]) -> list[str]:
        self.calls.append(list(questions))
        if self.fails:
            raise ValueError("broken")
        answers = [question.upper() for question in questions]
        return answers[1:] if self.forgets else answers

    async def run(
        self, key: str, within_ms: float, *, rank: int = CRITICAL, rung: Rung[str, str] | None = None, length: int = 20
    ) -> Run[str]:
        rung = rung or self.rung
        permit = rung.breaker.acquire(self.now_ns)
        assert permit is not None
        until_ns = self.now_ns + int(within_ms * MS)
        choice = Choice(rung, permit, until_ns, P99_NS, 0, 10 * MS)
        ask = Ask(rank, length, until_ns, lambda _: True)
        return await self.runner.run(key, choice, ask, key, self.land)

    async def find(self, key: str, within_ms: float, **options: Any) -> Found:
        """`run`, read at once: what runs on would change it."""
        ran = await self.run(key, within_ms, **options)
        batch = ran.batch
        start_ns, end_ns = (None, None) if batch is None else (batch.start_ns, batch.end_ns)
        return Found(ran.value, ran.why, start_ns, end_ns, ran.error)

    def start(self, key: str, within_ms: float, **options: Any) -> asyncio.Task[Found]:
        return self.loop.create_task(self.find(key, within_ms, **options))

    def land(self, key: str, value: str) -> None:
        self.landed.append((key, value))

    def calls_seen(self) -> tuple[int, int, int]:
        """Calls, failed and slow ones, as the breaker counted them."""
        window = self.rung.breaker._window
        return sum(s.calls for s in window), sum(s.failed for s in window), sum(s.slow for s in window)


async def busy(stage: Stage) -> asyncio.Task[Found]:
    """Let the executor run something for somebody patient, since a millisecond."""
    blocker = stage.start("blocker", 1_000)
    await asyncio.sleep(0.001)
    return blocker


async def leave(*waiting: asyncio.Task[Any]) -> None:
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


def play(
    scenario: Callable[[Stage], Awaitable[None]], *, jitter: bool = False, max_jobs: int = 64, fixed_ns: int = 0
) -> None:
    async def main(loop: VirtualLoop) -> None:
        stage = Stage(loop, max_jobs, call_of(fixed_ns))
        await scenario(stage)
        await asyncio.sleep(100)
        assert not stage.runner._flights
        assert len(stage.executor) == 0

    run(main, VirtualLoop(Random(5) if jitter else None))
