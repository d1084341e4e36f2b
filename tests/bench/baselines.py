"""How others hold budgets, as policies of this server: the kinds `takt-b0` to `takt-b3` of `tests.bench.servers`.

HTTP, guards, models, log and metrics are Takt's; what is replaced is everything between the cache and the answer, and
the admission. All have one queue and one thread, always answer from the best rung, one text a call (on a processor
where a call of eight costs eight calls that is what Takt's own rule comes to), and know no other rung. Budgets of
requests are not read: there is one static timeout, as their configurations have it, from when a request arrived. A
client that leaves changes nothing.

B0 `Fifo`, like LitServe: no prediction. Who has waited longer than the timeout is refused when his turn comes (504);
    what has begun is finished and sent, however late. Lacks workers, streaming, batches.
B1 `Priorities`, like Triton: by priority, first come first served among equals; a timeout of the queue with the action
    REJECT; execution is never bounded. The operator is wise: he leaves room for twice the usual execution. Lacks
    dynamic batching, preferred sizes, `max_queue_size`.
B2 `Mean`, like BentoML's dispatcher: the mean of the last 50 calls (its least squares in the batch's size, which is
    one here); 503 for who would end beyond the timeout by that mean, at arrival by those ahead of him, and again when
    his turn comes. Lacks adaptive batching. Looks at each request, where BentoML looks every millisecond.
B3 `Gradient2`, like Netflix's concurrency-limits: the limit on concurrency follows the gradient of the round trip
    time, once a second (`WindowedLimit`), with the defaults of `Gradient2Limit` but for the least and first limit: its
    20 would let everybody wait for 20 executions. 503 above the limit. Lacks partitions of the limit.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from budgets.admission import Admission, Refusal
from budgets.deadline import NS_PER_MS
from budgets.ledger import Stage
from models.executor import yield_cores
from models.inputs import Question
from router.domain.decision import Reason
from router.errors import NotAdmitted

if TYPE_CHECKING:
    from collections.abc import Callable

    from budgets.deadline import Budget
    from models.classifier import Prediction
    from router.assembly import App
    from router.domain.decision import Decision
    from router.policy.point import ModelRung

TIMEOUT_MS, EXPECTED_MS = "BENCH_TIMEOUT_MS", "BENCH_EXPECTED_MS"  # variables of the server's environment


@dataclass(slots=True, order=True)
class Call:
    """One request for the executor; `place` is where it stands in the queue."""

    place: tuple[int, int]
    rung: ModelRung = field(compare=False)
    question: Question = field(compare=False)
    arrived_ns: int = field(compare=False)
    inflight: int = field(compare=False)  # with itself, when it came
    waiter: asyncio.Future[None] = field(compare=False)
    is_refused: bool = field(default=False, compare=False)
    value: Prediction | Exception | None = field(default=None, compare=False)
    start_ns: int = field(default=0, compare=False)
    end_ns: int = field(default=0, compare=False)


class Fifo:
    """B0. A policy; the methods are what the others change."""

    refusal = Refusal.EXPIRED

    def __init__(self, timeout_ns: int, expected_ns: int) -> None:
        self.timeout_ns, self.expected_ns = timeout_ns, expected_ns

    def admits(self, inflight: int) -> bool:
        """Whether to let in one more, with so many in the queue or running."""
        return True

    def rank(self, criticality: int) -> int:
        return 0

    def starts(self, waited_ns: int) -> bool:
        """Whether to begin one that has waited so long."""
        return waited_ns <= self.timeout_ns

    def learn(self, call: Call) -> None:
        """One has been executed."""


class Priorities(Fifo):
    """B1."""

    def rank(self, criticality: int) -> int:
        return criticality

    def starts(self, waited_ns: int) -> bool:
        return waited_ns <= self.timeout_ns - 2 * self.expected_ns


class Mean(Fifo):
    """B2."""

    refusal = Refusal.SHED

    def __init__(self, timeout_ns: int, expected_ns: int) -> None:
        super().__init__(timeout_ns, expected_ns)
        self._costs_ns: deque[int] = deque([expected_ns], maxlen=50)
        self._mean_ns = float(expected_ns)

    def admits(self, inflight: int) -> bool:
        return (inflight + 1) * self._mean_ns <= self.timeout_ns

    def starts(self, waited_ns: int) -> bool:
        return waited_ns + self._mean_ns <= self.timeout_ns

    def learn(self, call: Call) -> None:
        self._costs_ns.append(call.end_ns - call.start_ns)
        self._mean_ns = sum(self._costs_ns) / len(self._costs_ns)


class Gradient2(Fifo):
    """B3. Published algorithm; constants of its release 0.5."""

    refusal = Refusal.SHED
    _QUEUE, _SMOOTHING, _TOLERANCE, _LONG_WINDOW, _WARM_UP = 4.0, 0.2, 1.5, 600, 10
    _LEAST, _MOST = 1.0, 200.0
    _WINDOW_NS, _WINDOW_CALLS = 1_000_000_000, 10

    def __init__(self, timeout_ns: int, expected_ns: int) -> None:
        super().__init__(timeout_ns, expected_ns)
        self._limit = self._QUEUE
        self._long_ns, self._windows = 0.0, 0
        self._sum_ns, self._calls, self._peak, self._until_ns = 0, 0, 0, 0

    def admits(self, inflight: int) -> bool:
        return inflight < int(self._limit)

    def starts(self, waited_ns: int) -> bool:
        return True

    def learn(self, call: Call) -> None:
        self._sum_ns += call.end_ns - call.arrived_ns
        self._calls += 1
        self._peak = max(self._peak, call.inflight)
        if call.end_ns >= self._until_ns and self._calls >= self._WINDOW_CALLS:
            self._update(self._sum_ns / self._calls, self._peak)
            self._sum_ns = self._calls = self._peak = 0
            self._until_ns = call.end_ns + self._WINDOW_NS

    def _update(self, short_ns: float, inflight: int) -> None:
        self._windows += 1
        if self._windows <= self._WARM_UP:
            self._long_ns += (short_ns - self._long_ns) / self._windows
        else:
            self._long_ns += (short_ns - self._long_ns) * 2 / (self._LONG_WINDOW + 1)
        if self._long_ns > 2 * short_ns:
            self._long_ns *= 0.95
        if inflight < self._limit / 2:
            return
        gradient = max(0.5, min(1.0, self._TOLERANCE * self._long_ns / short_ns))
        wanted = (1 - self._SMOOTHING) * self._limit + self._SMOOTHING * (self._limit * gradient + self._QUEUE)
        self._limit = max(self._LEAST, min(self._MOST, wanted))


class Desk:
    """A policy's queue and thread. All but the thread's own work is for the event loop's thread only."""

    def __init__(self, app: App, policy: Fifo) -> None:
        self._policy, self._now_ns, self._books = policy, app.clock.now_ns, app.runner
        self._loop = asyncio.get_running_loop()
        self._queue: list[Call] = []
        self._change = threading.Condition()
        self._inflight = self._came = 0
        threading.Thread(target=self._work, name="baseline", daemon=True).start()

    async def ask(self, rung: ModelRung, question: Question, criticality: int, arrived_ns: int) -> Call:
        """Raises: NotAdmitted: at the door, or after a wait in vain."""
        policy = self._policy
        if not policy.admits(self._inflight):
            raise NotAdmitted(policy.refusal)
        self._inflight += 1
        self._came += 1
        place = policy.rank(criticality), self._came
        call = Call(place, rung, question, arrived_ns, self._inflight, self._loop.create_future())
        with self._change:
            heappush(self._queue, call)
            self._change.notify()
        await call.waiter
        if call.is_refused or isinstance(call.value, Exception):
            raise NotAdmitted(policy.refusal)
        return call

    def _work(self) -> None:
        yield_cores()
        while True:
            with self._change:
                while not self._queue:
                    self._change.wait()
                call = heappop(self._queue)
            call.start_ns = self._now_ns()
            if self._policy.starts(call.start_ns - call.arrived_ns):
                work = call.rung.work
                assert work is not None
                call.value = work.call([call.question])[0]
            else:
                call.is_refused = True
            call.end_ns = self._now_ns()
            self._loop.call_soon_threadsafe(self._ended, call)

    def _ended(self, call: Call) -> None:
        """Executor time is wasted where the client has left, or the timeout has passed that he keeps to."""
        self._inflight -= 1
        if not call.is_refused:
            self._policy.learn(call)
            took_ns = call.end_ns - call.start_ns
            if call.waiter.cancelled() or call.end_ns - call.arrived_ns > self._policy.timeout_ns:
                self._books.wasted_ns += took_ns
            else:
                self._books.used_ns += took_ns
        if not call.waiter.done():
            call.waiter.set_result(None)


class Baseline:
    """Stands where `router.descent.Descent` does."""

    def __init__(self, app: App, policy: Fifo) -> None:
        self.runner = app.runner
        self._desk = Desk(app, policy)

    def hop_ns(self, now_ns: int) -> int:
        return 0

    async def descend(self, quest: Any, verdict: object, held: Decision, on_best: object) -> Decision:
        rung, ledger = quest.plan.rungs[0], quest.budget.ledger
        call = await self._desk.ask(rung, Question(quest.key.text, quest.key.values), quest.rank, ledger.start_ns)
        ledger.mark(Stage.QUEUE, call.start_ns)
        ledger.mark(Stage.INFER, call.end_ns)
        decision: Decision = quest.point.read(call.value, rung.threshold, rung.name, Reason.MODEL)
        return decision


class Open(Admission):
    """Lets everybody in: an expired budget is nothing that the others know of."""

    __slots__ = ()

    def admit(self, budget: Budget, now_ns: int, least_ns: int) -> Refusal | None:
        self.inflight += 1
        return None


POLICIES: dict[str, Callable[[int, int], Fifo]] = {
    "takt-b0": Fifo,
    "takt-b1": Priorities,
    "takt-b2": Mean,
    "takt-b3": Gradient2,
}


def install(app: App, kind: str) -> None:
    """Put a policy in the place of Takt's. The overload control must be off."""
    timeout_ns, expected_ns = (int(float(os.environ[name]) * NS_PER_MS) for name in (TIMEOUT_MS, EXPECTED_MS))
    app.pipeline.admission = Open(app.config.settings.admission)
    app.pipeline._descent = Baseline(app, POLICIES[kind](timeout_ns, expected_ns))  # type: ignore[assignment]
    app.prober.start = lambda: None  # type: ignore[method-assign] # there is no predictor to keep fresh
