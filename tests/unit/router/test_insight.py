"""Statistics over a restart, and what the metrics read of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from router.assign.command import Accept, CompleteTask, CreateTask, PutResource, SetPresence
from router.assign.entity import ChannelLimit
from router.assign.policy import ChannelPolicy, LeasePolicy
from router.gauges import watch_queues
from router.insight.figures import Q
from router.insight.insight import Insight
from router.log import MemoryJournal
from router.log.journal import PlacedEvent
from router.telemetry.registry import Metrics
from tests.contact_center import policy_of
from tests.desks import opened
from tests.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from router.desk.desk import Desk
    from router.insight.figures import QueueFigures
    from router.telemetry.family import ReadingFamily

# Agents who need no heartbeat for an hour.
POLICY = msgspec.structs.replace(
    policy_of("care", channels={"chat": ChannelPolicy(wrap_s=0)}), lease=LeasePolicy(ttl_s=600, grace_s=3_600)
)


def read(family: ReadingFamily) -> dict[tuple[str, ...], float]:
    return {labels: float(child.read()) for labels, child in family.children.items() if child.read is not None}


def care_of(insight: Insight, desk: Desk) -> QueueFigures:
    return insight.statistics.queues(3_600, desk.now_ns())[0]


async def serve(desk: Desk, name: str) -> None:
    """A task comes, is accepted after 10 s and done after 50."""
    await desk.submit(CreateTask(id=name, queue="care"))
    await asyncio.sleep(10)
    await desk.submit(Accept(offer_id=f"{name}-1"))
    await asyncio.sleep(40)
    await desk.submit(CompleteTask(task_id=name))


async def begin(desk: Desk) -> None:
    await desk.submit(PutResource(id="ana", queues=("care",), channels={"chat": ChannelLimit()}))
    await desk.submit(SetPresence(resource_id="ana", presence="available", session="s"))


def test_a_restart_knows_the_day_before() -> None:
    async def main(loop: VirtualLoop) -> None:
        journal = MemoryJournal()
        async with opened(loop, POLICY, journal) as desk:
            insight = Insight(desk)
            insight.start()
            await begin(desk)
            for number in range(3):
                await serve(desk, f"t{number}")
            told = care_of(insight, desk)
            assert (told.answered, told.asa_s, told.aht_s) == (3, 10.0, 40.0)
            await desk.submit(CreateTask(id="waits", queue="care"))
            await insight.close()
        async with opened(loop, POLICY, journal) as desk:
            insight = Insight(desk)
            insight.start()
            now = care_of(insight, desk)
            assert (now.answered, now.waiting, now.agents) == (0, 1, 1), "what the state knows is told at once"
            await insight.settled()
            again = care_of(insight, desk)
            assert (again.answered, again.asa_s, again.aht_s, again.waiting) == (3, 10.0, 40.0, 1)
            assert again.occupancy_share == told.occupancy_share
            await insight.close()

    run(main)


def test_what_comes_while_the_day_before_is_read_counts_once() -> None:
    async def main(loop: VirtualLoop) -> None:
        journal = MemoryJournal()
        async with opened(loop, POLICY, journal) as desk:
            await begin(desk)
            await serve(desk, "t0")
        async with opened(loop, POLICY, journal) as desk:
            insight, metrics = Insight(desk), Metrics().assignment
            insight.start()
            watch_queues(metrics, insight, ["care"])
            await desk.submit(CreateTask(id="t1", queue="care"))
            await insight.settled()
            await desk.submit(CreateTask(id="t2", queue="care"))
            told = care_of(insight, desk)
            assert (told.queued, told.waiting) == (3, 2)
            # Metrics count from the start of the process, whatever was read of before.
            assert insight.total("care", Q.QUEUED) == 2
            assert read(metrics.tasks)["care", "queued"] == 2
            await insight.close()

    run(main)


def test_only_the_last_day_is_read() -> None:
    async def main(loop: VirtualLoop) -> None:
        journal = MemoryJournal()
        async with opened(loop, POLICY, journal) as desk:
            await begin(desk)
            await serve(desk, "old")
            await asyncio.sleep(2 * 86_400)
            await begin(desk)
            for number in range(3):
                await serve(desk, f"new{number}")
            insight = Insight(desk)
            insight.start()
            await insight.settled()
            assert insight.statistics.total("care", Q.COMPLETED) == 3
            await insight.close()

    run(main)


def test_a_day_before_that_cannot_be_read_leaves_what_is_told_from_now_on(caplog: pytest.LogCaptureFixture) -> None:
    class Torn(MemoryJournal):
        async def events_since(self, cursor: tuple[int, int], most: int) -> list[PlacedEvent]:
            return [each._replace(body=b"\xc1") for each in await super().events_since(cursor, most)]

    async def main(loop: VirtualLoop) -> None:
        async with opened(loop, POLICY, Torn()) as desk:
            insight = Insight(desk)
            insight.start()
            await insight.settled()
            await begin(desk)
            await serve(desk, "t1")
            assert care_of(insight, desk).answered == 1
            await insight.close()

    run(main)
    assert [record.levelname for record in caplog.records if record.message == "statistics_begin_now"] == ["WARNING"]


def test_metrics_of_queues() -> None:
    async def main(loop: VirtualLoop) -> None:
        async with opened(loop, POLICY) as desk:
            insight, metrics = Insight(desk), Metrics()
            insight.start()
            watch_queues(metrics.assignment, insight, desk.state.policy.queues)
            await begin(desk)
            await serve(desk, "t0")
            await desk.submit(CreateTask(id="t1", queue="care"))
            await asyncio.sleep(5)
            of = metrics.assignment
            assert read(of.waiting) == {("care",): 1}
            assert read(of.longest_wait) == {("care",): 5.0}
            assert read(of.agents) == {("care", "signed_in"): 1, ("care", "available"): 1}
            assert read(of.tasks)["care", "answered"] == read(of.tasks)["care", "completed"] == 1
            assert read(of.offers)["care", "issued"] == 2
            assert read(of.offers)["care", "accepted"] == 1
            assert set(of.families()) <= set(metrics.families())
            await insight.close()

    run(main)
