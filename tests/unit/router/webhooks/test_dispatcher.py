"""The loop around a schedule, in virtual time: what reaches the other side, when, and what survives."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import msgspec

from router.telemetry.family import Counter
from router.webhooks.delivery import Delivery, Outcome
from router.webhooks.dispatcher import Counters, Dispatcher
from router.webhooks.message import Webhook
from router.webhooks.schedule import DELIVERY, HEAD, Head, RetryPlan, Schedule
from router.webhooks.settings import WebhookSettings
from tests import virtual
from tests.hooks import SECRET, MemoryEventLog, Seen, event

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.webhooks.message import Call
    from tests.virtual import VirtualLoop

S = 10**9
SETTINGS = WebhookSettings(url="https://crm.example/hook", secrets=(SECRET,), max_inflight=2, max_pending=5)
OK = Outcome(200)


class Other:
    """The receiver. `answer` says what becomes of an event; each attempt takes 10 ms."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.seen: list[Seen] = []
        self.answer: Callable[[str], Outcome] = lambda _: OK
        self.most = self.now = 0
        self._loop = loop

    async def post(self, call: Call, timeout_s: float) -> Outcome:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.01)
        finally:
            self.now -= 1
        self.seen.append(Seen(self._loop.time(), call))
        return self.answer(json.loads(call.body)["id"])

    @property
    def ids(self) -> list[str]:
        return [json.loads(each.call.body)["id"] for each in self.seen]


class Side:
    """A log, the other side, and one dispatcher after the other."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop, self.log, self.other = loop, MemoryEventLog(), Other(loop)
        self.counters = Counters(Counter(), Counter())

    def open(self) -> Dispatcher:
        schedule = Schedule("crm", SETTINGS.url, RetryPlan.of(SETTINGS), lambda: 1.0)
        if (HEAD, "crm") in self.log.rows:
            head = msgspec.msgpack.decode(self.log.rows[HEAD, "crm"], type=Head)
            rows = [body for (kind, _), body in self.log.rows.items() if kind == DELIVERY]
            deliveries = [msgspec.msgpack.decode(body, type=Delivery) for body in rows]
            schedule.restore(head, deliveries, self.loop.clock.wall_ns())
        else:
            schedule.begin("0-0")
        dispatcher = Dispatcher(
            "crm",
            Webhook(SETTINGS),
            schedule,
            log=self.log,
            post=self.other.post,
            clock=self.loop.clock,
            counters=self.counters,
            timeout_s=1.0,
        )
        dispatcher.start()
        return dispatcher


def test_everything_arrives_once_in_order_and_few_at_a_time() -> None:
    async def main(loop: VirtualLoop) -> None:
        side = Side(loop)
        dispatcher = side.open()
        for number in range(1, 41):
            side.log.put(event(number, f"t{number % 4}"))
            if number % 7 == 0:
                dispatcher.wake()
                await asyncio.sleep(0.003)
        dispatcher.wake()
        await asyncio.sleep(5)
        await dispatcher.close()
        assert sorted(side.other.ids) == sorted(f"{number}-0" for number in range(1, 41))
        for subject in range(4):
            mine = [int(each[:-2]) for each in side.other.ids if int(each[:-2]) % 4 == subject]
            assert mine == sorted(mine)
        assert side.other.most == 2
        assert side.counters.delivered.value == 40
        assert list(side.log.rows) == [(HEAD, "crm")]

    virtual.run(main)


def test_a_bound_of_pending_makes_the_cursor_wait_and_loses_nothing() -> None:
    async def main(loop: VirtualLoop) -> None:
        side = Side(loop)
        side.other.answer = lambda _: Outcome(500)
        side.log.put(*(event(number, f"t{number}") for number in range(1, 21)))
        dispatcher = side.open()
        await asyncio.sleep(2)
        assert dispatcher.schedule.head.cursor == "5-0"
        assert len(dispatcher.schedule.pending) == 5
        side.other.answer = lambda _: OK
        await asyncio.sleep(60)
        assert dispatcher.schedule.head.cursor == "20-0"
        assert set(side.other.ids) == {f"{number}-0" for number in range(1, 21)}
        assert dispatcher.schedule.pending == {}
        await dispatcher.close()

    virtual.run(main)


def test_nothing_is_done_while_nothing_happens() -> None:
    async def main(loop: VirtualLoop) -> None:
        side = Side(loop)
        side.log.put(event(1))
        dispatcher = side.open()
        await asyncio.sleep(1)
        writes, seen = side.log.writes, len(side.other.seen)
        await asyncio.sleep(100_000)
        assert (side.log.writes, len(side.other.seen)) == (writes, seen) == (1, 1)
        await dispatcher.close()

    virtual.run(main)


def test_a_restart_repeats_no_more_than_was_under_way_and_keeps_retries() -> None:
    async def main(loop: VirtualLoop) -> None:
        side = Side(loop)
        side.other.answer = lambda id_: Outcome(500) if id_ == "1-0" else OK
        side.log.put(event(1, "a"), event(2, "b"), event(3, "a"))
        first = side.open()
        await asyncio.sleep(1)
        await first.close()
        assert side.other.ids == ["1-0", "2-0"]
        second = side.open()
        await asyncio.sleep(1)
        assert side.other.ids == ["1-0", "2-0"]  # its time has not come
        side.other.answer = lambda _: OK
        await asyncio.sleep(10)
        assert side.other.ids == ["1-0", "2-0", "1-0", "3-0"]
        await second.close()

    virtual.run(main)


def test_a_kill_at_any_moment_loses_nothing() -> None:
    """The process is gone between any two steps: only what was written counts."""

    async def main(loop: VirtualLoop) -> None:
        for moment in range(0, 600, 7):
            side = Side(loop)
            failed: set[str] = set()

            def answer(id_: str, failed: set[str] = failed) -> Outcome:
                if int(id_[:-2]) % 3 == 0 and id_ not in failed:
                    failed.add(id_)
                    return Outcome(500)
                return OK

            side.other.answer = answer
            side.log.put(*(event(number, f"t{number % 3}") for number in range(1, 31)))
            killed = side.open()
            await asyncio.sleep(moment / 1e3)
            rows = dict(side.log.rows)
            await killed.close()
            side.log.rows = rows  # whatever it wrote when it was closed was never written
            revived = side.open()
            await asyncio.sleep(60)
            assert set(side.other.ids) >= {f"{number}-0" for number in range(1, 31)}
            assert revived.schedule.pending == {}
            assert len(side.other.ids) <= 30 + 10 + 31  # each failed once; the first process sent 30 at most
            await revived.close()

    virtual.run(main)


def test_a_log_that_is_down_is_waited_for() -> None:
    async def main(loop: VirtualLoop) -> None:
        side = Side(loop)
        dispatcher = side.open()
        await asyncio.sleep(1)
        side.log.is_down = True
        side.log.put(event(1))
        dispatcher.wake()
        await asyncio.sleep(5)
        assert side.other.ids == []
        side.log.is_down = False
        await asyncio.sleep(3)
        assert side.other.ids == ["1-0"]
        side.log.is_down = True
        side.other.answer = lambda _: Outcome(500)
        side.log.put(event(2))
        side.log.is_down = False
        dispatcher.wake()
        await asyncio.sleep(0.1)
        side.log.is_down = True  # the retry can't be saved now
        await asyncio.sleep(3)
        side.log.is_down = False
        await asyncio.sleep(3)
        assert (DELIVERY, "crm/2-0") in side.log.rows
        await dispatcher.close()

    virtual.run(main)


def test_a_log_that_is_down_is_not_asked_without_a_pause() -> None:
    async def main(loop: VirtualLoop) -> None:
        side = Side(loop)
        side.other.answer = lambda _: Outcome(500)
        side.log.put(event(1))
        dispatcher = side.open()
        looks, due = 0, dispatcher.schedule.due

        def count(now_ns: int) -> list[Delivery]:
            nonlocal looks
            looks += 1
            if looks == 1_000:
                raise OverflowError
            return due(now_ns)

        dispatcher.schedule.due = count  # type: ignore[method-assign]
        await asyncio.sleep(4.6)
        side.log.is_down = True
        dispatcher.wake()  # it will be asked again at 5.6 s, and what the retry of 5 s changes is to be saved before
        await asyncio.sleep(3)
        assert len(side.other.ids) == 2
        assert looks < 20
        side.log.is_down = False
        await dispatcher.close()

    virtual.run(main)


def test_what_the_log_has_forgotten_is_counted() -> None:
    async def main(loop: VirtualLoop) -> None:
        side = Side(loop)
        side.log.put(event(1), event(2))
        dispatcher = side.open()
        await asyncio.sleep(1)
        side.log.put(event(3), event(4))
        side.log.forget(3)
        dispatcher.wake()
        await asyncio.sleep(1)
        assert side.other.ids == ["1-0", "2-0", "4-0"]
        assert dispatcher.schedule.head.gaps_total == 1
        await dispatcher.close()

    virtual.run(main)


def test_a_replay_is_sent_at_once_and_saved() -> None:
    async def main(loop: VirtualLoop) -> None:
        side = Side(loop)
        side.other.answer = lambda _: Outcome(500)
        side.log.put(event(1))
        dispatcher = side.open()
        await asyncio.sleep(25 * 3_600)
        assert list(dispatcher.schedule.dead) == ["1-0"]
        seen = len(side.other.seen)
        side.other.answer = lambda _: OK
        await asyncio.sleep(25 * 3_600)
        assert len(side.other.seen) == seen
        assert dispatcher.replay(None) == 1
        await asyncio.sleep(1)
        assert len(side.other.seen) == seen + 1
        assert list(side.log.rows) == [(HEAD, "crm")]
        await dispatcher.close()

    virtual.run(main)


def test_a_step_of_the_wall_clock_moves_the_signature_and_no_retry() -> None:
    async def main(loop: VirtualLoop) -> None:
        side = Side(loop)
        side.other.answer = lambda _: Outcome(500)
        side.log.put(event(1))
        dispatcher = side.open()
        await asyncio.sleep(1)
        loop.clock.step_wall(-3_600 * S)
        await asyncio.sleep(5)
        first, second = side.other.seen
        assert 4.9 < second.at_s - first.at_s < 5.1
        moved = int(second.call.headers["webhook-timestamp"]) - int(first.call.headers["webhook-timestamp"])
        assert -3_600 <= moved <= -3_590
        await dispatcher.close()

    virtual.run(main)
