"""The question of Rocket.Chat's external routing: who is next? It is answered at once, or not at all.

Rocket.Chat asks before it says for which chat, and by several equal requests at the same time, of which it takes one
answer. So requests that come together are one question; the agent is chosen by a task that is offered and accepted in
one go, in the agent's name; and the task holds the agent until an event names the room, or nothing has come of it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from router.adapters.rocketchat import CONTEXT, context_of
from router.assign.command import Accept, CancelTask, CreateTask
from router.assign.errors import Refused
from router.assign.transition import TERMINAL, OfferState
from router.log.errors import LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from router.adapters.desk import Desk
    from router.adapters.settings import RocketChatSettings
    from router.assign.event import Event


class _Question:
    """Requests that share an answer."""

    __slots__ = ("answer", "asked")

    def __init__(self, answer: asyncio.Task[str | None]) -> None:
        self.answer = answer
        self.asked = 1


class Selection:
    """Names agents and holds them. Safety: one event loop."""

    def __init__(self, settings: RocketChatSettings, desk: Desk, next_id: Callable[[], str]) -> None:
        self._settings, self._desk, self._next_id = settings, desk, next_id
        self._questions: dict[tuple[str, str], _Question] = {}
        self._answers: set[asyncio.Task[str | None]] = set()
        self._offered: dict[str, asyncio.Event] = {}  # by task
        self._held: dict[str, asyncio.TimerHandle] = {}  # by task
        self._releases: set[asyncio.Task[None]] = set()

    async def next_agent(self, queue: str, department: str | None, ignored: str) -> str | None:
        """The resource that is to have the next chat; None: nobody is free. Raises: Refused, LogUnavailable."""
        key, settings = (queue, ignored), self._settings
        question = self._questions.get(key)
        if question is None or question.asked >= settings.asks:
            question = _Question(asyncio.create_task(self._choose(queue, department, ignored)))
            self._answers.add(question.answer)
            question.answer.add_done_callback(self._answered)
            self._questions[key] = question
            asyncio.get_running_loop().call_later(settings.asks_within_ms / 1e3, self._forget, key, question)
        else:
            question.asked += 1
        return await asyncio.shield(question.answer)  # whoever leaves takes nothing from the others

    def reserved_for(self, resource_id: str) -> str:
        """The oldest task that holds an agent for a room that is not known yet; empty: none."""
        tasks = self._desk.state.tasks
        for task_id in self._held:
            task = tasks.get(task_id)
            if task is not None and task.assignment is not None and task.assignment.resource_id == resource_id:
                return task_id
        return ""

    def keep(self, task_id: str) -> None:
        """Its room is known: it ends with the room."""
        if (timer := self._held.pop(task_id, None)) is not None:
            timer.cancel()

    def hold(self, task_id: str) -> None:
        """Let go of the agent unless a room is heard of."""
        loop = asyncio.get_running_loop()
        self._held[task_id] = loop.call_later(self._settings.hold_s, self._release, task_id)

    def heard(self, events: Sequence[Event]) -> None:
        """What has happened to tasks that wait for somebody."""
        for event in events:
            if (waiting := self._offered.get(event.subject)) is not None:
                waiting.set()

    async def close(self) -> None:
        for timer in self._held.values():
            timer.cancel()
        tasks = [*self._answers, *self._releases]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _choose(self, queue: str, department: str | None, ignored: str) -> str | None:
        task_id = f"{CONTEXT}-{self._next_id()}"
        written: list[Awaitable[object]] = []
        context = context_of("", department)
        excluded = (ignored,) if ignored else ()
        create = CreateTask(id=task_id, queue=queue, channel=self._settings.channel, excluded=excluded, context=context)
        written.append(self._desk.submit_now(create)[1])
        resource_id: str | None = None
        try:
            resource_id = self._taker(task_id, written) or await self._wait(task_id, written)
        finally:
            if resource_id is None:
                self._cancel(task_id, written)
            else:
                self.hold(task_id)
        for durable in written:
            await durable
        return resource_id

    async def _wait(self, task_id: str, written: list[Awaitable[object]]) -> str | None:
        """Until somebody is offered the task, as batch matching does it or as somebody becomes free."""
        offered = self._offered[task_id] = asyncio.Event()
        resource_id = None
        try:
            async with asyncio.timeout(self._settings.patience_ms / 1e3):
                while resource_id is None:
                    await offered.wait()
                    offered.clear()
                    resource_id = self._taker(task_id, written)
        except TimeoutError:
            pass
        finally:
            del self._offered[task_id]
        return resource_id

    def _taker(self, task_id: str, written: list[Awaitable[object]]) -> str | None:
        """Who has the task; an offer is accepted in its agent's name, because Rocket.Chat asks nobody."""
        task = self._desk.state.tasks.get(task_id)
        if task is None or task.state in TERMINAL:
            return None
        for offer in task.offers:
            if offer.state is OfferState.PENDING:
                with suppress(Refused):  # its agent has just left
                    accept = Accept(offer_id=offer.id, resource_id=offer.resource_id)
                    written.append(self._desk.submit_now(accept)[1])
                    break
        return None if task.assignment is None else task.assignment.resource_id

    def _cancel(self, task_id: str, written: list[Awaitable[object]]) -> None:
        try:
            written.append(self._desk.submit_now(CancelTask(task_id=task_id))[1])
        except Refused:
            pass  # it has ended by itself
        except LogUnavailable:
            self.hold(task_id)  # to be cancelled later

    def _answered(self, answer: asyncio.Task[str | None]) -> None:
        self._answers.discard(answer)
        if not answer.cancelled():
            answer.exception()  # it is its askers', who may all have left

    def _forget(self, key: tuple[str, str], question: _Question) -> None:
        if self._questions.get(key) is question:
            del self._questions[key]

    def _release(self, task_id: str) -> None:
        """No room came of it."""
        del self._held[task_id]
        release = asyncio.get_running_loop().create_task(self._let_go(task_id))
        self._releases.add(release)
        release.add_done_callback(self._releases.discard)

    async def _let_go(self, task_id: str) -> None:
        try:
            await self._desk.submit_now(CancelTask(task_id=task_id))[1]
        except Refused:
            pass  # it has ended by itself
        except LogUnavailable:
            self.hold(task_id)
