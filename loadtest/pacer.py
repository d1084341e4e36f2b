"""Hands over every request at its time: sleeps until shortly before it, then spins.

Event loops round timers to a millisecond, so a sleep alone would send in bunches. While it spins, each turn of the loop
still reads answers.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from loadtest.quantity import MS, S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadtest.record import Recorder

# uvloop's timers fire up to 1 ms late, epoll's are rounded up to the next one.
SPIN_NS = 2 * MS
# So many requests are sent before answers are read again, when the generator is behind.
_BURST = 32


class Pacer:
    """One per worker.

    Args:
        rows: what to send, in the order of their times.
        due_ns: when, for every row of the run, from its start.
        send: an engine's `send`.
        spin_ns: how long before a request spinning begins; 0: the loop's timers are exact, as virtual time's are.
        cpu_ns: CPU time of this thread; read only while there is nothing to do.
    """

    def __init__(
        self,
        rows: Sequence[int],
        due_ns: Sequence[int],
        send: Callable[[int], None],
        recorder: Recorder,
        spin_ns: int = SPIN_NS,
        cpu_ns: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        self._rows, self._due_ns, self._send, self._recorder = rows, due_ns, send, recorder
        self._window_ns = spin_ns
        self._next = 0
        self._cpu_ns = cpu_ns
        self._spun_ns: int | None = None  # the CPU time at which the last turn began to spin
        self._events_total = 0
        self.spin_ns = 0  # CPU time of turns of the loop in which nothing happened

    async def run(self, stop: asyncio.Event) -> None:
        """Return once everything is handed over, or `stop` is set. Raises: what `send` does."""
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        stopping = self._loop.create_task(stop.wait())
        self._turn()
        await asyncio.wait((self._done, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._done.done():
            self._done.result()
        self._done.cancel()

    def _turn(self) -> None:
        if self._done.done():
            return
        recorder = self._recorder
        began_ns = None
        if self._spun_ns is not None:
            began_ns = self._cpu_ns()
            if recorder.events_total == self._events_total:
                self.spin_ns += began_ns - self._spun_ns
        before = self._next
        try:
            gap_ns = self._send_due(recorder.now_ns())
        except Exception as error:  # noqa: BLE001 - a loop would only log it, and nobody would send any more
            self._done.set_exception(error)
            return
        self._spun_ns = None
        if gap_ns is None:
            self._done.set_result(None)
        elif gap_ns > self._window_ns:
            self._loop.call_later((gap_ns - self._window_ns) / S, self._turn)
        else:
            self._spun_ns = self._cpu_ns() if began_ns is None or self._next != before else began_ns
            self._events_total = recorder.events_total
            self._loop.call_soon(self._turn)

    def _send_due(self, now_ns: int) -> int | None:
        """Send what is due, in bounded bursts. Returns: how long until the next one; None: that was all."""
        rows, due_ns, at = self._rows, self._due_ns, self._next
        last = min(at + _BURST, len(rows))
        while at < last and due_ns[rows[at]] <= now_ns:
            self._send(rows[at])
            at += 1
        self._next = at
        return due_ns[rows[at]] - now_ns if at < len(rows) else None
