"""The outbox: in order whatever resolves first, and nobody takes it from another."""

from __future__ import annotations

import asyncio

import pytest

from router.assign.event import Event
from router.desk.outbox import Outbox
from router.log.errors import LogUnavailable


def events(position: int) -> tuple[Event, ...]:
    return (Event(id=f"{position}-0", type="x", subject="t", seq=position, position=position, at_ns=0),)


class Box:
    """An outbox, what it told, and a future for each parcel."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.told: list[int] = []
        self.outbox.subscribe(lambda batch: self.told.extend(event.position for event in batch))
        self.durable: list[asyncio.Future[None]] = []

    def put(self, position: int) -> asyncio.Future[None]:
        self.durable.append(asyncio.get_running_loop().create_future())
        self.outbox.put(events(position), self.durable[-1])
        return asyncio.ensure_future(self.outbox.settled())


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_in_order_whatever_resolves_first() -> None:
    async def main() -> None:
        box = Box()
        first, second = box.put(1), box.put(2)
        box.durable[1].set_result(None)
        await turn()
        assert (box.told, second.done(), len(box.outbox)) == ([], False, 2)
        box.durable[0].set_result(None)
        await asyncio.gather(first, second)
        assert (box.told, len(box.outbox)) == ([1, 2], 0)
        await box.outbox.settled()

    asyncio.run(main())


def test_who_gives_up_waiting_takes_it_from_nobody() -> None:
    async def main() -> None:
        box = Box()
        leaving = box.put(1)
        staying = asyncio.ensure_future(box.outbox.settled())
        leaving.cancel()
        await turn()
        box.durable[0].set_result(None)
        await staying
        assert box.told == [1]

    asyncio.run(main())


def test_what_never_becomes_durable_is_never_told() -> None:
    async def main() -> None:
        box = Box()
        first, second = box.put(1), box.put(2)
        box.durable[0].set_exception(LogUnavailable("closed"))
        box.durable[1].cancel()
        with pytest.raises(LogUnavailable):
            await first
        with pytest.raises(asyncio.CancelledError):
            await second
        box.put(3).cancel()
        box.durable[2].set_exception(LogUnavailable("closed"))  # nobody waits for it: no complaint at the end
        await turn()
        assert box.told == []

    asyncio.run(main())


def test_a_subscriber_may_put_more() -> None:
    async def main() -> None:
        box = Box()

        def answer(batch: tuple[Event, ...]) -> None:
            if batch[0].position == 1:
                box.put(2)
                box.durable[-1].set_result(None)

        box.outbox.subscribe(answer)
        waits = box.put(1)
        box.durable[0].set_result(None)
        await waits
        await box.outbox.settled()
        assert box.told == [1, 2]

    asyncio.run(main())


def test_a_command_without_events_is_settled_too() -> None:
    async def main() -> None:
        box, done = Box(), asyncio.get_running_loop().create_future()
        box.outbox.put((), done)
        done.set_result(None)
        await box.outbox.settled()
        assert box.told == []

    asyncio.run(main())
