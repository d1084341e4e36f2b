"""The engine without a network: asks an object in the same process, so that a framework's cost shows as a difference.

It runs on whatever loop and clock it is given, virtual time too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

from loadtest.sample import GAVE_UP

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from loadtest.answer import Answer
    from loadtest.record import Recorder
    from loadtest.request import Requests

_LOGGER = logging.getLogger("takt.loadtest")
_SWEEP_S = 0.05
_SERVER_ERROR = 500


class TargetRefused(Exception):
    """No answer, in good order. `status` is the one that HTTP would have had, `code` that of the problem."""

    def __init__(self, status: int, detail: str = "", code: str = "") -> None:
        super().__init__(detail or f"refused with {status}")
        self.status, self.code = status, code


class Target(Protocol):
    """What answers in this process. One event loop owns it."""

    async def open(self) -> None:
        """Be ready. Raises: Unreachable: it cannot be, with what to do."""
        ...

    async def ask(self, body: bytes, budget_ns: int) -> Answer:
        """One decision. Args: body: the JSON object of a request. Raises: TargetRefused."""
        ...

    async def set_faults(self, faults: Mapping[str, Any]) -> None:
        """Break what `faults` says, from now on, and mend the rest; {}: nothing. Raises: ScenarioError."""
        ...

    async def close(self) -> None:
        """End. Whoever is still being answered has been cancelled."""
        ...


class InprocEngine:
    """See engine/base.py. Each request is a task; as many run at once as have come and have not ended.

    Args:
        timeout_ns: from the intended time; then the task is cancelled.
    """

    def __init__(self, target: Target, requests: Requests, recorder: Recorder, timeout_ns: int) -> None:
        self._target, self._requests, self._recorder = target, requests, recorder
        self._timeout_ns = timeout_ns
        self._tasks: deque[tuple[int, asyncio.Task[None]]] = deque()  # in the order in which they time out
        self._is_told = False
        self._sweeper: asyncio.TimerHandle | None = None
        self.pending = 0
        self.waited_total = self.connected_total = 0  # there is nothing to wait for

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._target.open()
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)

    def send(self, row: int) -> None:
        self._recorder.paced(row)
        self.pending += 1
        self._recorder.sent(row)
        task = self._loop.create_task(self._ask(row))
        task.add_done_callback(self._ended)  # also of a task that is cancelled before its first step
        self._tasks.append((row, task))

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        left = [task for _, task in self._tasks]
        self._tasks.clear()
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._target.close()

    async def _ask(self, row: int) -> None:
        recorder, requests = self._recorder, self._requests
        answer, status, code = None, 200, ""
        try:
            answer = await self._target.ask(requests.body(row), requests.budget_ns(row))
        except TargetRefused as refused:
            status, code = refused.status, refused.code
        except Exception:
            status, code = _SERVER_ERROR, "internal"  # as a server would say, and goes on
            if not self._is_told:
                self._is_told = True
                _LOGGER.exception("the target failed; only its first error is told")
        now_ns = recorder.now_ns()
        recorder.decided(row, now_ns, now_ns, status, answer, code)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self.pending -= 1

    def _sweep(self) -> None:
        """Hang up on answers that nobody would wait for any longer, and forget those that came."""
        intended_ns, overdue_ns = self._requests.intended_ns, self._recorder.now_ns() - self._timeout_ns
        tasks = self._tasks
        while tasks and (tasks[0][1].done() or intended_ns[tasks[0][0]] < overdue_ns):
            row, task = tasks.popleft()
            if not task.done():
                task.cancel()
                self._recorder.failed(row, GAVE_UP)
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
