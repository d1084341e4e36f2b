"""The desk under virtual time: durable before told, and whole after whatever goes wrong."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from router.assign.command import Accept, CancelTask, CompleteTask, CreateTask, Decline, SetPresence
from router.assign.errors import BadCommand, Expired, KeyReused, LostRace, Refused
from router.desk.desk import Desk, Stopped
from router.log.errors import LogFenced, LogRefused, LogUnavailable
from router.log.memory import MemoryJournal
from tests.virtual import MS, S, VirtualLoop, run
from tests.virtual_desk import POLICY, Place, agent, create, never, present, sign_in

if TYPE_CHECKING:
    from router.assign.event import Event


def offer_of(place: Place, task_id: str) -> str:
    """The last offer that was told of a task."""
    issued = [event for event in place.told if event.type == "offer.issued" and event.subject == task_id]
    return str(issued[-1].data["offer_id"])


def test_a_task_goes_its_way_and_is_told_in_order() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):
            await sign_in(desk, "ana")
            stepped = await desk.submit(create("t1"))
            assert stepped.subject == "t1"
            await desk.submit(Accept(offer_id=offer_of(place, "t1"), resource_id="ana"))
            await desk.submit(CompleteTask(task_id="t1"))
        assert [kind for kind in place.kinds() if kind.startswith(("task", "offer"))] == [
            "task.queued", "offer.issued", "offer.accepted", "task.assigned", "task.wrapping",
        ]  # fmt: skip
        positions = [event.position for event in place.told]
        assert positions == sorted(positions)
        assert place.replayed().state.tasks["t1"].state == "wrapping"

    run(main)


def test_nothing_is_told_before_it_is_durable() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk(write_ns=30 * MS) as (desk, _):
            seen: list[int] = []

            def check(events: tuple[Event, ...]) -> None:
                assert events[-1].position <= place.memory.entries[-1].position
                seen.append(events[0].position)

            desk.subscribe(check)
            started_ns = loop.clock.now_ns()
            stepped, settled = desk.submit_now(create("t1"))
            assert "t1" in desk.state.tasks
            assert not seen
            await settled
            assert seen == [stepped.position]
            assert loop.clock.now_ns() - started_ns == 30 * MS

    run(main)


def test_a_repeat_waits_for_what_it_repeats() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk(write_ns=30 * MS) as (desk, _):
            command = CreateTask(id="t1", queue="cards", key="k", digest=b"d")
            first, again = await asyncio.gather(desk.submit(command), desk.submit(command))
            assert (first.is_repeat, again.is_repeat) == (False, True)
            assert again.subject == "t1"
            assert place.memory.entries[-1].position == first.position, "durable by now"
            with pytest.raises(KeyReused):
                await desk.submit(CreateTask(id="t2", queue="cards", key="k", digest=b"other"))
        assert place.kinds().count("task.queued") == 1

    run(main)


def test_a_refusal_changes_nothing_and_tells_only_what_is_durable() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk(write_ns=30 * MS) as (desk, _):
            await sign_in(desk, "ana")
            await desk.submit(create("t1"))
            accept = Accept(offer_id=offer_of(place, "t1"), resource_id="ana")
            _, settled = desk.submit_now(accept)
            before = desk._engine.hash()
            with pytest.raises(LostRace):
                await desk.submit(Decline(offer_id=accept.offer_id, resource_id="ana"))
            assert desk._engine.hash() == before
            assert place.kinds()[-1] == "task.assigned", "what it lost against is durable"
            await settled

    run(main)


@pytest.mark.parametrize("context", [{"n": 1 << 70}, {"text": "\ud800"}, {"x": object()}])
def test_what_cannot_be_written_down_is_refused_before_it_changes_anything(context: dict[str, object]) -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):
            before = desk._engine.hash()
            with pytest.raises(BadCommand):
                await desk.submit(create("t1", context=context))
            assert desk._engine.hash() == before

    run(main)


def test_a_caller_who_leaves_does_not_take_his_command_along() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk(write_ns=30 * MS) as (desk, _):
            leaving = asyncio.create_task(desk.submit(create("t1")))
            staying = asyncio.create_task(desk.submit(create("t1")))
            await asyncio.sleep(0.010)
            leaving.cancel()
            stepped = await staying
            assert leaving.cancelled()
            assert stepped.subject == "t1"
        assert place.kinds().count("task.queued") == 1
        assert "t1" in place.replayed().state.tasks

    run(main)


def test_a_slow_log_holds_up_answers_and_bounds_what_is_ahead_of_it() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk(write_ns=500 * MS, bound=8) as (desk, journal):
            await asyncio.sleep(1)
            tries = [asyncio.create_task(desk.submit(create(f"t{number}"))) for number in range(20)]
            await asyncio.sleep(0)
            assert journal.stats().queued == 8
            assert len(desk.state.tasks) == 8, "the others were refused before they changed anything"
            done = await asyncio.gather(*tries, return_exceptions=True)
            assert [type(each) is LogUnavailable for each in done] == [False] * 8 + [True] * 12
            await desk.submit(create("t99"))
        assert set(place.replayed().state.tasks) == {*(f"t{number}" for number in range(8)), "t99"}

    run(main)


def test_a_log_that_is_down_and_comes_back() -> None:
    """What was accepted is answered when it is durable; meanwhile the desk reads on, and its timers wait."""

    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, journal):
            await sign_in(desk, "ana")
            await desk.submit(create("t1"))
            journal.is_down = True
            held = asyncio.create_task(desk.submit(create("t2")))
            await asyncio.sleep(0.010)
            before = desk._engine.hash()
            with pytest.raises(LogUnavailable, match="the disk is down"):
                await desk.submit(create("t3"))
            with pytest.raises(LogUnavailable):
                desk.check()
            await asyncio.sleep(60)  # the offer of t1 has run out meanwhile, and so has the lease of ana
            assert desk.heartbeat("ana")
            assert not held.done()
            assert desk._engine.hash() == before
            assert desk.state.tasks["t1"].state == "offered"
            told = len(place.told)
            journal.is_down = False
            await held
            desk.check()
            assert place.told[told].subject == "t2", "in order"
            await asyncio.sleep(1)
            assert "offer.expired" in place.kinds()
            await desk.submit(create("t3"))
        assert place.replayed().hash() == desk._engine.hash()

    run(main)


def test_a_start_needs_no_more_room_than_one_command() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        for version in ("1", "2"):
            place.policy = replace(POLICY, version=version)
            async with place.desk(bound=1) as (desk, _):
                assert desk.state.policy.version == version

    run(main)


def test_another_process_takes_over() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (old, _):
            await old.submit(create("t1"))
            async with place.desk() as (new, _):
                with pytest.raises(LogFenced, match="another writer"):
                    await old.submit(create("t2"))
                with pytest.raises(LogFenced):
                    old.check()
                await new.submit(create("t3"))
                assert set(new.state.tasks) == {"t1", "t3"}
                assert await place.is_whole(new)

    run(main)


def test_an_engine_that_fails_unforeseen_is_not_trusted_any_more(caplog: pytest.LogCaptureFixture) -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):
            await desk.submit(create("t1"))
            entries, position = len(place.memory.entries), place.memory.position

            def fail(*_: object) -> None:
                desk.state.tasks.clear()
                raise KeyError("t1")

            with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
                patch.setattr(desk._engine, "step", fail)
                await desk.submit(create("t2"))
            with pytest.raises(Stopped):
                await desk.submit(create("t2"))
        assert (len(place.memory.entries), place.memory.position) == (entries, position), "no checkpoint of nonsense"
        async with place.desk() as (desk, _):
            assert list(desk.state.tasks) == ["t1"]
            await desk.submit(create("t2"))

    run(main)
    assert "engine_stopped" in [record.message for record in caplog.records]


def test_a_desk_that_could_not_start_can_be_closed() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):
            await desk.submit(create("t1"))
        good, place.memory.entries[1] = place.memory.entries[1], place.memory.entries[0]
        place.memory.position, rows = 0, dict(place.memory.rows)
        place.memory.rows.clear()
        desk = Desk(MemoryJournal(place.memory), loop.clock, POLICY, never)
        with pytest.raises(LogUnavailable, match="not started"):
            desk.check()
        with pytest.raises(LogRefused):
            await desk.start()
        with pytest.raises(LogUnavailable, match="not started"):
            desk.submit_now(create("t2"))
        await desk.close()
        place.memory.entries[1], place.memory.rows = good, rows
        assert place.replayed().state.tasks.keys() == {"t1"}

    run(main)


def test_a_closed_desk_takes_no_more_and_has_left_a_checkpoint() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):
            await desk.submit(create("t1"))
            desk.submit_now(create("t2"))
        with pytest.raises(LogUnavailable, match="shutting down"):
            await desk.submit(create("t3"))
        assert place.memory.position == place.memory.entries[-1].position
        assert ("task", "t2") in place.memory.rows

    run(main)


def test_a_desk_closes_while_the_log_is_down(caplog: pytest.LogCaptureFixture) -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, journal):
            await desk.submit(create("t1"))
            held = asyncio.create_task(desk.submit(create("t2")))
            await asyncio.sleep(0)
            journal.is_down = True
        with pytest.raises(LogUnavailable):
            await held
        assert "t2" not in place.replayed().state.tasks, "nobody was promised it"

    run(main)
    assert "desk_closed_unsettled" in [record.message for record in caplog.records]


def test_what_the_store_keeps_can_be_read() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):
            await sign_in(desk, "t1")  # whoever calls a resource as a task
            await desk.submit(create("t1"))
            desk._checkpoint()
            await asyncio.sleep(0.010)
            found = await desk.find_task("t1")
            assert found == desk.state.tasks["t1"]
            assert await desk.find_task("t2") is None
            events = await desk.events("t1", 0, 10)
            assert [event.type for event in events] == ["task.queued", "offer.issued"]
            assert [event.seq for event in events] == [1, 2]
            assert await desk.events("t1", 1, 10) == events[1:]

    run(main)


def test_a_subscriber_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):

            def fail(_events: tuple[Event, ...]) -> None:
                raise RuntimeError("broken")

            heard: list[str] = []
            desk.subscribe(fail)
            end = desk.subscribe(lambda events: heard.extend(event.subject for event in events))
            await desk.submit(create("t1"))
            end()
            end()
            await desk.submit(create("t2"))
            assert heard == ["t1"]

    run(main)
    assert [record.message for record in caplog.records].count("subscriber_failed") == 2


@pytest.mark.parametrize("jitter", [None, Random(5)])
def test_a_silent_agent_is_lost_and_his_task_goes_on_at_its_age(jitter: Random | None) -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):
            await sign_in(desk, "ana")
            await desk.submit(create("t1"))
            await desk.submit(Accept(offer_id=offer_of(place, "t1"), resource_id="ana"))
            queued_ns = desk.state.tasks["t1"].queued_ns
            for _ in range(6):
                await asyncio.sleep(5)
                assert desk.heartbeat("ana", "s1")
            silent_ns = desk.now_ns()
            await asyncio.sleep(15.1)
            assert desk.state.resources["ana"].is_suspect
            assert place.kinds()[-1] == "resource.lease_suspect"
            assert desk.heartbeat("ana", "s1")
            await asyncio.sleep(0.1)
            assert not desk.state.resources["ana"].is_suspect, "back within the grace"
            silent_ns = desk.now_ns()
            await asyncio.sleep(46)
            task = desk.state.tasks["t1"]
            (lost,) = (event for event in place.told if event.type == "resource.lost")
            assert 44.8 * S <= lost.at_ns - silent_ns <= 46 * S
            assert (task.state, task.queued_ns) == ("queued", queued_ns)
            assert not desk.heartbeat("ana", "s1"), "he has to sign in again"
        assert place.replayed().hash() == desk._engine.hash()

    run(main, VirtualLoop(jitter))


def test_only_agents_who_are_signed_in_have_leases() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):
            await desk.submit(agent("bot", kind="bot"))
            await desk.submit(present("bot", session=""))
            await desk.submit(agent("off"))
            await desk.submit(agent("plain"))
            await desk.submit(present("plain", session=""))
            assert [desk.heartbeat(each) for each in ("bot", "off", "plain", "nobody")] == [False, False, True, False]
            assert not desk.heartbeat("plain", "s1"), "of another session"
            await asyncio.sleep(10)
            await desk.submit(present("plain", session=""))  # says nothing new, and is a sign of life
            await asyncio.sleep(10)
            assert not desk.state.resources["plain"].is_suspect
            await asyncio.sleep(6)
            assert desk.state.resources["plain"].is_suspect
            assert not desk.state.resources["bot"].is_suspect
            await desk.submit(SetPresence(resource_id="plain", presence="offline"))
            assert not desk.heartbeat("plain")

    run(main)


def test_whoever_is_signed_in_has_a_fresh_lease_after_a_restart() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):
            await sign_in(desk, "ana", "ben")
            await asyncio.sleep(14)
            desk.heartbeat("ben", "s1")
            await asyncio.sleep(2)
            assert desk.state.resources["ana"].is_suspect
        await asyncio.sleep(100)
        async with place.desk() as (desk, _):
            await asyncio.sleep(14)
            assert not desk.state.resources["ben"].is_suspect
            assert desk.heartbeat("ana", "s1")
            await asyncio.sleep(0.1)
            assert not desk.state.resources["ana"].is_suspect

    run(main)


def test_a_timer_that_is_due_goes_before_a_command() -> None:
    """The event loop was kept from its timer: the offer is over all the same."""

    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):
            await sign_in(desk, "ana")
            await desk.submit(create("t1"))
            loop.spend(31 * S)
            with pytest.raises(Expired):
                await desk.submit(Accept(offer_id=offer_of(place, "t1"), resource_id="ana"))
            assert place.kinds()[-1] != "task.assigned"

    run(main)


def test_silence_is_told_however_little_room_the_log_has() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        names = [f"a{number}" for number in range(20)]
        async with place.desk(write_ns=100 * MS, bound=3) as (desk, _):
            await sign_in(desk, *names)
            assert all(desk.heartbeat(name) for name in names)  # so all fall silent at once
            await asyncio.sleep(30)
            assert all(desk.state.resources[name].is_suspect for name in names)

    run(main)


def test_many_silent_agents_are_told_of_bit_by_bit() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        names = [f"a{number}" for number in range(200)]
        async with place.desk() as (desk, _):
            await sign_in(desk, *names)
            await asyncio.sleep(16)
            assert all(desk.state.resources[name].is_suspect for name in names)

    run(main)


@pytest.mark.parametrize("step_s", [-86_400, 86_400])
def test_a_wall_clock_that_is_set_changes_nothing_while_the_desk_works(step_s: int) -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):
            await sign_in(desk, "ana")
            await desk.submit(create("t1"))
            issued_ns = desk.now_ns()
            loop.clock.step_wall(step_s * S)
            for _ in range(3):
                await asyncio.sleep(10)
                desk.heartbeat("ana")
            assert desk.now_ns() - issued_ns == 30 * S
            assert "offer.expired" not in place.kinds()
            await asyncio.sleep(1)  # the grace for a late accept
            assert "offer.expired" in place.kinds()
            assert not desk.state.resources["ana"].is_suspect

    run(main)


@pytest.mark.parametrize("step_s", [-86_400, 3_600])
def test_a_wall_clock_that_is_set_between_two_processes(step_s: int, caplog: pytest.LogCaptureFixture) -> None:
    """Back: time goes on from where the log ends, which is said. Forward: so much time has passed."""

    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, _):
            await desk.submit(create("t1", ttl_s=7_200.0))
            end_ns = desk.now_ns()
        loop.clock.step_wall(step_s * S)
        async with place.desk() as (desk, _):
            assert desk.now_ns() >= end_ns
            assert desk.now_ns() - end_ns <= max(1, step_s + 1) * S
            left_s = 7_200 - max(0, step_s)
            await asyncio.sleep(left_s - 10)
            assert desk.state.tasks["t1"].state == "queued"
            await asyncio.sleep(20)
            assert desk.state.tasks["t1"].outcome == "ttl"
        times = [entry.at_ns for entry in place.memory.entries]
        assert times == sorted(times)

    run(main)
    warned = [vars(record)["ahead_s"] for record in caplog.records if record.message == "clock_behind_log"]
    assert len(warned) == (step_s < 0)
    assert all(86_390 <= ahead_s <= 86_400 for ahead_s in warned)


def test_64_clients_race_for_each_offer() -> None:
    """Each offer of a task is accepted by several clients at once: one of them has it, nobody is over his limit."""

    async def main(loop: VirtualLoop) -> int:
        rng = Random(11)
        place = Place(loop)
        assigned = 0
        async with place.desk(write_ns=3 * MS) as (desk, _):
            agents = [f"a{number}" for number in range(16)]
            await sign_in(desk, *agents, most=3)

            async def client(number: int) -> int:
                await asyncio.sleep(rng.random() / 50)
                won = 0
                for event in list(place.told):
                    if event.type != "offer.issued":
                        continue
                    await asyncio.sleep(rng.random() / 500)
                    try:
                        verb = Accept if rng.random() < 0.8 else Decline
                        stepped = await desk.submit(verb(offer_id=event.data["offer_id"]))
                        won += verb is Accept and not stepped.is_repeat
                    except Refused:
                        pass
                    resources = desk.state.resources.values()
                    assert all(len(each.tasks) <= 3 and each.used <= each.capacity for each in resources)
                return won

            for number in range(100):
                await desk.submit(create(f"t{number}"))
            for _ in range(3):
                for name in agents:
                    desk.heartbeat(name)
                assigned += sum(await asyncio.gather(*(client(number) for number in range(64))))
            accepted = [event.subject for event in place.told if event.type == "task.assigned"]
            assert assigned == len(accepted) == len(set(accepted))
        assert place.replayed().hash() == desk._engine.hash()
        return assigned

    assert run(main) > 20


def test_a_checkpoint_shortens_the_replay() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop)
        async with place.desk() as (desk, journal):
            await sign_in(desk, "ana")
            for number in range(1_100):
                desk.submit_now(create(f"t{number}"))
                if number % 500 == 0:
                    await desk.settled()
            await desk.settled()
            assert 1_000 <= place.memory.position < 1_100
            journal.kill()
        async with place.desk() as (desk, _):
            assert desk.state.position == 1_105, "with the checkpoint's rows, and what came after them"
            assert await place.is_whole(desk)

    run(main)


async def work(desk: Desk, rng: Random) -> list[str]:
    """Customers and agents at work until the desk is no more; returns the tasks that were acknowledged."""
    acknowledged: list[str] = []

    async def customer(number: int) -> None:
        await asyncio.sleep(rng.random() * 20)
        await desk.submit(create(f"t{number}"))
        acknowledged.append(f"t{number}")

    async def agent_at_work(name: str) -> None:
        await sign_in(desk, name)
        while True:
            await asyncio.sleep(rng.random() * 3)
            desk.heartbeat(name)
            for task in [desk.state.tasks[task_id] for task_id in desk.state.resources[name].tasks]:
                with suppress(Refused):
                    if task.state == "offered":
                        await desk.submit(Accept(offer_id=task.offers[-1].id, resource_id=name))
                    elif task.state == "assigned" and rng.random() < 0.3:
                        await desk.submit(CompleteTask(task_id=task.id))

    works = [*(customer(number) for number in range(60)), *(agent_at_work(f"a{number}") for number in range(4))]
    with suppress(TimeoutError):
        async with asyncio.timeout(rng.uniform(1, 25)):
            await asyncio.gather(*works)
    return acknowledged


@pytest.mark.parametrize("seed", range(int(os.environ.get("TAKT_SEEDS", "20"))))
def test_a_killed_process_loses_nothing_that_it_acknowledged(seed: int) -> None:
    async def main(loop: VirtualLoop) -> None:
        rng, place = Random(seed), Place(loop)
        acknowledged: list[str] = []
        for _ in range(3):
            async with place.desk(write_ns=rng.randrange(1, 200) * MS) as (desk, journal):
                assert await place.is_whole(desk)
                assert set(acknowledged) <= set(desk.state.tasks)
                acknowledged += await work(desk, rng)
                if rng.random() < 0.8:
                    journal.kill()
        told = [(event.subject, event.seq) for event in place.told if event.type.startswith(("task", "offer"))]
        assert len(told) == len(set(told)), "no event twice"
        replayed = place.replayed()
        assert {event.subject for event in place.told if event.type == "task.queued"} <= set(replayed.state.tasks)

    run(main)


def test_an_ended_task_is_found_also_before_the_checkpoint_that_has_it() -> None:
    async def main(loop: VirtualLoop) -> None:
        place = Place(loop, replace(POLICY, keep_closed=0))
        async with place.desk() as (desk, _):
            await desk.submit(create("t1"))
            await desk.submit(CancelTask(task_id="t1"))
            assert "t1" not in desk.state.tasks
            for _ in range(2):
                found = await desk.find_task("t1")
                assert found is not None
                assert found.state == "canceled"
                desk._checkpoint()
                await asyncio.sleep(0.1)

    run(main)
