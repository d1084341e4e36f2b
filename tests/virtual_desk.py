"""Desks in virtual time: a journal whose disk is slow, full, down or lost, and commands to try them with."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from router.assign.command import CreateTask, PutResource, SetPresence
from router.assign.engine import Engine
from router.assign.entity import ChannelLimit
from router.assign.policy import Policy, QueuePolicy
from router.desk.desk import Desk
from router.desk.record import decode_command
from router.desk.recovery import NEW
from router.log.errors import LogUnavailable
from router.log.journal import Checkpoint, Entry, JournalStats
from router.log.memory import JournalMemory, MemoryJournal
from tests.virtual import MS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from router.assign.event import Event
    from tests.virtual import VirtualLoop

RETRY_NS = 20 * MS


class VirtualJournal(MemoryJournal):
    """Takes `write_ns` to write all that waits. While `is_down` it tries again; what is not written dies with it."""

    def __init__(self, loop: VirtualLoop, memory: JournalMemory, write_ns: int = 2 * MS, bound: int = 1_000) -> None:
        super().__init__(memory, most=1_000_000)
        self.loop, self.write_ns, self.bound = loop, write_ns, bound
        self.is_down = False
        self.is_dead = False
        self._is_failing = False
        self._is_writing = False
        self._queue: deque[Entry | Checkpoint] = deque()
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._taken_total = 0
        self._settled_total = 0

    def kill(self) -> None:
        """The process is gone: nothing more is written, nobody is told anything."""
        self.is_dead = True

    def has_room(self) -> bool:
        return super().has_room() and len(self._queue) < self.bound

    def append(self, entry: Entry) -> bool:
        if not self.has_room():
            return False
        self._take(entry)
        return True

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        self._take(checkpoint)

    def commit(self) -> Awaitable[None]:
        waiter: asyncio.Future[None] = self.loop.create_future()
        if self._taken_total == self._settled_total:
            waiter.set_result(None)
        else:
            self._waiters.append((self._taken_total, waiter))
        return waiter

    async def close(self) -> None:
        for _ in range(100):  # 2 s of attempts
            if not self._queue:
                break
            waiter: asyncio.Future[None] = self.loop.create_future()
            self.loop.call_later(RETRY_NS / 1e9, waiter.set_result, None)
            await waiter
        await super().close()
        for _, waiter in self._waiters:
            waiter.set_exception(LogUnavailable("the journal is closed"))
        self._waiters.clear()

    def stats(self) -> JournalStats:
        state = super().stats()
        if self._is_failing:
            return replace(state, state="failing", last_error="the disk is down")
        return replace(state, queued=len(self._queue))

    def _take(self, step: Entry | Checkpoint) -> None:
        self._queue.append(step)
        self._taken_total += 1
        if not self._is_writing:
            self._write()

    def _write(self) -> None:
        self._is_writing = True
        count = len(self._queue)
        self.loop.outside(self.loop.clock.now_ns() + self.write_ns, lambda: self._written(count))

    def _written(self, count: int) -> None:
        """In the writer's thread, so the loop is only called."""
        if self.is_dead:
            return
        self._is_failing = self.is_down
        if self.is_down:
            self.loop.outside(self.loop.clock.now_ns() + RETRY_NS, lambda: self._written(count))
            return
        for _ in range(count):
            step = self._queue.popleft()
            if isinstance(step, Entry):
                assert super().append(step)
            else:
                super().checkpoint(step)
        self._settled_total += count
        while self._waiters and self._waiters[0][0] <= self._settled_total:
            self.loop.call_soon(_resolve, self._waiters.popleft()[1])
        self._is_writing = False
        if self._queue:
            self._write()


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class VirtualThread(Executor):
    """Runs one piece of work after the other, each in `duration_ns` of virtual time; a call runs when it ends."""

    def __init__(self, loop: VirtualLoop, duration_ns: int = 3 * MS) -> None:
        self.loop, self.duration_ns = loop, duration_ns
        self.calls_total = 0
        self._free_ns = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.calls_total += 1

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except Exception as error:  # noqa: BLE001 - as an executor does
                    future.set_exception(error)

        self._free_ns = max(self._free_ns, self.loop.clock.now_ns()) + self.duration_ns
        self.loop.outside(self._free_ns, run)
        return future


def never(_text: str) -> Callable[[dict[str, Any]], bool]:
    """For policies without conditions."""
    return lambda _facts: False


POLICY = Policy(version="1", queues={"cards": QueuePolicy(cooldown_s=5.0)})


@dataclass
class Place:
    """A disk that outlives the desks which work on it."""

    loop: VirtualLoop
    policy: Policy = POLICY
    folder: Path | None = None
    memory: JournalMemory = field(default_factory=JournalMemory)
    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = VirtualThread(self.loop)

    @asynccontextmanager
    async def desk(self, **journal: Any) -> AsyncIterator[tuple[Desk, VirtualJournal]]:
        """A desk at work, closed at the end unless it was killed."""
        store = VirtualJournal(self.loop, self.memory, **journal)
        places = {} if self.folder is None else {"folder": self.folder}
        desk = Desk(store, self.loop.clock, self.policy, never, executor=self.thread, **places)
        desk.subscribe(lambda events: None if store.is_dead else self.told.extend(events))
        await desk.start()
        try:
            yield desk, store
        finally:
            if store.is_dead:
                desk._alarm.stop()
                desk._closed = "killed"
                await desk._matcher.close()
            else:
                await desk.close()

    def replayed(self) -> Engine:
        """What the log makes of a new engine, without any checkpoint."""
        engine = Engine(never, NEW)
        for entry in self.memory.entries:
            stepped = engine.step(decode_command(entry.command), entry.at_ns)
            assert stepped.position == entry.position
        return engine

    async def is_whole(self, desk: Desk) -> bool:
        """Whether a desk's state is what the log says, once the log has all."""
        while self.memory.entries[-1].position != desk.state.position:
            await desk.settled()
        return self.replayed().hash() == desk._engine.hash()

    def kinds(self) -> list[str]:
        return [event.type for event in self.told]


def create(task_id: str, queue: str = "cards", **given: Any) -> CreateTask:
    return CreateTask(id=task_id, queue=queue, **given)


def agent(agent_id: str, most: int = 3, **given: Any) -> PutResource:
    limits = {"chat": ChannelLimit(most=most)}
    return PutResource(id=agent_id, queues=("cards",), channels=limits, capacity=most, **given)


def present(agent_id: str, presence: str = "available", session: str = "s1") -> SetPresence:
    return SetPresence(resource_id=agent_id, presence=presence, session=session)


async def sign_in(desk: Desk, *agent_ids: str, most: int = 3) -> None:
    for agent_id in agent_ids:
        await desk.submit(agent(agent_id, most))
        await desk.submit(present(agent_id))
