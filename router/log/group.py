"""GroupLog: the port over any `Store`, by one writer thread with group commit.

    asleep ──append, commit, close or tidy time──► gather (≤ commit interval; skipped when someone waits)
      ▲                                               │
      └────── nothing left ◄── write groups ◄─────────┘ ──error──► failing: keep the batch, back off, again

Encoding and writing happen in that thread, reading in another, so the event loop does neither.

A crash loses what was appended since the last group began: the commit interval and two flushes of the disk at
most, so under 50 ms where a flush takes less than 15 ms. A disk that stalls longer adds its stall;
`stats().last_commit_ns` shows it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol

from budgets.clock import Clock
from router.log.backlog import Backlog
from router.log.base import LogStats
from router.log.errors import LogError, LogUnavailable
from router.log.record import DecisionRecord
from router.log.settings import LogSettings

_LOGGER = logging.getLogger("takt.log")
_GROUP_RECORDS = 1024
"""Most records of one transaction: bounds how long a commit() behind it waits (about 10 ms)."""
_TIDY_EVERY_NS = 5_000_000_000
_BACK_OFF_S = (0.01, 1.0)
"""First and longest pause between attempts to write; it doubles in between."""
_CLOSE_WITHIN_S = 5.0


class Store(Protocol):
    """Where records are kept. `find` is called from a reader thread, the rest from one writer thread.

    What can be tried again raises LogUnavailable, with what failed and what helps.
    """

    def open(self) -> None:
        """Raises: LogRefused: a person has to act first."""

    def write(self, records: list[DecisionRecord]) -> int:
        """Make all of them durable, or none and raise; returns how many had to be left out as not encodable.

        Records that are there already are ignored, so a failed write can be repeated.
        """

    def tidy(self) -> bool:
        """Delete a small batch of what is past its retention; True when there may be more."""

    def find(self, decision_id: str) -> DecisionRecord | None:
        """The record of an id."""

    def close(self) -> None:
        """Let go of the store."""


@dataclass(slots=True)
class StoreFault:
    """Faults an admin injects: each use of the store is delayed, or fails."""

    delay_ns: int = 0
    down: bool = False


class GroupLog:
    """Implements `Log`. Safety: one event loop; `fault` may be set at any time."""

    def __init__(self, store: Store, settings: LogSettings, clock: Clock) -> None:
        self.fault = StoreFault()
        self._store = store
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop
        self._interval_ns = settings.commit_interval_ms * 1_000_000
        self._backlog = Backlog(settings.queue)
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()  # (accepted_total to reach, …)
        self._wake = threading.Event()
        self._asleep = False
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._reader = concurrent.futures.ThreadPoolExecutor(1, "takt-log-read")
        # Written by the writer thread only.
        self._state: Literal["ok", "failing"] = "ok"
        self._last_error = ""
        self._written_total = 0
        self._lost_total = 0
        self._told_dropped_total = 0
        self._last_commit_ns = 0
        self._group_started_ns = 0
        self._tidy_due_ns = 0

    # The event loop's side.

    async def start(self) -> None:
        """Open the store in the writer thread and wait for it."""
        self._loop = asyncio.get_running_loop()
        opened: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="takt-log", daemon=True)
        self._thread.start()
        await asyncio.wrap_future(opened)

    async def close(self) -> None:
        """Write what waits; a store that fails or hangs now costs the rest, at most 5 s."""
        self._backlog.bound = 0
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _CLOSE_WITHIN_S)
            if self._thread.is_alive():
                _LOGGER.error("log_close_timeout", extra={"waited_s": _CLOSE_WITHIN_S})
        self._reader.shutdown(wait=False)
        while self._waiters:
            _, future = self._waiters.popleft()
            if not future.done():
                future.set_exception(LogUnavailable("the log was closed before this was durable"))

    def append(self, record: DecisionRecord) -> bool:
        """Take a record. Cost: under 1 µs; some µs for the one that wakes the writer."""
        if not self._backlog.offer(record):
            return False
        if self._asleep:
            self._wake.set()
        return True

    def commit(self) -> Awaitable[None]:
        """Resolve when all appended so far is durable; the writer doesn't gather while someone waits."""
        future = self._loop.create_future()
        if self._closed.is_set():
            future.set_exception(LogUnavailable("the log is closed"))
        elif self._backlog.settled_total == self._backlog.accepted_total:
            future.set_result(None)
        else:
            self._waiters.append((self._backlog.accepted_total, future))
            self._wake.set()
        return future

    async def get(self, decision_id: str) -> DecisionRecord | None:
        """Look among the queued, then in the store: a record moves that way only, so none is missed."""
        if self._closed.is_set():
            message = "the log is closed"
            raise LogUnavailable(message)
        return await self._loop.run_in_executor(self._reader, self._find, decision_id)

    def stats(self) -> LogStats:
        """A snapshot."""
        return LogStats(
            queued=len(self._backlog),
            written_total=self._written_total,
            dropped_total=self._backlog.refused_total + self._lost_total,
            state=self._state,
            last_error=self._last_error,
            last_commit_ns=self._last_commit_ns,
        )

    # The reader thread's side.

    def _find(self, decision_id: str) -> DecisionRecord | None:
        queued = self._backlog.find(decision_id)
        if queued is not None:
            return queued
        self._suffer_fault()
        return self._store.find(decision_id)

    # The writer thread's side.

    def _run(self, opened: concurrent.futures.Future[None]) -> None:
        try:
            self._store.open()
        except Exception as error:  # noqa: BLE001 - start() raises it
            opened.set_exception(error)
            return
        opened.set_result(None)
        pause_s = _BACK_OFF_S[0]
        while self._backlog or not self._closed.is_set():
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

    def _gather(self) -> None:
        """Sleep while there is nothing to do; then let a group come together."""
        self._asleep = True  # before the look: an append after the look sees it and wakes us
        if not self._backlog and not self._closed.is_set():
            self._wake.wait(max(0, self._tidy_due_ns - self._clock.now_ns()) / 1e9)
            self._group_started_ns = self._clock.now_ns()
        self._asleep = False
        self._wake.clear()
        left_ns = self._group_started_ns + self._interval_ns - self._clock.now_ns()
        # A commit() after this look sets `_wake`, one before it is seen here.
        is_urgent = self._waiters or self._closed.is_set() or len(self._backlog) >= _GROUP_RECORDS
        if self._backlog and not is_urgent and left_ns > 0:
            self._wake.wait(left_ns / 1e9)

    def _write_groups(self) -> None:
        """Write all that waits; it leaves the queue only when it is durable."""
        self._group_started_ns = self._clock.now_ns()
        self._release_waiters()  # of a commit() that came in while its records were settled
        while batch := self._backlog.batch(_GROUP_RECORDS):
            started_ns = self._clock.now_ns()
            self._suffer_fault()
            left_out = self._store.write(batch)
            self._backlog.settle(len(batch))
            self._lost_total += left_out
            self._written_total += len(batch) - left_out
            self._last_commit_ns = self._clock.now_ns() - started_ns
            self._tell_recovery()
            self._release_waiters()
            if len(batch) < _GROUP_RECORDS:
                break

    def _release_waiters(self) -> None:
        ready: list[asyncio.Future[None]] = []
        while self._waiters and self._waiters[0][0] <= self._backlog.settled_total:
            ready.append(self._waiters.popleft()[1])
        if ready:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_resolve, ready)

    def _tidy_when_due(self) -> None:
        """Delete one small batch between two groups, and none while records pile up."""
        if self._clock.now_ns() < self._tidy_due_ns or len(self._backlog) >= _GROUP_RECORDS:
            return
        has_more = False
        try:
            has_more = self._store.tidy()
        except LogUnavailable as error:  # no decision is lost by it, so the state stays
            if self._last_error != str(error):
                self._last_error = str(error)
                _LOGGER.warning("log_tidy_failed", extra={"why": str(error)})
        self._tidy_due_ns = self._clock.now_ns() + (self._interval_ns if has_more else _TIDY_EVERY_NS)
        dropped_total = self._backlog.refused_total + self._lost_total
        if dropped_total > self._told_dropped_total:
            news = dropped_total - self._told_dropped_total
            _LOGGER.warning("log_dropped", extra={"records": news, "why": "the queue was full, or not encodable"})
            self._told_dropped_total = dropped_total

    def _suffer_fault(self) -> None:
        if self.fault.delay_ns:
            self._closed.wait(self.fault.delay_ns / 1e9)
        if self.fault.down:
            message = "store fault: down, as an admin asked"
            raise LogUnavailable(message)

    def _tell_failure(self, error: Exception) -> None:
        """Say it once a change, not once an attempt."""
        is_news = self._state == "ok"
        self._state = "failing"
        self._last_error = str(error) if isinstance(error, LogError) else f"unforeseen: {error!r}"
        if is_news:
            effect = "decisions wait in memory, then are dropped and counted; logging resumes by itself"
            _LOGGER.warning("log_failing", extra={"why": self._last_error, "effect": effect})

    def _tell_recovery(self) -> None:
        if self._state == "failing":
            self._state = "ok"
            _LOGGER.warning("log_recovered")

    def _give_up(self) -> None:
        self._release_waiters()
        left = len(self._backlog)
        if left:
            self._lost_total += left
            self._backlog.settle(left)
            _LOGGER.error("log_lost_at_close", extra={"records": left, "why": self._last_error})
        self._store.close()


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
