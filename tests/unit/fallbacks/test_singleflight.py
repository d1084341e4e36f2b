"""One run and those who wait for it."""

from __future__ import annotations

import asyncio

from fallbacks.singleflight import Flight
from tests.jobs import job_of, linear, work_of
from tests.virtual import VirtualLoop, run


def flight() -> Flight[str]:
    return Flight(job_of(work_of(linear())))


def test_nobody_left_cancels_and_somebody_new_revives() -> None:
    async def main(loop: VirtualLoop) -> None:
        subject, one, two = flight(), loop.create_future(), loop.create_future()
        subject.join(one)
        subject.join(two)
        subject.leave(one)
        assert not subject.job.cancelled
        subject.leave(two)
        assert subject.job.cancelled
        subject.join(one)
        assert not subject.job.cancelled

    run(main)


def test_the_end_wakes_all_who_still_wait() -> None:
    async def main(loop: VirtualLoop) -> None:
        subject = flight()
        waiters: list[asyncio.Future[None]] = [loop.create_future() for _ in range(3)]
        for waiter in waiters:
            subject.join(waiter)
        waiters[1].cancel()
        subject.end()
        assert subject.has_ended
        assert [waiter.done() for waiter in waiters] == [True] * 3
        assert waiters[1].cancelled()

    run(main)
