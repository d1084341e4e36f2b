"""An event loop whose time is virtual, and an executor that runs beside it in the same time.

Nothing here waits: when no callback is ready, time jumps to whatever is due next. What happens in other threads is
played by *outside events*: they happen at their exact time, even while a callback keeps the loop busy. So the
production code runs on it unchanged, with its races, and a seed replays them.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from budgets.clock import ManualClock
from budgets.line import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from contextvars import Context
    from random import Random

    from _typeshed import FileDescriptorLike

    from budgets.job import Batch, Job

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
MS = 1_000_000
S = 1_000 * MS
# uvloop's timers, which have a grain of 1 ms (measured): they may fire so early and so late.
EARLIEST_S, LATEST_S = -0.8e-3, 1e-3


class Deadlock(Exception):
    """Nothing is ready, no timer runs and nothing can happen outside: the loop would wait for ever."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a `ManualClock`.

    Args:
        jitter: timers fire up to 0.8 ms early and 1 ms late, as uvloop's do; None: on time.
        callback_ns: what each callback costs; None: nothing.
    """

    def __init__(self, jitter: Random | None = None, callback_ns: Callable[[], int] | None = None) -> None:
        self.clock = ManualClock()
        self._jitter = jitter
        self._callback_ns = callback_ns
        self._outside: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        super().__init__(_Jump(self))
        self._clock_resolution = 1e-9  # a timer that is due in less than a nanosecond is due

    def time(self) -> float:
        return self.clock.now_ns() / S

    def spend(self, ns: int) -> None:
        """Keep the loop busy for `ns`, as a callback that computes or blocks does; the outside goes on."""
        until_ns = self.clock.now_ns() + ns
        while self._outside and self._outside[0][0] <= until_ns:
            at_ns, _, event = heapq.heappop(self._outside)
            self.clock.advance(max(0, at_ns - self.clock.now_ns()))
            event()
        self.clock.advance(until_ns - self.clock.now_ns())

    def outside(self, at_ns: int, event: Callable[[], None]) -> None:
        """Let something happen in another thread at `at_ns`, exactly; equal times in the order of these calls."""
        heapq.heappush(self._outside, (at_ns, next(self._numbers), event))

    def jump(self, timeout_s: float | None) -> None:
        """Nothing is ready: go to the next outside event, or at most `timeout_s` on. Raises: Deadlock."""
        timer_ns = None if timeout_s is None else max(1, round(timeout_s * S))
        event_ns = max(0, self._outside[0][0] - self.clock.now_ns()) if self._outside else None
        left = [ns for ns in (timer_ns, event_ns) if ns is not None]
        if not left:
            raise Deadlock(f"at {self.time():.6f} s nothing is ready and nothing will be")
        self.spend(min(left))

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if self._jitter is not None:
            when = max(self.time(), when + self._jitter.uniform(EARLIEST_S, LATEST_S))
        return super().call_at(when, self._timed(callback), *args, context=context)

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return super().call_soon(self._timed(callback), *args, context=context)

    def _timed(self, callback: Callable[[*Ts], object]) -> Callable[[*Ts], object]:
        cost_ns = self._callback_ns
        if cost_ns is None:
            return callback

        def timed(*args: *Ts) -> None:
            try:
                self.spend(cost_ns())
            finally:  # whatever an outside event objects to: a task that is not woken would wait for ever
                callback(*args)

        return timed


class _Jump(selectors.BaseSelector):
    """Instead of waiting for files, lets the loop's time jump. No file is ever ready."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._keys: dict[FileDescriptorLike, selectors.SelectorKey] = {}

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, fd, events, data)
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self._loop.jump(timeout)
        return []

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._keys


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]], loop: VirtualLoop | None = None) -> T:
    """Run `main(loop)` to its end in virtual time. Raises: Deadlock."""
    loop = loop or VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(loop))


class VirtualExecutor:
    """`models.executor.ThreadExecutor` in virtual time: one batch at a time, while the loop does something else.

    Args:
        duration_ns: how long a batch runs, asked when it starts. Its call runs when it ends.
        wake_ns: from a submission until an idle thread has noticed it.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        max_jobs: int,
        block_ns: int,
        duration_ns: Callable[[Batch], int],
        wake_ns: int = 20_000,
    ) -> None:
        self._loop = loop
        self._line = Line(max_jobs, block_ns)
        self._is_running = False
        self._sleep = 0  # the number of the present sleep: who is to be woken from an earlier one is awake
        self._duration_ns = duration_ns
        self._wake_ns = wake_ns

    def __len__(self) -> int:
        return len(self._line)

    def ahead(self, rank: int) -> int:
        return self._line.ahead(rank)

    def submit(self, job: Job[Any, Any]) -> bool:
        evicted = self._line.give_way(job.rank)
        has_joined = self._line.join(job, self._loop.clock.now_ns())
        if evicted is not None:
            self._loop.call_soon(evicted.ended, evicted)
        if not self._is_running:
            self._wake_at(self._loop.clock.now_ns() + self._wake_ns)
        return has_joined

    def move(self, job: Job[Any, Any], rank: int, latest_start_ns: int) -> None:
        self._line.move(job, rank, latest_start_ns)
        if not self._is_running:
            self._wake_at(self._loop.clock.now_ns() + self._wake_ns)

    def wait_ns(self, rank: int, latest_start_ns: int, now_ns: int) -> int:
        return self._line.wait_ns(rank, latest_start_ns, now_ns)

    def overdue_ns(self, now_ns: int) -> int:
        return self._line.overdue_ns(now_ns)

    def _wake_at(self, at_ns: int) -> None:
        sleep = self._sleep
        self._loop.outside(at_ns, lambda: self._next() if self._sleep == sleep and not self._is_running else None)

    def _next(self) -> None:
        now_ns = self._loop.clock.now_ns()
        self._sleep += 1
        turn = self._line.take(now_ns)
        if turn.dead:
            self._loop.call_soon(self._ended, turn.dead)
        if turn.batch is not None:
            batch = turn.batch
            self._is_running = True
            self._loop.outside(now_ns + self._duration_ns(batch), lambda: self._finish(batch))
        elif turn.wait_until_ns is not None:
            self._wake_at(turn.wait_until_ns)

    def _finish(self, batch: Batch) -> None:
        batch.run(self._loop.clock.now_ns)
        self._is_running = False
        self._loop.call_soon(self._ended, batch.jobs)
        self._next()

    def _ended(self, jobs: list[Job[Any, Any]]) -> None:
        for job in jobs:
            self._line.leave(job)
        for job in jobs:
            job.ended(job)
