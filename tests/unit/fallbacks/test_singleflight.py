"""One run and those who wait for it."""

from __future__ import annotations

import asyncio

from budgets.criticality import CRITICAL, SHEDDABLE
from fallbacks.singleflight import Flight, Wish
from tests.jobs import job_of, linear, work_of
from tests.virtual import VirtualLoop, run

CALM, HURRIED = Wish(SHEDDABLE, 80, 90), Wish(CRITICAL, 10, 20)


def flight() -> Flight[str]:
    return Flight(job_of(work_of(linear())), CALM)


def test_nobody_left_cancels_and_somebody_new_revives() -> None:
    async def main(loop: VirtualLoop) -> None:
        subject, one, two = flight(), loop.create_future(), loop.create_future()
        subject.join(one, CALM)
        subject.join(two, CALM)
        subject.leave(one)
        assert not subject.job.cancelled
        subject.leave(two)
        assert subject.job.cancelled
        subject.join(one, CALM)
        assert not subject.job.cancelled

    run(main)


def test_what_those_want_who_wait_counts_and_nothing_else() -> None:
    async def main(loop: VirtualLoop) -> None:
        subject, one, two = flight(), loop.create_future(), loop.create_future()
        subject.join(one, CALM)
        subject.join(two, HURRIED)
        assert subject.wish == (CRITICAL, 80, 20), "the higher class, started as late as one waits, in time for both"
        subject.leave(two)
        assert subject.wish == CALM
        subject.join(two, HURRIED)
        subject.leave(one)
        subject.leave(two)
        subject.join(two, HURRIED)
        assert subject.wish == HURRIED, "of those who have all left nothing is left"

    run(main)


def test_the_end_wakes_all_who_still_wait() -> None:
    async def main(loop: VirtualLoop) -> None:
        subject = flight()
        waiters: list[asyncio.Future[None]] = [loop.create_future() for _ in range(3)]
        for waiter in waiters:
            subject.join(waiter, CALM)
        waiters[1].cancel()
        subject.end()
        assert subject.has_ended
        assert [waiter.done() for waiter in waiters] == [True] * 3
        assert waiters[1].cancelled()

    run(main)
