"""All receivers of events: of `[webhooks]`, and of adapters that tell another system by its own API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.webhooks.client import Client
from router.webhooks.delivery import Delivery
from router.webhooks.dispatcher import Counters, Dispatcher
from router.webhooks.message import Webhook
from router.webhooks.schedule import DELIVERY, HEAD, Head, RetryPlan, Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from budgets.clock import Clock
    from router.telemetry.registry import Metrics
    from router.webhooks.message import Destination
    from router.webhooks.settings import WebhookSettings
    from router.webhooks.store import EventLog

_DELIVERY = msgspec.msgpack.Decoder(Delivery)
_HEAD = msgspec.msgpack.Decoder(Head)


class WebhookHub:
    """Starts and stops the dispatchers. Safety: one event loop."""

    def __init__(self, settings: Mapping[str, WebhookSettings], clock: Clock, rng: Random, metrics: Metrics) -> None:
        self.dispatchers: dict[str, Dispatcher] = {}
        self.client = Client(clock)
        self._receivers: dict[str, tuple[str, Destination, RetryPlan, float]] = {}
        self._clock, self._rng, self._metrics = clock, rng, metrics
        for name, each in settings.items():
            self.add(name, each.url, Webhook(each), RetryPlan.of(each), each.timeout_ms / 1e3)

    def add(self, name: str, url: str, destination: Destination, plan: RetryPlan, timeout_s: float) -> None:
        """One more receiver. Before `start`."""
        self._receivers[name] = (url, destination, plan, timeout_s)

    async def start(self, log: EventLog, newest: str) -> None:
        """Go on where the process before stopped; a receiver that is new begins behind `newest`.

        Raises: LogUnavailable: the rows can't be read now.
        """
        if not self._receivers:
            return
        self.client.start()
        heads = {name: _HEAD.decode(body) for name, body in await log.read_rows(HEAD)}
        deliveries: dict[str, list[Delivery]] = {}
        for row_id, body in await log.read_rows(DELIVERY):
            deliveries.setdefault(row_id.rpartition("/")[0], []).append(_DELIVERY.decode(body))
        for name, (url, destination, plan, timeout_s) in self._receivers.items():
            schedule = Schedule(name, url, plan, self._rng.random)
            if name in heads:
                schedule.restore(heads[name], deliveries.get(name, ()), self._clock.wall_ns())
            else:
                schedule.begin(newest)
            self.dispatchers[name] = Dispatcher(
                name,
                destination,
                schedule,
                log=log,
                post=self.client.post,
                clock=self._clock,
                counters=self._count(name, schedule),
                timeout_s=timeout_s,
            )
        for dispatcher in self.dispatchers.values():
            dispatcher.start()
            dispatcher.changed()

    def wake(self, _events: object = None) -> None:
        """Events have become durable."""
        for dispatcher in self.dispatchers.values():
            dispatcher.wake()

    async def close(self) -> None:
        for dispatcher in self.dispatchers.values():
            await dispatcher.close()
        await self.client.close()

    def _count(self, name: str, schedule: Schedule) -> Counters:
        metrics = self._metrics
        metrics.webhook_pending.child(name).watch(lambda: len(schedule.pending))
        metrics.webhook_dead.child(name).watch(lambda: len(schedule.dead))
        metrics.webhook_gaps.child(name).watch(lambda: schedule.head.gaps_total)
        attempts = metrics.webhook_attempts
        return Counters(attempts.child(name, "delivered"), attempts.child(name, "failed"))
