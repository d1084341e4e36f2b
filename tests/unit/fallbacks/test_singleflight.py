"""One run and those who wait for it."""

from __future__ import annotations

import asyncio

from budgets.line import Job
from fallbacks.singleflight import Flight
from tests.virtual import VirtualLoop, run


def flight(latest_start_ns: int = 10) -> Flight[str]:
    return Flight(Job(lambda: "value", 1, 1, latest_start_ns, lambda _: None))


def test_the_most_patient_decides_how_late_it_may_start() -> None:
    async def main(loop: VirtualLoop) -> None:
        subject = flight(10)
        subject.join(loop.create_future(), 30)
        subject.join(loop.create_future(), 20)
        assert subject.job.latest_start_ns == 30

    run(main)


def test_nobody_left_cancels_and_somebody_new_revives() -> None:
    async def main(loop: VirtualLoop) -> None:
        subject, one, two = flight(), loop.create_future(), loop.create_future()
        subject.join(one, 10)
        subject.join(two, 10)
        subject.leave(one)
        assert not subject.job.cancelled
        subject.leave(two)
        assert subject.job.cancelled
        subject.join(one, 10)
        assert not subject.job.cancelled

    run(main)


def test_the_end_wakes_all_who_still_wait() -> None:
    async def main(loop: VirtualLoop) -> None:
        subject = flight()
        waiters: list[asyncio.Future[None]] = [loop.create_future() for _ in range(3)]
        for waiter in waiters:
            subject.join(waiter, 10)
        waiters[1].cancel()
        subject.end()
        assert subject.has_ended
        assert [waiter.done() for waiter in waiters] == [True] * 3
        assert waiters[1].cancelled()

    run(main)
