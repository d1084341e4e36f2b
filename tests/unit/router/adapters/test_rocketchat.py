"""Rocket.Chat: payloads in its documentation's words, against the engine itself, in virtual time."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from router.adapters.desk import AgentOffline, UnknownAgent
from router.adapters.hub import AdapterHub, RocketChat
from router.adapters.rocketchat import OmnichannelEvent
from router.adapters.settings import AdapterSettings, RocketChatSettings, find_problems
from router.assign.command import PutResource, RequeueTask, SetPresence
from router.assign.entity import ChannelLimit
from router.assign.policy import Policy, QueuePolicy
from router.assign.transition import TaskState
from router.log.errors import LogUnavailable
from tests import virtual
from tests.desks import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from router.assign.entity import Task
    from router.desk.desk import Desk
    from tests.virtual import VirtualLoop

TOKEN = "a token of 16 or more"
POLICY = Policy(queues={"support": QueuePolicy(), "sales": QueuePolicy()})
SETTINGS = RocketChatSettings(token=TOKEN, queue="support", departments={"d1": "sales"})


def payload(kind: str, room: str = "r1", **more: Any) -> OmnichannelEvent:
    """What an Omnichannel webhook sends, with fields that Takt has no use for."""
    raw = {
        "type": kind,
        "_id": room,
        "label": "a title",
        "topic": None,
        "createdAt": "2026-11-22T12:22:02.975Z",
        "lastMessageAt": "2026-11-22T12:22:02.975Z",
        "tags": ["tag1"],
        "customFields": {"productId": "12"},
        "visitor": {"_id": "v9", "token": "t9", "name": "A Visitor", "username": "guest-9", "email": None},
        "messages": [],
        **more,
    }
    return msgspec.json.decode(msgspec.json.encode(raw), type=OmnichannelEvent)


def served_by(username: str) -> dict[str, Any]:
    return {"servedBy": {"_id": f"id-of-{username}", "username": username, "ts": "2026-11-22T12:22:03.000Z"}}


async def sign_in(desk: Desk, name: str, capacity: int = 2, **more: Any) -> None:
    limit, attributes = {"chat": ChannelLimit(most=9)}, {"adapter": "rocketchat", **more}
    await desk.submit(
        PutResource(id=name, queues=("support", "sales"), channels=limit, capacity=capacity, attributes=attributes)
    )
    await desk.submit(SetPresence(resource_id=name, presence="available"))
    await asyncio.sleep(0.1)  # who came first is asked first


def play(
    script: Callable[[Desk, RocketChat, VirtualLoop], Coroutine[Any, Any, None]],
    settings: RocketChatSettings = SETTINGS,
    policy: Policy = POLICY,
) -> None:
    async def main(loop: VirtualLoop) -> None:
        async with opened(loop, policy) as desk:
            ids = (f"{number:032x}" for number in range(1_000_000))
            hub = AdapterHub(AdapterSettings(rocketchat=settings), desk, lambda: next(ids))
            hub.start()
            assert hub.rocketchat is not None
            await script(desk, hub.rocketchat, loop)
            await hub.close()

    virtual.run(main)


def held(desk: Desk, name: str) -> int:
    return desk.state.resources[name].used


def open_tasks(desk: Desk) -> list[Task]:
    return [task for task in desk.state.tasks.values() if not task.ended_ns]


async def ask(
    adapter: RocketChat, times: int = 10, department: str | None = None, ignored: str = ""
) -> list[str | None]:
    """As Rocket.Chat does it: equal requests at the same time."""
    return list(await asyncio.gather(*(adapter.next_agent(department, ignored) for _ in range(times))))


def test_ten_equal_requests_are_one_question_and_hold_one_agent_once() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria")
        await sign_in(desk, "jonas")
        assert set(await ask(adapter)) == {"maria"}
        assert (held(desk, "maria"), held(desk, "jonas")) == (1, 0)
        assert set(await ask(adapter)) == {"jonas"}
        assert [task.state for task in open_tasks(desk)] == [TaskState.ASSIGNED] * 2

    play(script)


def test_requests_that_come_later_are_another_question() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria")
        assert await ask(adapter, 3) == ["maria"] * 3
        await asyncio.sleep(2.1)
        assert await ask(adapter, 3) == ["maria"] * 3
        assert held(desk, "maria") == 2
        await asyncio.sleep(2.1)
        assert await ask(adapter, 3) == [None] * 3  # never above her capacity
        assert held(desk, "maria") == 2

    play(script)


def test_nobody_free_is_said_and_leaves_nothing_behind() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        began_s = loop.time()
        assert set(await ask(adapter)) == {None}
        assert loop.time() - began_s == pytest.approx(0.5, abs=0.05)
        assert open_tasks(desk) == []

    play(script)


def test_who_becomes_free_while_the_question_waits_is_the_answer() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        question = asyncio.create_task(ask(adapter))
        await asyncio.sleep(0.2)
        await sign_in(desk, "maria")
        assert set(await question) == {"maria"}
        assert held(desk, "maria") == 1

    play(script)


def test_batch_matching_answers_too() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria")
        assert set(await ask(adapter)) == {"maria"}

    play(script, policy=Policy(queues={"support": QueuePolicy(window_ms=100.0), "sales": QueuePolicy()}))


def test_a_department_means_its_queue_and_an_ignored_user_is_not_named() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria", rocketchat_id="u1")
        await sign_in(desk, "jonas", rocketchat_id="u2")
        assert set(await ask(adapter, department="d1", ignored="u1")) == {"jonas"}
        (task,) = open_tasks(desk)
        assert task.queue == "sales"
        assert set(await ask(adapter, department="unknown", ignored="nobody")) == {"maria"}

    play(script)


def test_an_agent_is_let_go_when_no_chat_comes_of_it() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria")
        await ask(adapter)
        await asyncio.sleep(29)
        assert held(desk, "maria") == 1
        await asyncio.sleep(2)
        assert held(desk, "maria") == 0
        assert open_tasks(desk) == []

    play(script)


def test_a_chat_from_question_to_end() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria")
        await ask(adapter)
        taken = payload("LivechatSessionTaken", departmentId=None, **served_by("maria"))
        report = await adapter.take(taken)
        assert report.outcome == "applied"
        assert held(desk, "maria") == 1
        (task,) = open_tasks(desk)
        assert task.context == {"rocketchat": {"room": "r1", "department": ""}}
        position = desk.state.position
        for again in (
            taken,
            payload("LivechatSessionStart"),
            payload("LivechatSessionTaken", agent={"username": "maria"}),
        ):
            assert (await adapter.take(again)).outcome == "unchanged"
        assert desk.state.position == position  # nothing was even tried
        await asyncio.sleep(600)
        assert held(desk, "maria") == 1  # she is there without a heartbeat, and the chat stays hers
        closed = payload("LivechatSession", **served_by("maria"), closedAt="2026-11-22T12:40:00.000Z", closer="user")
        assert (await adapter.take(closed)).task_id == task.id
        assert (await adapter.take(closed)).outcome == "unchanged"
        await asyncio.sleep(31)  # the wrap-up
        assert (held(desk, "maria"), task.state, task.outcome) == (0, TaskState.COMPLETED, "completed")

    play(script)


def test_a_room_taken_by_hand_counts_even_above_the_capacity() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria", capacity=1)
        await sign_in(desk, "jonas", capacity=1)
        for number in range(2):
            report = await adapter.take(payload("LivechatSessionTaken", f"r{number}", **served_by("maria")))
            assert report.outcome == "applied"
        assert (held(desk, "maria"), held(desk, "jonas")) == (2, 0)
        assert set(await ask(adapter)) == {"jonas"}

    play(script)


def test_the_same_room_twice_at_the_same_time_is_one_task() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria")
        taken = payload("LivechatSessionTaken", **served_by("maria"))
        reports = await asyncio.gather(*(adapter.take(taken) for _ in range(5)))
        assert [report.outcome for report in reports] == ["applied"] + ["unchanged"] * 4
        assert (len(open_tasks(desk)), held(desk, "maria")) == (1, 1)

    play(script)


def test_a_chat_that_is_passed_on_moves_with_its_capacity() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria")
        await sign_in(desk, "jonas")
        await ask(adapter)
        await adapter.take(payload("LivechatSessionTaken", **served_by("maria")))
        old: dict[str, Any] = {"oldServedBy": {"_id": "id-of-maria", "username": "maria"}}
        await adapter.take(payload("LivechatSessionForwarded", **served_by("jonas"), **old))
        await asyncio.sleep(1)
        assert (held(desk, "maria"), held(desk, "jonas"), len(open_tasks(desk))) == (0, 1, 1)

    play(script)


def test_a_chat_that_is_passed_to_a_department_uses_the_agent_that_was_named_for_it() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria", rocketchat_id="u1")
        await sign_in(desk, "jonas")
        await ask(adapter)
        await adapter.take(payload("LivechatSessionTaken", **served_by("maria")))
        assert set(await ask(adapter, department="d1", ignored="u1")) == {"jonas"}
        await adapter.take(payload("LivechatSessionForwarded", departmentId="d1", **served_by("jonas")))
        await asyncio.sleep(60)
        assert (held(desk, "maria"), held(desk, "jonas")) == (0, 1)
        (task,) = open_tasks(desk)
        assert (task.queue, task.context["rocketchat"]["room"]) == ("sales", "r1")

    play(script)


def test_a_chat_that_goes_back_to_the_queue_frees_its_agent() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria")
        await ask(adapter)
        await adapter.take(payload("LivechatSessionTaken", **served_by("maria")))
        await adapter.take(payload("LivechatSessionQueued"))
        assert (held(desk, "maria"), open_tasks(desk)) == (0, [])
        assert (await adapter.take(payload("LivechatSessionQueued"))).outcome == "unchanged"

    play(script)


def test_what_loses_its_agent_in_takt_is_over_there() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria")
        await adapter.take(payload("LivechatSessionTaken", **served_by("maria")))
        await sign_in(desk, "jonas")
        (task,) = open_tasks(desk)
        await desk.submit(RequeueTask(task_id=task.id, is_excluding=True))
        await asyncio.sleep(1)
        assert (task.state, held(desk, "maria"), held(desk, "jonas")) == (TaskState.CANCELED, 0, 0)

    play(script)


def test_a_visitor_who_writes_wakes_a_paused_chat_and_an_agent_does_not() -> None:
    policy = msgspec.convert(
        {"queues": {"support": {}, "sales": {}}, "channels": {"chat": {"pause_after_s": 60}}}, Policy
    )

    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria")
        await adapter.take(payload("LivechatSessionTaken", **served_by("maria")))
        (task,) = open_tasks(desk)
        await asyncio.sleep(61)
        assert task.state is TaskState.PAUSED
        agents = [{"username": "maria", "msg": "hello?", "agentId": "id-of-maria", "ts": "2026-11-22T12:24:03.000Z"}]
        assert (await adapter.take(payload("Message", messages=agents))).outcome == "unchanged"
        visitors = [{"username": "guest-9", "msg": "yes", "ts": "2026-11-22T12:24:04.000Z"}]
        assert (await adapter.take(payload("Message", messages=visitors))).outcome == "applied"
        assert task.state.value == "assigned"

    play(script, policy=policy)


def test_agents_whom_takt_does_not_know_or_who_are_signed_out_are_named() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        with pytest.raises(UnknownAgent, match=r"servedBy\.username: there is no resource 'eva'") as caught:
            await adapter.take(payload("LivechatSessionTaken", **served_by("eva")))
        assert caught.value.status == 404
        await sign_in(desk, "eva")
        await desk.submit(SetPresence(resource_id="eva", presence="offline"))
        position = desk.state.position
        with pytest.raises(AgentOffline, match="offline"):
            await adapter.take(payload("LivechatSessionTaken", **served_by("eva")))
        assert (desk.state.position, open_tasks(desk)) == (position, [])

    play(script)


@pytest.mark.parametrize("kind", ["LivechatSession", "LivechatSessionQueued", "Message", "LivechatEdit", "LeadCapture"])
def test_rooms_that_takt_has_not_heard_of_change_nothing(kind: str) -> None:
    """Also the test that Rocket.Chat's administration sends."""

    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        report = await adapter.take(payload(kind, agent={"_id": "a", "username": "agent.username", "name": "A"}))
        assert (report.outcome, report.task_id) == ("unchanged", None)

    play(script)


def test_a_restart_knows_rooms_and_lets_go_of_whom_it_held() -> None:
    async def main(loop: VirtualLoop) -> None:
        async with opened(loop, POLICY) as desk:
            numbers = iter(range(1_000))
            await sign_in(desk, "maria", capacity=3)
            first = AdapterHub(AdapterSettings(rocketchat=SETTINGS), desk, lambda: f"{next(numbers)}")
            first.start()
            assert first.rocketchat is not None
            await ask(first.rocketchat)
            await first.rocketchat.take(payload("LivechatSessionTaken", "r1", **served_by("maria")))
            await ask(first.rocketchat)
            await first.close()
            second = AdapterHub(AdapterSettings(rocketchat=SETTINGS), desk, lambda: f"{next(numbers)}")
            second.start()
            assert second.rocketchat is not None
            assert held(desk, "maria") == 2
            await asyncio.sleep(31)
            assert held(desk, "maria") == 1
            await second.rocketchat.take(payload("LivechatSession", "r1"))
            await asyncio.sleep(31)
            assert held(desk, "maria") == 0
            await second.close()

    virtual.run(main)


def test_prefixes_keep_agents_of_several_systems_apart() -> None:
    settings = msgspec.structs.replace(SETTINGS, agent_prefix="rc.")

    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "rc.maria")
        assert set(await ask(adapter)) == {"maria"}
        await adapter.take(payload("LivechatSessionTaken", **served_by("maria")))
        assert held(desk, "rc.maria") == 1

    play(script, settings)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"_id": "r1"}', "type"),
        (b'{"type": "Message"}', "_id"),
        (b'{"type": "", "_id": "r1"}', "$.type"),
        (b'{"type": "Message", "_id": 5}', "$._id"),
        (b'{"type": "Message", "_id": "r1", "servedBy": "maria"}', "$.servedBy"),
        (b'{"type": "Message", "_id": "r1", "servedBy": {"username": 1}}', "$.servedBy.username"),
        (b'{"type": "Message", "_id": "r1", "messages": {}}', "$.messages"),
        (b'{"type": "Message", "_id": "r1", "departmentId": ["d1"]}', "$.departmentId"),
    ],
)
def test_a_bad_payload_names_its_field(raw: bytes, field: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(raw, type=OmnichannelEvent)
    assert field in str(caught.value)


@pytest.mark.parametrize("token", ["", "too short", "x" * 15, "line\nend of 16 characters"])
def test_tokens_that_are_none_are_refused(token: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="token: must be 16 printable"):
        msgspec.convert({"token": token, "queue": "support"}, RocketChatSettings)
    assert TOKEN not in repr(SETTINGS)


def test_queues_that_there_are_not_are_named() -> None:
    assert list(find_problems(AdapterSettings(rocketchat=SETTINGS), POLICY.queues)) == []
    assert list(find_problems(AdapterSettings(), ())) == []
    (problem,) = find_problems(AdapterSettings(rocketchat=SETTINGS), {"support"})
    assert problem == "adapters.rocketchat.departments.d1 = 'sales': there is no such queue in queues.toml"


def test_who_leaves_takes_no_answer_from_the_others_and_nobody_leaves_an_agent_held() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        asks = [asyncio.create_task(adapter.next_agent(None, "")) for _ in range(3)]
        await asyncio.sleep(0.1)
        asks[0].cancel()
        await sign_in(desk, "maria")
        assert await asyncio.gather(*asks[1:]) == ["maria", "maria"]
        await asyncio.sleep(3)
        last = asyncio.create_task(adapter.next_agent(None, ""))
        await asyncio.sleep(0)
        last.cancel()
        await asyncio.sleep(31)
        assert held(desk, "maria") == 0

    play(script)


def test_a_log_that_is_down_is_said_and_nobody_stays_held() -> None:
    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        await sign_in(desk, "maria")
        await desk.close()
        with pytest.raises(LogUnavailable):
            await adapter.next_agent(None, "")
        with pytest.raises(LogUnavailable):
            await adapter.take(payload("LivechatSessionTaken", **served_by("maria")))
        assert held(desk, "maria") == 0

    play(script)


def test_a_question_whose_task_cannot_be_taken_back_now_leaves_none_for_long() -> None:
    """It would be offered to whoever becomes free, for a chat that there is not."""

    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        asked = asyncio.create_task(adapter.next_agent(None, ""))
        await asyncio.sleep(0.1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(desk.journal, "has_room", lambda: False)
            assert await asked is None
            await asyncio.sleep(45)
            assert len(open_tasks(desk)) == 1
        await asyncio.sleep(31)
        assert open_tasks(desk) == []

    play(script)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_in_whatever_order_the_books_agree_in_the_end(seed: int) -> None:
    """Questions and events at random: no answer overfills anybody, and closed rooms leave nothing behind."""

    async def script(desk: Desk, adapter: RocketChat, loop: VirtualLoop) -> None:
        rng = Random(seed)
        names = ["maria", "jonas", "eva"]
        for name in names:
            await sign_in(desk, name, capacity=2)
        for _ in range(300):
            room, name = f"r{rng.randrange(6)}", rng.choice(names)
            what = rng.randrange(6)
            if what == 0:
                before = {each: held(desk, each) for each in names}
                answers = {each for each in await ask(adapter, rng.choice([1, 10, 13])) if each}
                assert all(before[each] < 2 or held(desk, each) <= before[each] for each in answers)
            else:
                kinds = ["LivechatSessionTaken", "LivechatSessionForwarded", "LivechatSessionQueued", "LivechatSession"]
                kind = kinds[what - 1] if what < 5 else "Message"
                await adapter.take(payload(kind, room, **(served_by(name) if what < 3 else {})))
            await asyncio.sleep(rng.choice([0, 0.5, 3, 40]))
            for each in names:
                tasks = [task for task in open_tasks(desk) if task.assignment and task.assignment.resource_id == each]
                assert held(desk, each) == sum(task.assignment.weight for task in tasks if task.assignment)
            rooms = [
                task.context["rocketchat"]["room"] for task in open_tasks(desk) if task.state is not TaskState.WRAPPING
            ]
            known = [each for each in rooms if each]
            assert len(known) == len(set(known))
        for number in range(6):
            await adapter.take(payload("LivechatSession", f"r{number}"))
        await asyncio.sleep(100)
        assert [held(desk, each) for each in names] == [0, 0, 0]
        assert open_tasks(desk) == []

    play(script)
