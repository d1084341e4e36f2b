"""Decisions that become tasks: a real desk behind the real pipeline, in virtual time."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from models.classifier import Prediction
from router.assign import command as do
from router.assign.entity import ChannelLimit
from router.assign.policy import ChannelPolicy, HoursPolicy, Policy, QueuePolicy
from router.desk.desk import Desk
from router.domain.decision import TaskAnswer
from router.domain.interaction import Interaction, TaskHints
from router.handover import Handover
from router.log import LogUnavailable, MemoryJournal
from router.policy.point import Request, build_point
from router.policy.project import Project, RoutesFile, RouteSpec, RulesFile, RuleSpec
from router.queues import compile_condition
from tests.spine import ROUTES, Answer, Spine, build_spine
from tests.virtual import MS, VirtualLoop, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

POLICY = Policy(
    version="1",
    queues={
        **{name: QueuePolicy(most=3, aht_s=100.0) for name in ROUTES},
        "loans": QueuePolicy(hours="never"),
    },
    channels={"chat": ChannelPolicy()},
    hours={"never": HoursPolicy(week={"mon": ("00:00-00:01",)})},
    skills=("french",),
)


class SlowJournal(MemoryJournal):
    """Takes its time for a commit, or is out of order."""

    def __init__(self, delay_s: float = 0.0) -> None:
        super().__init__()
        self.delay_s = delay_s
        self.is_down = False

    def has_room(self) -> bool:
        return super().has_room() and not self.is_down

    def commit(self) -> Awaitable[None]:
        if not self.delay_s:
            return super().commit()
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_later(self.delay_s, future.set_result, None)
        return future


def sure_of(route: str) -> Prediction:
    return Prediction(route, 0.9, ())


@dataclass(slots=True)
class World:
    spine: Spine
    desk: Desk
    journal: SlowJournal

    async def ask(self, text: str = "where is it?", *stated_ms: float, **fields: Any) -> Answer:
        return await self.spine.ask(text, *stated_ms, **fields)

    async def task(self, text: str = "where is it?", *stated_ms: float, **fields: Any) -> TaskAnswer:
        task = (await self.ask(text, *stated_ms, **fields)).decision.task
        assert task is not None
        return task

    async def sign_in(self, name: str, *queues: str, kind: str = "agent") -> None:
        limit = {"chat": ChannelLimit()}
        await self.desk.submit(do.PutResource(id=name, kind=kind, queues=queues, channels=limit, capacity=1))
        await self.desk.submit(do.SetPresence(resource_id=name, presence="available", session="s"))


def play(scenario: Callable[[World], Awaitable[None]], *, delay_s: float = 0.0, is_open: bool = True) -> None:
    async def main(loop: VirtualLoop) -> None:
        journal = SlowJournal(delay_s)
        desk = Desk(journal, loop.clock, POLICY, compile_condition)
        await desk.start()
        handover = Handover(desk, desk.state, keep_text=True)
        handover.is_open = is_open
        await scenario(World(build_spine(loop, handover=handover), desk, journal))
        await desk.close()

    run(main)


def test_a_decision_for_a_queue_creates_its_task() -> None:
    async def scenario(world: World) -> None:
        hints = TaskHints(priority=2, skills={"french": 3}, preferred=("anna",), service_class="gold")
        answer = await world.ask(customer_id="c-1", context={"vip": True, "route": "mine"}, task=hints)
        told = answer.decision.task
        assert told == TaskAnswer(id=f"t-{answer.decision.decision_id}", state="queued", queue="cards", position=1)
        task = world.desk.state.tasks[told.id]
        assert (task.customer_id, task.priority, task.skills, task.preferred, task.service_class) == (
            "c-1", 2, {"french": 3}, ("anna",), "gold",
        )  # fmt: skip
        assert task.context == {"route": "mine", "text": "where is it?", "vip": True}, "the client's own words win"
        record = await world.spine.log.get(answer.decision.decision_id)
        assert record is not None
        assert record.task_id == told.id

    play(scenario)


def test_what_is_known_of_the_task_is_told() -> None:
    async def scenario(world: World) -> None:
        await world.sign_in("anna", "cards")
        first = await world.task()
        assert first.state == "offered"
        assert first.offer is not None
        assert (first.offer.resource_id, first.offer.id, first.offer.expires_in_s) == ("anna", f"{first.id}-1", 30.0)
        assert first.position == 1
        second = await world.task()
        assert (second.state, second.position, second.ewt_s) == ("queued", 2, 100.0)
        await world.sign_in("robot", "cards", kind="bot")
        assert world.desk.state.tasks[second.id].state == "assigned"

    play(scenario)


def test_a_later_message_of_a_session_speaks_of_its_open_task() -> None:
    async def scenario(world: World) -> None:
        first = await world.task(session_id="s-1")
        again = await world.task("hm", session_id="s-1", context={"mood": "low"})
        assert again == first
        assert world.desk.state.tasks[first.id].context["mood"] == "low"
        assert len(world.desk.state.tasks) == 1
        assert (await world.task(session_id="s-2")).id != first.id
        await world.desk.submit(do.CancelTask(task_id=first.id))
        assert (await world.task(session_id="s-1")).id != first.id, "the next matter is a new task"

    play(scenario)


def test_the_same_interaction_is_one_task_and_one_without_a_name_is_another() -> None:
    async def scenario(world: World) -> None:
        assert (await world.task(id="i-1")).id == (await world.task(id="i-1")).id
        assert (await world.task()).id != (await world.task()).id

    play(scenario)


def test_a_guard_moves_a_conversation_and_a_model_does_not_once_people_are_asked() -> None:
    async def scenario(world: World) -> None:
        first = await world.task("i lost it", session_id="s-1")
        assert first.queue == "cards"
        world.spine.large.answer = sure_of("loans")
        assert (await world.task("and now?", session_id="s-1")).queue == "cards"
        moved = await world.task("a real person please", session_id="s-1")
        assert (moved.id, moved.queue, moved.state) == (first.id, "human", "queued")

    play(scenario)


def test_a_model_moves_a_conversation_that_a_bot_holds() -> None:
    async def scenario(world: World) -> None:
        await world.sign_in("robot", "cards", kind="bot")
        first = await world.task(session_id="s-1")
        assert first.state == "assigned"
        world.spine.large.answer = sure_of("help")
        moved = await world.task("something else", session_id="s-1")
        assert (moved.id, moved.queue, moved.state) == (first.id, "help", "queued")

    play(scenario)


def test_a_message_during_wrap_up_is_a_new_matter() -> None:
    async def scenario(world: World) -> None:
        await world.sign_in("anna", "cards")
        first = await world.task(session_id="s-1")
        assert first.offer is not None
        await world.desk.submit(do.Accept(offer_id=first.offer.id))
        assert (await world.task(session_id="s-1")).state == "assigned"
        await world.desk.submit(do.CompleteTask(task_id=first.id))
        assert world.desk.state.tasks[first.id].state == "wrapping"
        assert (await world.task(session_id="s-1")).id != first.id

    play(scenario)


def test_a_closed_queue_is_said() -> None:
    async def scenario(world: World) -> None:
        world.spine.large.answer = sure_of("loans")
        task = await world.task()
        assert (task.state, task.queue, task.reason) == ("scheduled", "loans", "closed")
        assert task.open_at is not None
        assert task.open_at.endswith("00:00:00Z")

    play(scenario)


def test_a_full_queue_is_said_and_is_no_error_of_the_decision() -> None:
    async def scenario(world: World) -> None:
        for _ in range(3):
            await world.task()
        answer = await world.ask()
        task = answer.decision.task
        assert task is not None
        assert (task.state, task.queue, task.reason) == ("refused", "cards", "engine-full")
        assert task.detail is not None
        assert "3 tasks wait" in task.detail
        record = await world.spine.log.get(answer.decision.decision_id)
        assert record is not None
        assert record.task_id is None, "there is no such task"
        assert (answer.decision.degraded, answer.decision.route) == ("none", "cards")

    play(scenario)


@pytest.mark.parametrize("why", ["full", "not open"])
def test_a_log_that_takes_nothing_is_said(why: str) -> None:
    async def scenario(world: World) -> None:
        world.journal.is_down = why == "full"
        task = await world.task()
        assert (task.state, task.reason) == ("refused", LogUnavailable.code)
        assert not world.desk.state.tasks
        world.journal.is_down = False

    play(scenario, is_open=why == "full")


def test_a_slow_disk_costs_no_more_than_the_budget_and_the_task_is_there_all_the_same() -> None:
    async def scenario(world: World) -> None:
        answer = await world.ask("where is it?", 50.0)
        task = answer.decision.task
        assert task is not None
        assert task == TaskAnswer(id=f"t-{answer.decision.decision_id}", state="pending")
        assert answer.budget.is_met()
        assert answer.decision.waited_ns > 30 * MS
        assert world.desk.state.tasks[task.id].state == "queued"
        await asyncio.sleep(0.1)

    play(scenario, delay_s=0.06)


def test_what_happens_while_the_disk_is_waited_for_is_not_told() -> None:
    """It may be lost in a crash, and the answer is of what is on the disk."""

    async def scenario(world: World) -> None:
        asking = asyncio.ensure_future(world.task("where is it?", 500.0))
        while not world.desk.state.tasks:
            await asyncio.sleep(0.001)
        (task_id,) = world.desk.state.tasks
        world.desk.submit_now(do.CancelTask(task_id=task_id))
        told = await asking
        assert (told.id, told.state) == (task_id, "queued")
        await world.desk.settled()

    play(scenario, delay_s=0.06)


def test_a_text_that_is_not_to_be_kept_is_not_in_the_journal() -> None:
    async def main(loop: VirtualLoop) -> None:
        journal = MemoryJournal()
        desk = Desk(journal, loop.clock, POLICY, compile_condition)
        await desk.start()
        handover = Handover(desk, desk.state, keep_text=False)
        handover.is_open = True
        spine = build_spine(loop, handover=handover)
        for text in ("where is it, sesame?", "open, sesame"):
            assert (await spine.ask(text, session_id="s-1")).decision.task is not None
        desk._checkpoint()
        rows = await journal.find("task", next(iter(desk.state.tasks)))
        assert rows is not None
        kept = [entry.command for entry in journal.entries()]
        events = [event.body for event in await journal.events_since((0, 0), 100)]
        assert not [each for each in (rows, *kept, *events) if b"sesame" in each]
        await desk.close()

    run(main)


def test_a_wait_for_the_disk_is_no_cost_of_its_own() -> None:
    async def scenario(world: World) -> None:
        for _ in range(200):
            answer = await world.ask("what?", 50.0, id="i-1")
            assert answer.decision.task is not None
            assert answer.decision.task.state == "queued"
            assert 20 * MS <= answer.decision.waited_ns < 25 * MS
            assert answer.decision.rung != "default", "as much time is left for models as at first"

    play(scenario, delay_s=0.02)


def test_a_question_creates_no_task() -> None:
    async def scenario(world: World) -> None:
        request = Request(Interaction(text="where is it?"), 50.0, is_question=True)
        decision = await world.spine.pipeline.decide(world.spine.point, request, world.spine.open())
        assert decision.task is None
        assert not world.desk.state.tasks

    play(scenario)


def test_the_idempotency_key_of_a_request_is_its_tasks() -> None:
    async def scenario(world: World) -> None:
        ids = []
        for _ in range(2):
            request = Request(Interaction(text="where is it?"), 50.0, key="k", digest=b"d")
            decision = await world.spine.pipeline.decide(world.spine.point, request, world.spine.open())
            assert decision.task is not None
            ids.append(decision.task.id)
        assert ids[0] == ids[1]

    play(scenario)


def test_a_message_that_is_sent_again_under_its_key_counts_once() -> None:
    """As after a restart, which has forgotten the answer of the first time."""

    async def scenario(world: World) -> None:
        await world.sign_in("robot", "cards", kind="bot")
        versions = []
        for key in ("k1", "k2", "k2", "k1"):
            request = Request(Interaction(text="where is it?", session_id="s-1"), 50.0, key=key, digest=b"d")
            decision = await world.spine.pipeline.decide(world.spine.point, request, world.spine.open())
            assert decision.task is not None
            (task,) = world.desk.state.tasks.values()
            versions.append(task.version)
        assert versions[0] < versions[1] == versions[2] == versions[3]

    play(scenario)


def test_without_a_desk_there_is_no_task() -> None:
    async def main(loop: VirtualLoop) -> None:
        spine = build_spine(loop)
        assert (await spine.ask("where is it?")).decision.task is None

    run(main)


def test_conditions_read_the_queues_as_they_are() -> None:
    """To the bot while the wait is long, which it is without end while nobody is there."""

    async def scenario(world: World) -> None:
        spine = world.spine
        guard = RuleSpec(name="long", route="help", when='queues.cards.ewt_s > 250.0 && channel == "chat"')
        routes = {name: RouteSpec(target=spine.point.targets[name]) for name in ROUTES}
        project = Project(
            routes=RoutesFile(default="help", unsure="human", routes=routes),
            rules=RulesFile(guards=(guard,)),
            routes_path=Path("routes.toml"),
        )
        spine.point, plan = build_point("interactions", project, spine.point.budget, POLICY.queues), spine.point.plan
        spine.point.plan = plan
        assert spine.point.queues == ("cards",)
        assert (await world.ask()).decision.route == "help", "nobody is there"
        await world.sign_in("anna", "cards")
        assert (await world.ask()).decision.route == "cards", "somebody is free"
        assert (await world.ask()).decision.route == "cards", "a wait of 100 s"
        assert (await world.ask()).decision.route == "cards", "a wait of 200 s"
        assert (await world.ask()).decision.route == "help", "a wait of 300 s"
        assert (await world.ask(channel="email")).decision.route == "cards"

    play(scenario)


def test_what_conditions_may_name_of_a_queue() -> None:
    async def scenario(world: World) -> None:
        handover = Handover(world.desk, world.desk.state, keep_text=True)
        assert handover.loads(["cards"]) == {
            "cards": {"waiting": 0, "ewt_s": math.inf, "agents": 0, "free": 0, "is_open": True}
        }
        handover.is_open = True
        await world.sign_in("anna", "cards")
        assert handover.loads(["cards", "gone"]) == {
            "cards": {"waiting": 0, "ewt_s": 0.0, "agents": 1, "free": 1, "is_open": True}
        }
        assert handover.loads(["loans"])["loans"]["is_open"] is False

    play(scenario)
