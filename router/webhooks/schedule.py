"""What is sent when, to one receiver: in order for each subject, retried with back-off, given up in the end. Pure.

A cursor says how far the log has been taken in. What was taken in and is not delivered is *pending*: one line for each
subject, of which only the head is sent. `take_changes` are the rows in which cursor and pending survive a restart
together: what is delivered between two of its calls may be repeated after a crash, nothing else, and nothing is lost.
"""

from __future__ import annotations

from bisect import insort
from heapq import heappop, heappush
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from router.webhooks.delivery import Delivery, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.assign.event import Event
    from router.webhooks.settings import WebhookSettings

GONE, THROTTLED = 410, frozenset((429, 503))
HEAD, DELIVERY = "webhook", "webhook_delivery"
_NS_PER_S = 1_000_000_000
_HOUR_NS = 3_600 * _NS_PER_S
# 2 ** 40 s is longer than any bound; without one, 2 ** attempts would become a number of many digits.
_MOST_DOUBLINGS = 40
_BY_ORDER = attrgetter("order")


class RetryPlan(NamedTuple):
    """How patiently, and how much at once."""

    first_ns: int
    longest_ns: int
    give_up_ns: int
    most_inflight: int
    most_pending: int
    most_dead: int

    @classmethod
    def of(cls, settings: WebhookSettings) -> RetryPlan:
        return cls(
            int(settings.first_retry_s * _NS_PER_S),
            int(settings.longest_retry_s * _NS_PER_S),
            int(settings.give_up_h * _HOUR_NS),
            settings.max_inflight,
            settings.max_pending,
            settings.max_dead,
        )


class Head(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is kept beside the deliveries; a durable format."""

    cursor: str = ""
    """The last event that was taken in, wanted or not."""
    refused_by: str = ""
    """The URL that answered 410: nothing is sent there until it is another one, or an operator says so."""
    gaps_total: int = 0
    """How often events had left the log before they were taken in."""
    forgotten_total: int = 0
    """Given up, and then dropped from a full list."""


class Row(NamedTuple):
    """A row of the store; without a body it is deleted."""

    kind: str
    id: str
    body: bytes | None


class Schedule:
    """One receiver's deliveries.

    Args: jitter: draws from 0 to 1, so that what failed together does not come back together.
    """

    def __init__(self, name: str, url: str, plan: RetryPlan, jitter: Callable[[], float]) -> None:
        self.head = Head()
        self.pending: dict[str, Delivery] = {}
        self.dead: dict[str, Delivery] = {}
        self._name, self.url, self._plan, self._jitter = name, url, plan, jitter
        self._lines: dict[str, list[Delivery]] = {}
        self._flying: set[str] = set()  # subjects: each has one request under way at most
        self._due: list[tuple[int, tuple[int, int], str]] = []  # heads; out-dated ones are passed over
        self._paused_ns = 0
        self._changed: set[str] = set()
        self._is_head_changed = False
        self._saved: set[str] = set()  # what has a row

    def restore(self, head: Head, deliveries: Iterable[Delivery], now_ns: int) -> None:
        """Go on where `take_changes` left off; what was under way is sent once more."""
        self.head = head
        for delivery in sorted(deliveries, key=_BY_ORDER):
            self._saved.add(delivery.event.id)
            # A clock that was set back between two starts must not make anybody wait for what it had promised.
            delivery.taken_ns = min(delivery.taken_ns, now_ns)
            delivery.next_ns = min(delivery.next_ns, now_ns + self._plan.longest_ns)
            if delivery.is_dead:
                self.dead[delivery.event.id] = delivery
            else:
                self._queue(delivery)

    @property
    def is_refused(self) -> bool:
        """The receiver said that it wants no more."""
        return self.head.refused_by == self.url

    @property
    def room(self) -> int:
        """How many more events may be taken in."""
        return 0 if self.is_refused else max(0, self._plan.most_pending - len(self.pending))

    @property
    def inflight(self) -> int:
        return len(self._flying)

    def take_in(self, events: Iterable[Event], cursor: str, now_ns: int) -> None:
        """Add events from the log, in its order. Args: cursor: that of the last event read, wanted or not."""
        for event in events:
            if event.id not in self.pending and event.id not in self.dead:
                self._queue(Delivery(event=event, taken_ns=now_ns, next_ns=now_ns))
                self._changed.add(event.id)
        self.head.cursor = cursor
        self._is_head_changed = True

    def begin(self, cursor: str) -> None:
        """A new receiver is told what happens from here on."""
        self.head.cursor = cursor
        self._is_head_changed = True

    def count_gap(self) -> None:
        """The log has forgotten events that had not been taken in."""
        self.head.gaps_total += 1
        self._is_head_changed = True

    def due(self, now_ns: int) -> list[Delivery]:
        """What is to be sent now; each must be settled."""
        found: list[Delivery] = []
        if self.is_refused or now_ns < self._paused_ns:
            return found
        while self._due and self._due[0][0] <= now_ns and len(self._flying) < self._plan.most_inflight:
            next_ns, _, event_id = heappop(self._due)
            delivery = self.pending.get(event_id)
            if delivery is None or delivery.next_ns != next_ns:
                continue
            subject = delivery.event.subject
            if subject not in self._flying and self._lines[subject][0] is delivery:
                self._flying.add(subject)
                found.append(delivery)
        return found

    def next_ns(self) -> int | None:
        """When `due` should be asked again, if nothing else happens."""
        if not self._due or self.is_refused or len(self._flying) >= self._plan.most_inflight:
            return None
        return max(self._due[0][0], self._paused_ns)

    def settle(self, delivery: Delivery, outcome: Outcome, now_ns: int) -> None:
        """An attempt ended."""
        event = delivery.event
        self._flying.discard(event.subject)
        self._changed.add(event.id)
        if outcome.is_delivered:
            self._unqueue(delivery)
        else:
            delivery.attempts += 1
            delivery.status, delivery.error = outcome.status, outcome.error
            self._postpone(delivery, outcome, now_ns)
        self._push_head(event.subject)

    def replay(self, ids: Iterable[str] | None, now_ns: int) -> int:
        """Send again what was given up (None: all of it), and to a receiver that had refused. Returns: how many.

        An event comes before those of its subject that still wait, but after those that were delivered meanwhile.
        """
        self.head.refused_by = ""
        self._is_head_changed = True
        chosen = [self.dead[each] for each in (list(self.dead) if ids is None else ids) if each in self.dead]
        for delivery in chosen:
            event_id = delivery.event.id
            del self.dead[event_id]
            delivery.is_dead, delivery.attempts = False, 0
            delivery.taken_ns = delivery.next_ns = now_ns
            self._queue(delivery)
            self._changed.add(event_id)
        return len(chosen)

    def take_changes(self) -> list[Row]:
        """Rows that differ from those that were written; they belong into one transaction."""
        rows = []
        for event_id in self._changed:
            delivery = self.pending.get(event_id) or self.dead.get(event_id)
            if delivery is not None:
                self._saved.add(event_id)
                rows.append(Row(DELIVERY, f"{self._name}/{event_id}", msgspec.msgpack.encode(delivery)))
            elif event_id in self._saved:  # most are delivered before they ever had a row
                self._saved.discard(event_id)
                rows.append(Row(DELIVERY, f"{self._name}/{event_id}", None))
        if self._is_head_changed:
            rows.append(Row(HEAD, self._name, msgspec.msgpack.encode(self.head)))
        self._changed.clear()
        self._is_head_changed = False
        return rows

    def not_saved(self, rows: Iterable[Row]) -> None:
        """They could not be written: they will be among the next changes."""
        for row in rows:
            if row.kind == HEAD:
                self._is_head_changed = True
            else:
                event_id = row.id.rpartition("/")[2]
                self._changed.add(event_id)
                self._saved.add(event_id)

    def _postpone(self, delivery: Delivery, outcome: Outcome, now_ns: int) -> None:
        plan = self._plan
        if outcome.status == GONE:
            self.head.refused_by = self.url
            self._is_head_changed = True
            delivery.next_ns = now_ns
            return
        end_ns = delivery.taken_ns + plan.give_up_ns
        if now_ns >= end_ns:
            self._bury(delivery)
            return
        longest_ns = min(plan.longest_ns, plan.first_ns << min(delivery.attempts - 1, _MOST_DOUBLINGS))
        wait_ns = int(longest_ns * (1 + self._jitter()) / 2)
        if asked_ns := min(outcome.retry_after_ns, plan.longest_ns):
            wait_ns = max(wait_ns, asked_ns)
            if outcome.status in THROTTLED:  # it speaks of itself, not of one event
                self._paused_ns = max(self._paused_ns, now_ns + asked_ns)
        delivery.next_ns = min(now_ns + wait_ns, end_ns)

    def _bury(self, delivery: Delivery) -> None:
        self._unqueue(delivery)
        delivery.is_dead = True
        self.dead[delivery.event.id] = delivery
        if len(self.dead) > self._plan.most_dead:
            oldest = next(iter(self.dead))
            del self.dead[oldest]
            self._changed.add(oldest)
            self.head.forgotten_total += 1
            self._is_head_changed = True

    def _queue(self, delivery: Delivery) -> None:
        event = delivery.event
        self.pending[event.id] = delivery
        line = self._lines.setdefault(event.subject, [])
        insort(line, delivery, key=_BY_ORDER)
        if line[0] is delivery:
            self._push_head(event.subject)

    def _unqueue(self, delivery: Delivery) -> None:
        event = delivery.event
        del self.pending[event.id]
        line = self._lines[event.subject]
        line.remove(delivery)
        if not line:
            del self._lines[event.subject]

    def _push_head(self, subject: str) -> None:
        if line := self._lines.get(subject):
            first = line[0]
            heappush(self._due, (first.next_ns, first.order, first.event.id))
