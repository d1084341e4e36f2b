"""Writer: one thread that makes decisions and commands durable, by group commit over a `Store`.

    asleep ──append, commit, close or tidy time──► gather (≤ commit interval; skipped when someone waits)
      ▲                                               │
      └────── nothing left ◄── write groups ◄─────────┘ ──error──► failing: keep the batch, back off, again

Encoding and writing happen in that thread, reading in another, so the event loop does neither. A group holds what
waits of both lanes, up to a number of each: a crowd of decisions delays a command by one group at most, and a full
lane refuses nothing of the other.

A crash loses the decisions appended since the last group began: the commit interval and two flushes of the disk at
most, so under 50 ms where a flush takes less than 15 ms. A disk that stalls longer adds its stall;
`last_commit_ns` shows it. A command is answered after `commit`, so none that was answered is lost.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal, ParamSpec, Protocol, TypeVar

from budgets.clock import Clock
from router.log.errors import LogError, LogFenced, LogUnavailable
from router.log.journal import Step
from router.log.lane import Lane
from router.log.record import DecisionRecord
from router.log.settings import LogSettings

_LOGGER = logging.getLogger("takt.log")
_GROUP_RECORDS = 1024
"""Most records of one transaction: bounds how long a commit() behind it waits (about 10 ms)."""
_GROUP_STEPS = 256
"""Most commands of one transaction; with their events, rows for about as long."""
_TIDY_EVERY_NS = 5_000_000_000
_BACK_OFF_S = (0.01, 1.0)
"""First and longest pause between attempts to write; it doubles in between."""
_CLOSE_WITHIN_S = 5.0

P = ParamSpec("P")
R = TypeVar("R")


class Store(Protocol):
    """Where all is kept. Called from the writer thread only.

    What can be tried again raises LogUnavailable, with what failed and what helps.
    """

    def open(self) -> None:
        """Raises: LogRefused: a person has to act first."""

    def write(self, records: list[DecisionRecord], steps: list[Step]) -> int:
        """Make all of them durable, or none and raise; returns how many records had to be left out as not encodable.

        What is there already is ignored, so a failed write can be repeated.

        Raises: LogFenced: the commands belong to another process now.
        """

    def tidy(self) -> bool:
        """Delete a small batch of what is past its retention; True when there may be more.

        Raises: LogFenced: as `write`, so that who has nothing to write learns of it, too.
        """

    def close(self) -> None:
        """Let go of the store."""


@dataclass(slots=True)
class StoreFault:
    """Faults an admin injects: each use of the store is delayed, or fails."""

    delay_ns: int = 0
    down: bool = False


class Writer:
    """Safety: one event loop; `fault` may be set at any time."""

    def __init__(self, store: Store, settings: LogSettings, clock: Clock) -> None:
        self.fault = StoreFault()
        self.records: Lane[DecisionRecord] = Lane(settings.queue)
        self.steps: Lane[Step] = Lane(settings.command_queue)
        self.loop: asyncio.AbstractEventLoop
        self.wake = threading.Event()
        self.is_asleep = False
        # Written by the writer thread only.
        self.state: Literal["ok", "failing"] = "ok"
        self.last_error = ""
        self.last_commit_ns = 0
        self._store = store
        self._clock = clock
        self._interval_ns = settings.commit_interval_ms * 1_000_000
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._reader = concurrent.futures.ThreadPoolExecutor(1, "takt-log-read")
        self._told_dropped_total = 0
        self._group_started_ns = 0
        self._tidy_due_ns = 0

    # The event loop's side.

    async def start(self) -> None:
        """Open the store in the writer thread and wait for it."""
        self.loop = asyncio.get_running_loop()
        opened: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="takt-log", daemon=True)
        self._thread.start()
        await asyncio.wrap_future(opened)

    async def close(self) -> None:
        """Write what waits; a store that fails or hangs now costs the rest, at most 5 s."""
        self.records.backlog.bound = self.steps.backlog.bound = 0
        self._closed.set()
        self.wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _CLOSE_WITHIN_S)
            if self._thread.is_alive():
                _LOGGER.error("log_close_timeout", extra={"waited_s": _CLOSE_WITHIN_S})
        self._reader.shutdown(wait=False)
        for lane in (self.records, self.steps):
            lane.stop(LogUnavailable("the log is closed"))

    def commit(self, lane: Lane[R]) -> asyncio.Future[None]:
        """Resolve when all that was appended to a lane is durable; the writer doesn't gather while someone waits."""
        if self._closed.is_set():
            future = self.loop.create_future()
            future.set_exception(LogUnavailable("the log is closed"))
            return future
        future = lane.commit(self.loop)
        if not future.done():
            self.wake.set()
        return future

    async def read(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call in the reader thread. Raises: LogUnavailable: closed; and what the call raises."""
        if self._closed.is_set():
            message = "the log is closed"
            raise LogUnavailable(message)
        return await self.loop.run_in_executor(self._reader, partial(call, *args, **kwargs))

    # Any thread's side.

    def suffer_fault(self) -> None:
        """Wait, or raise LogUnavailable, as an admin asked."""
        if self.fault.delay_ns:
            self._closed.wait(self.fault.delay_ns / 1e9)
        if self.fault.down:
            message = "store fault: down, as an admin asked"
            raise LogUnavailable(message)

    # The writer thread's side.

    def _run(self, opened: concurrent.futures.Future[None]) -> None:
        try:
            self._store.open()
        except Exception as error:  # noqa: BLE001 - start() raises it
            opened.set_exception(error)
            return
        opened.set_result(None)
        pause_s = _BACK_OFF_S[0]
        while self._has_work() or not self._closed.is_set():
            self._gather()
            try:
                self._write_groups()
                self._tidy_when_due()
            except Exception as error:  # noqa: BLE001 - the thread has to outlive what nobody foresaw
                self._tell_failure(error)
                if self._closed.is_set():
                    break
                self._closed.wait(pause_s)
                pause_s = min(pause_s * 2, _BACK_OFF_S[1])
            else:
                pause_s = _BACK_OFF_S[0]
        self._give_up()

    def _has_work(self) -> bool:
        return bool(len(self.records) or len(self.steps))

    def _is_crowded(self) -> bool:
        return len(self.records) >= _GROUP_RECORDS or len(self.steps) >= _GROUP_STEPS

    def _gather(self) -> None:
        """Sleep while there is nothing to do; then let a group come together."""
        self.is_asleep = True  # before the look: an append after the look sees it and wakes us
        if not self._has_work() and not self._closed.is_set():
            self.wake.wait(max(0, self._tidy_due_ns - self._clock.now_ns()) / 1e9)
            self._group_started_ns = self._clock.now_ns()
        self.is_asleep = False
        self.wake.clear()
        left_ns = self._group_started_ns + self._interval_ns - self._clock.now_ns()
        # A commit() after this look sets `wake`, one before it is seen here.
        is_urgent = self.records.waiters or self.steps.waiters or self._closed.is_set() or self._is_crowded()
        if self._has_work() and not is_urgent and left_ns > 0:
            self.wake.wait(left_ns / 1e9)

    def _write_groups(self) -> None:
        """Write all that waits; it leaves its lane only when it is durable."""
        self._group_started_ns = self._clock.now_ns()
        self._release_waiters()  # of a commit() that came in while its items were settled
        while self._has_work():
            is_crowded = self._is_crowded()
            started_ns = self._clock.now_ns()
            self.suffer_fault()
            try:
                self._write_group()
            except LogFenced as error:
                self._stop_steps(error)
                continue
            self.last_commit_ns = self._clock.now_ns() - started_ns
            self._tell_recovery()
            self._release_waiters()
            if not is_crowded:
                break

    def _write_group(self) -> None:
        records = self.records.backlog.batch(_GROUP_RECORDS)
        steps = [] if self.steps.error else self.steps.backlog.batch(_GROUP_STEPS)
        left_out = self._store.write(records, steps)
        self.records.settle(len(records), left_out)
        self.steps.settle(len(steps))

    def _stop_steps(self, error: LogFenced) -> None:
        """Leave the commands to the process that has them now; decisions are written on."""
        self.steps.error = error
        _LOGGER.error("log_fenced", extra={"why": str(error), "effect": "commands are refused; end this process"})
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.steps.stop, error)

    def _release_waiters(self) -> None:
        ready = self.records.take_ready()
        if self.steps.error is None:  # else it is the loop's, which tells those who are left
            ready += self.steps.take_ready()
        if ready:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.loop.call_soon_threadsafe(_resolve, ready)

    def _tidy_when_due(self) -> None:
        """Delete one small batch between two groups, and none while items pile up."""
        if self._clock.now_ns() < self._tidy_due_ns or self._is_crowded():
            return
        has_more = False
        try:
            has_more = self._store.tidy()
        except LogFenced as error:
            if self.steps.error is None:
                self._stop_steps(error)
        except LogUnavailable as error:  # nothing is lost by it, so the state stays
            if self.last_error != str(error):
                self.last_error = str(error)
                _LOGGER.warning("log_tidy_failed", extra={"why": str(error)})
        self._tidy_due_ns = self._clock.now_ns() + (self._interval_ns if has_more else _TIDY_EVERY_NS)
        if self.records.dropped_total > self._told_dropped_total:
            news = self.records.dropped_total - self._told_dropped_total
            _LOGGER.warning("log_dropped", extra={"records": news, "why": "the queue was full, or not encodable"})
            self._told_dropped_total = self.records.dropped_total

    def _tell_failure(self, error: Exception) -> None:
        """Say it once a change, not once an attempt."""
        is_news = self.state == "ok"
        self.state = "failing"
        self.last_error = str(error) if isinstance(error, LogError) else f"unforeseen: {error!r}"
        if is_news:
            effect = (
                "decisions wait in memory, then are dropped and counted; commands wait, unanswered, then are refused; "
                "logging resumes by itself"
            )
            _LOGGER.warning("log_failing", extra={"why": self.last_error, "effect": effect})

    def _tell_recovery(self) -> None:
        if self.state == "failing":
            self.state = "ok"
            _LOGGER.warning("log_recovered")

    def _give_up(self) -> None:
        self._release_waiters()
        records = self.records.give_up()
        steps = 0 if isinstance(self.steps.error, LogFenced) else self.steps.give_up()
        if records or steps:
            lost = {"records": records, "commands": steps, "why": self.last_error}
            _LOGGER.error("log_lost_at_close", extra=lost)
        self._store.close()


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
