"""A whole server in virtual time under open-loop load: what its clients see, counted from when they meant to send.

The way through the HTTP layer costs the event loop what was measured of it; clients that retry come again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from budgets.batch_cost import Sample
from budgets.deadline import BudgetSettings, grant_ns, open_budget
from budgets.ledger import Ledger
from fallbacks.cache import CacheSettings
from router.domain.interaction import Criticality
from router.errors import NotAdmitted
from tests.spine import Answer, Spine, build_spine
from tests.virtual import MS, S, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from budgets.job import Batch
    from budgets.overload import OverloadSettings

_BACK_OFF_NS = 50 * MS
MAX_TRIES = 4
_PATIENCE = 2  # budgets, after which a client hangs up


@dataclass(frozen=True, slots=True)
class Machine:
    """How fast things are: the rungs, and what the way through the HTTP layer costs the event loop."""

    large_ns: int = 2_500_000
    spread: float = 0.15  # sigma of the logarithm
    small_ns: int = 100_000
    read_ns: int = 50_000  # the socket and the head, before a request counts as arrived and could be refused
    decode_ns: int = 150_000
    encode_ns: int = 100_000  # and writing; half of it for a refusal

    @property
    def capacity(self) -> float:
        """Of the large rung, requests a second."""
        return S / self.large_ns

    def slower(self, times: int) -> Machine:
        """So that a simulation of as many seconds has fewer requests."""
        return Machine(
            self.large_ns * times, self.spread, self.small_ns * times,
            self.read_ns * times, self.decode_ns * times, self.encode_ns * times,
        )  # fmt: skip


@dataclass(slots=True)
class Sent:
    """One request of a client, and what came of it. Times in ns; `latency_ns` from the intended time of sending."""

    text: str
    at_ns: int
    criticality: Criticality
    tries: int
    task: asyncio.Task[None] | None = None
    latency_ns: int = 0
    rung: str = ""  # "" is refused
    code: str = ""

    def is_in_time(self, budget_ms: float) -> bool:
        return self.rung != "" and self.latency_ns <= budget_ms * MS


class Service:
    """A server that is asked by clients with equal budgets.

    Args:
        retries: clients come again, with growing pauses, when they are refused or answered late.
        slowdown: how much longer a batch takes at a time than it should.
    """

    def __init__(
        self,
        seed: int,
        machine: Machine,
        *,
        budget_ms: float,
        retries: bool = False,
        overload: OverloadSettings | None = None,
        slowdown: Callable[[int], float] = lambda _: 1.0,
    ) -> None:
        self.loop = VirtualLoop(Random(seed))
        self.sent: list[Sent] = []
        self.ran: list[tuple[Batch, int]] = []  # what was predicted, and how long it took
        self.spine: Spine
        self._rng = Random(seed + 1)
        self._machine, self._budget_ms, self._retries = machine, budget_ms, retries
        self._overload, self._slowdown = overload, slowdown
        self._tasks: set[asyncio.Task[None]] = set()

    def play(self, arrivals: Iterable[tuple[int, Criticality]]) -> None:
        """Send everything at its time, in order, and wait for the ends."""
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._play(arrivals))

    async def _play(self, arrivals: Iterable[tuple[int, Criticality]]) -> None:
        loop = self.loop
        profile = [Sample(n, 20, n * self._cost_ns()) for n in (1, 2, 4, 8) for _ in range(10)]
        self.spine = build_spine(
            loop,
            rng=Random(self._rng.getrandbits(64)),
            large_ns=self._machine.large_ns,
            small_ns=self._machine.small_ns,
            duration_ns=self._duration_ns,
            profile=profile,
            budget=BudgetSettings(default_ms=self._budget_ms),
            cache=CacheSettings(entries=0),
            overload=self._overload,
        )
        self.spine.monitor.start()
        self.spine.prober.start()
        coming = iter(arrivals)
        all_sent = loop.create_future()

        def expect_next() -> None:
            """One outside event at a time: there may be 100,000 arrivals."""
            arrival = next(coming, None)
            if arrival is None:
                loop.call_soon(all_sent.set_result, None)
            else:
                loop.outside(arrival[0], lambda: send(*arrival))

        def send(at_ns: int, criticality: Criticality) -> None:
            self._send(Sent(f"question {at_ns}", at_ns, criticality, 1))
            expect_next()

        expect_next()
        await all_sent
        await asyncio.sleep(2)  # for those who come again
        while self._tasks:
            await asyncio.wait(self._tasks)
        self.spine.monitor.stop()
        self.spine.prober.stop()

    def _send(self, sent: Sent) -> None:
        self.sent.append(sent)
        self.loop.call_soon(self._receive, sent)
        gives_up_ns = sent.at_ns + int(_PATIENCE * self._budget_ms * MS)
        self.loop.outside(gives_up_ns, lambda: self._hang_up(sent))

    def _hang_up(self, sent: Sent) -> None:
        """Of a client; what it sent may not have been read yet."""
        if not sent.latency_ns:
            sent.latency_ns, sent.code = self.loop.clock.now_ns() - sent.at_ns, "gone"
            if sent.task is not None:
                self.loop.call_soon(sent.task.cancel)
            self._retry(sent)

    def _receive(self, sent: Sent) -> None:
        """As `Connection.data_received` does: the time that counts is taken when the bytes are read."""
        if sent.code:
            self.loop.spend(self._machine.read_ns)
            return
        arrived_ns = self.loop.clock.now_ns()
        stalled_ns = self.spine.monitor.estimate.late_ns(arrived_ns)
        self.loop.spend(self._machine.read_ns)
        task = sent.task = self.loop.create_task(self._handle(sent, arrived_ns, stalled_ns))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, sent: Sent, arrived_ns: int, stalled_ns: int) -> None:
        loop, spine = self.loop, self.spine
        loop.spend(self._machine.decode_ns)
        settings = spine.point.budget
        budget = open_budget(
            grant_ns((self._budget_ms,), settings), settings, Ledger(arrived_ns - stalled_ns), stalled_ns
        )
        rung = code = ""
        try:
            answer: Answer = await spine.ask(sent.text, budget=budget, criticality=sent.criticality)
            rung = answer.decision.rung
        except NotAdmitted as refused:
            code = refused.code
        loop.spend(self._machine.encode_ns if rung else self._machine.encode_ns // 2)
        if not sent.latency_ns:
            sent.rung, sent.code, sent.latency_ns = rung, code, loop.clock.now_ns() - sent.at_ns
            if not sent.is_in_time(self._budget_ms):
                self._retry(sent)

    def _retry(self, sent: Sent) -> None:
        if self._retries and sent.tries < MAX_TRIES:
            pause_ns = int(_BACK_OFF_NS * 2 ** (sent.tries - 1) * self._rng.uniform(0.5, 1.5))
            again_ns = self.loop.clock.now_ns() + pause_ns
            again = Sent(sent.text, again_ns, sent.criticality, sent.tries + 1)
            self.loop.outside(again_ns, lambda: self._send(again))

    def _duration_ns(self, batch: Batch) -> int:
        cost_ns = int(len(batch.jobs) * self._cost_ns() * self._slowdown(self.loop.clock.now_ns()))
        self.ran.append((batch, cost_ns))
        return cost_ns

    def _cost_ns(self) -> int:
        machine = self._machine
        return int(machine.large_ns * self._rng.lognormvariate(0, machine.spread))
