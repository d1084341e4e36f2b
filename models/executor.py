"""One thread that runs batches of model calls one after the other, off the event loop.

The thread takes its next batch from the line by itself, so that nothing lies between two batches: a hop to the event
loop would cost as much as a small batch. A lock guards the line, held for microseconds. The event loop learns of each
end by `call_soon_threadsafe`, which takes fewer steps than `run_in_executor` with its two futures.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from budgets.line import Line

if TYPE_CHECKING:
    import asyncio

    from budgets.clock import Clock
    from budgets.job import Job
    from budgets.line import Turn

_NICENESS = 5


def yield_cores() -> None:
    """Let the calling thread give way to the event loop when both want the same core."""
    if sys.platform == "linux":
        with suppress(PermissionError):  # the process is nicer than that already
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


class ThreadExecutor:
    """A bounded line and one daemon thread. All but the thread's own work is for the event loop's thread only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, max_jobs: int, block_ns: int) -> None:
        self._loop = loop
        self._clock = clock
        self._line = Line(max_jobs, block_ns)
        self._lock = threading.Lock()
        self._change = threading.Condition(self._lock)
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="takt-executor", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._line)

    def ahead(self, rank: int) -> int:
        with self._lock:
            return self._line.ahead(rank)

    def submit(self, job: Job[Any, Any]) -> bool:
        with self._lock:
            evicted = self._line.give_way(job.rank)
            has_joined = self._line.join(job, self._clock.now_ns())
            self._change.notify()
        if evicted is not None:
            self._loop.call_soon(evicted.ended, evicted)
        return has_joined

    def move(self, job: Job[Any, Any], rank: int, latest_start_ns: int) -> None:
        with self._lock:
            self._line.move(job, rank, latest_start_ns)
            self._change.notify()  # a wait for one more must not outlast who joined a run in haste

    def wait_ns(self, rank: int, latest_start_ns: int, now_ns: int) -> int:
        with self._lock:
            return self._line.wait_ns(rank, latest_start_ns, now_ns)

    def overdue_ns(self, now_ns: int) -> int:
        with self._lock:
            return self._line.overdue_ns(now_ns)

    @property
    def is_alive(self) -> bool:
        """False once closed, or after a bug in the line: it would answer nothing ever again."""
        return self._thread.is_alive()

    def close(self, timeout_s: float = 5.0) -> None:
        """Finish what is in line and end the thread."""
        with self._lock:
            self._is_closing = True
            self._change.notify()
        self._thread.join(timeout_s)

    def _work(self) -> None:
        yield_cores()
        while (turn := self._next()) is not None:
            if turn.dead and not self._tell(turn.dead):
                return
            if turn.batch is not None:
                turn.batch.run(self._clock.now_ns)
                if not self._tell(turn.batch.jobs):
                    return

    def _tell(self, jobs: list[Job[Any, Any]]) -> bool:
        """Let the event loop hear of ends. False: it is closed, and nobody waits any more."""
        try:
            self._loop.call_soon_threadsafe(self._ended, jobs)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            return False
        return True

    def _next(self) -> Turn | None:
        """The next turn that is one; None: closed, and nothing is left."""
        now_ns = self._clock.now_ns
        with self._lock:
            while True:
                turn = self._line.take(now_ns())
                if turn.batch is not None or turn.dead:
                    return turn
                if turn.wait_until_ns is not None:
                    self._change.wait((turn.wait_until_ns - now_ns()) / 1e9)
                elif self._is_closing:
                    return None
                else:
                    self._change.wait()

    def _ended(self, jobs: list[Job[Any, Any]]) -> None:
        with self._lock:
            for job in jobs:
                self._line.leave(job)
        for job in jobs:
            job.ended(job)
