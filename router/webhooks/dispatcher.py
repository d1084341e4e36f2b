"""Tells one receiver the durable events: reads the log, sends what is due, keeps the state; `Schedule` judges."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from router.log.errors import LogFenced, LogUnavailable
from router.webhooks.delivery import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from budgets.clock import Clock
    from router.telemetry.family import Counter
    from router.webhooks.delivery import Delivery
    from router.webhooks.message import Call, Destination
    from router.webhooks.schedule import Schedule
    from router.webhooks.store import EventLog

    Post = Callable[[Call, float], Awaitable[Outcome]]

_LOGGER = logging.getLogger("takt.webhooks")
_NS_PER_S = 1_000_000_000
_PAGE = 256
# What was delivered within so long may be delivered again after a crash; and a write is not paid for each of them.
SAVE_NS = 500_000_000
# The log can't be read or written: again after so long.
_LOG_RETRY_NS = 1_000_000_000
_LAST_SAVE_S = 2.0


class Counters(NamedTuple):
    """Attempts by how they ended."""

    delivered: Counter
    failed: Counter


class Dispatcher:
    """One receiver. `start` once the log is open; `wake` whenever events have become durable."""

    def __init__(  # noqa: PLR0913 - one place puts it together
        self,
        name: str,
        destination: Destination,
        schedule: Schedule,
        *,
        log: EventLog,
        post: Post,
        clock: Clock,
        counters: Counters,
        timeout_s: float,
    ) -> None:
        self.name, self.schedule = name, schedule
        self._destination, self._log, self._post, self._clock = destination, log, post, clock
        self._counters, self._timeout_s = counters, timeout_s
        # The time of the schedule: comparable with what a process before wrote, and it does not step.
        self._offset_ns = clock.wall_ns() - clock.now_ns()
        self._has_news = True  # in the log, as far as we know
        self._log_due_ns = 0
        self._save_due_ns: int | None = None
        self._wake = asyncio.Event()
        self._attempts: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._running = asyncio.create_task(self._run(), name=f"webhook {self.name}")
        self._running.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop; what is under way is given up and will be sent again after the next start."""
        tasks = [task for task in (self._running, *self._attempts) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(LogUnavailable, TimeoutError):
            async with asyncio.timeout(_LAST_SAVE_S):
                await self._save()

    def wake(self) -> None:
        """There are new events in the log, or the schedule was changed from outside."""
        self._has_news = True
        self._wake.set()

    def replay(self, ids: Iterable[str] | None) -> int:
        """As `Schedule.replay`; saved soon."""
        count = self.schedule.replay(ids, self.now_ns())
        self.changed()
        return count

    def changed(self) -> None:
        """Save soon, and look again at what is due."""
        if self._save_due_ns is None:
            self._save_due_ns = self.now_ns() + SAVE_NS
        self._wake.set()

    def now_ns(self) -> int:
        """UTC as it was at the start, and monotonic since."""
        return self._clock.now_ns() + self._offset_ns

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("webhook_stopped", extra={"webhook": self.name}, exc_info=error)

    async def _run(self) -> None:
        """Until it is cancelled, or another process has taken the log over: that one tells the receiver now."""
        while True:
            self._wake.clear()
            await self._use_log()
            now_ns = self.now_ns()
            for delivery in self.schedule.due(now_ns):
                attempt = asyncio.create_task(self._attempt(delivery))
                self._attempts.add(attempt)
                attempt.add_done_callback(self._attempts.discard)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s(now_ns)):
                    await self._wake.wait()

    def _pause_s(self, now_ns: int) -> float | None:
        times = [self.schedule.next_ns(), self._log_due_ns if self._wants_more else None]
        if self._save_due_ns is not None:
            times.append(max(self._save_due_ns, self._log_due_ns))
        known = [each for each in times if each is not None]
        return max(0.0, (min(known) - now_ns) / _NS_PER_S) if known else None

    @property
    def _wants_more(self) -> bool:
        return self._has_news and self.schedule.room > 0

    async def _use_log(self) -> None:
        """Read and write what is due; a log that is down is asked again later, and nothing is lost meanwhile."""
        now_ns = self.now_ns()
        if now_ns < self._log_due_ns:
            return
        try:
            if self._wants_more:
                await self._read()
            if self._save_due_ns is not None and self._save_due_ns <= now_ns:
                await self._save()
        except LogFenced:
            raise
        except LogUnavailable as error:
            self._log_due_ns = now_ns + _LOG_RETRY_NS
            if self._save_due_ns is not None:
                self._save_due_ns = self._log_due_ns
            _LOGGER.warning("webhook_log_unavailable", extra={"webhook": self.name, "error": str(error)})

    async def _read(self) -> None:
        most = min(_PAGE, self.schedule.room)
        self._has_news = False  # whoever wakes us from here on knows of more
        try:
            page = await self._log.page(self.schedule.head.cursor, most)
        except LogUnavailable:
            self._has_news = True
            raise
        if page.has_gap:
            self.schedule.count_gap()
            _LOGGER.error("webhook_events_missed", extra={"webhook": self.name, "after": self.schedule.head.cursor})
        if not page.events:
            return
        wanted = [event for event in page.events if self._destination.wants(event)]
        self.schedule.take_in(wanted, page.events[-1].id, self.now_ns())
        self._has_news = self._has_news or len(page.events) >= most
        self.changed()

    async def _save(self) -> None:
        self._save_due_ns = None
        rows = self.schedule.take_changes()
        try:
            if rows:
                await self._log.write_rows(rows)
        except BaseException:  # cancelled, too: nobody knows whether they were written
            self.schedule.not_saved(rows)
            self._save_due_ns = self.now_ns() + SAVE_NS
            raise

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            call = self._destination.call(delivery.event, self._clock.wall_ns())
            outcome = await self._post(call, self._timeout_s)
        except Exception as error:  # noqa: BLE001 - what nobody foresaw must not hold its subject for ever
            outcome = Outcome(error=f"{type(error).__name__}: {error}")
        was_refused = self.schedule.is_refused
        self.schedule.settle(delivery, outcome, self.now_ns())
        (self._counters.delivered if outcome.is_delivered else self._counters.failed).inc()
        self.changed()
        about = {
            "webhook": self.name,
            "event": delivery.event.id,
            "attempts": delivery.attempts,
            "error": outcome.error,
        }
        if delivery.is_dead:
            _LOGGER.error("webhook_event_given_up", extra=about)
        elif self.schedule.is_refused and not was_refused:
            _LOGGER.error("webhook_refused", extra={**about, "effect": "410: nothing more is sent there until told to"})
        elif not outcome.is_delivered:
            _LOGGER.info("webhook_attempt_failed", extra=about)
