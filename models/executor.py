"""One thread that runs model calls one after the other, off the event loop.

The thread only runs jobs; the line of jobs belongs to the event loop, which learns of each end by
`call_soon_threadsafe`, which takes fewer steps than `run_in_executor` with its two futures.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from budgets.line import Job, Line

if TYPE_CHECKING:
    import asyncio

    from budgets.clock import Clock

_NICENESS = 5


def yield_cores() -> None:
    """Let the calling thread give way to the event loop when both want the same core."""
    if sys.platform == "linux":
        with suppress(PermissionError):  # the process is nicer than that already
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


class ThreadExecutor:
    """A bounded line and one daemon thread. `submit` and `wait_ns` are for the event loop's thread only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, max_jobs: int) -> None:
        self._loop = loop
        self._clock = clock
        self._line = Line(max_jobs)
        self._inbox: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="takt-executor", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._line)

    def submit(self, job: Job[Any]) -> bool:
        if not self._line.join(job):
            return False
        self._inbox.put(job)
        return True

    def wait_ns(self, now_ns: int) -> int:
        return self._line.wait_ns(now_ns)

    def overdue_ns(self, now_ns: int) -> int:
        return self._line.overdue_ns(now_ns)

    def close(self, timeout_s: float = 5.0) -> None:
        """Finish what is in line and end the thread."""
        self._inbox.put(None)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        yield_cores()
        now_ns = self._clock.now_ns
        while (job := self._inbox.get()) is not None:
            if job.is_startable(now_ns()):
                job.run(now_ns)
            try:
                self._loop.call_soon_threadsafe(self._ended, job)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _ended(self, job: Job[Any]) -> None:
        self._line.leave(job)
        job.ended(job)
