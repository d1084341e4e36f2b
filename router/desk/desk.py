"""The engine at work: one command after the other, each in the journal before anybody hears of it.

    submit ──► tick, if a timer is due ──► Engine.step ──► Journal.append ──► durable ──► told: subscribers, the caller
                                             │    refused: nothing changed, nothing logged
                                             └──► Matching ──► Matcher ──► Propose, a command as any other

While the journal is full or failing, commands are refused before they reach the engine: memory never runs ahead of
the log by more than the journal's bound. Timers wait for it too. Reads go on.

Time is the wall clock of the start and the monotonic time since, and begins no earlier than the log ends: however the
wall clock is set while the desk works, or between two processes, the engine's time goes on evenly.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from router.assign import command as do
from router.assign.errors import Refused
from router.desk.alarm import Alarm
from router.desk.lease import Leases
from router.desk.matcher import Matcher
from router.desk.outbox import Outbox
from router.desk.probe import Probe
from router.desk.record import decode_event, decode_task, entry_of, shelf_of_task, write_down
from router.desk.recovery import MANY, recover
from router.log.errors import LogFenced, LogUnavailable
from router.log.journal import Checkpoint, Row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor

    from budgets.clock import Clock
    from router.assign.engine import Change, Engine, Stepped
    from router.assign.entity import Task
    from router.assign.event import Event
    from router.assign.policy import Policy
    from router.assign.state import Condition, State
    from router.desk.outbox import Subscriber
    from router.log.journal import Journal

T = TypeVar("T")
_LOGGER = logging.getLogger("takt.assign")
_CHECKPOINT_COMMANDS = 250
"""Between two checkpoints. A start replays that many at most, in 25 ms; the rows that they change take 1 to 2 ms to
encode, and for so long a checkpoint keeps the event loop from other work."""
_LEASES_A_TURN = 32
"""Silent resources that are told of in one go: some ms of steps. The others follow when the event loop had its turn."""
_AHEAD_NS = 1_000_000_000
"""So far may the log's time be ahead of the wall clock at a start: more is worth a line."""
_FAILED = "the engine has stopped: see the server's log"
_RETRY_NS = 250_000_000
"""How long timers wait before they look again whether the journal takes commands."""


class Stopped(Refused):
    """A step failed in a way that nobody foresaw, so its state can't be trusted; a new start reads it from the log."""

    status, code = 503, "engine-stopped"


class DeskStats(NamedTuple):
    """How the desk is doing; counters are since `start`."""

    queued: int
    """Of the journal: commands and rows that are not durable yet."""
    written_total: int
    matchings_late_total: int
    matchings_failed_total: int
    violations_total: int
    """Of the invariants, where a look at them found any."""


class Desk:
    """One shard: its engine, its journal, its leases. Safety: one event loop."""

    def __init__(
        self, journal: Journal, clock: Clock, policy: Policy, compile_condition: Callable[[str], Condition],
        *, folder: Path = Path(), executor: Executor | None = None,
    ) -> None:  # fmt: skip
        """Args: policy: takes effect at `start`. folder: where the files of its models are. executor: for long work."""
        self._journal = journal
        self._clock = clock
        self._policy = policy
        self._compile = compile_condition
        self._engine: Engine
        self._epoch = 0
        self._offset_ns = 0  # of desk time, from monotonic time
        self._outbox = Outbox()
        self._leases = Leases(int(policy.lease.ttl_s * 1e9))
        self._executor = executor
        self._matcher = Matcher(self.now_ns, self._try, folder, executor)
        self._alarm = Alarm(self.now_ns, self._ring)
        self._probe = Probe()
        self._since_checkpoint = 0
        self._closed = "the engine has not started yet"  # why no commands are taken
        self._is_sound = False  # the state is that of the log

    # What others use.

    @property
    def state(self) -> State:
        """To be read only. It may be ahead of what is durable: `settled` waits for that."""
        return self._engine.state

    @property
    def journal(self) -> Journal:
        """For its readers: events, and rows that are kept."""
        return self._journal

    def now_ns(self) -> int:
        """The engine's time: UTC, ns since 1970."""
        return self._clock.now_ns() + self._offset_ns

    async def start(self, choose: Callable[[Policy], Awaitable[Policy]] | None = None) -> None:
        """Recover the state, take over, put the policy in force.

        Args: choose: given the policy that was in force, the one that shall be; without it, the constructor's.
        Raises: LogRefused: the journal can't be used as it is, and what to do. LogUnavailable: not now.
        Refused: the policy leaves out a queue that is in use.
        """
        recovered = await self._journal.start()
        self._engine = await recover(recovered, self._compile, self._executor)
        self._epoch, state = recovered.epoch, self._engine.state
        policy = self._policy if choose is None else await choose(state.policy)
        self._set_time(self._clock.wall_ns())
        await self._begin(do.Resume(epoch=self._epoch))
        if state.policy != policy:
            await self._begin(do.Configure(policy=policy))
        else:
            self._adopt()
        self._put_rows(await self._aside(self._engine.take_changes))
        await self._journal.commit()
        self._closed, self._is_sound = "", True
        for resource in state.resources.values():
            self._leases.follow(resource, self.now_ns())
        self._arm()
        _LOGGER.info("desk_started", extra={"epoch": self._epoch, "replayed": len(recovered.entries)})

    async def close(self) -> None:
        """Take no more commands, write a checkpoint, and wait, within the journal's bound, until all is durable."""
        self._closed = "the server is shutting down"
        self._alarm.stop()
        await self._matcher.close()
        self._checkpoint()
        settled = asyncio.ensure_future(self._outbox.settled())
        await self._journal.close()
        await asyncio.wait([settled])
        if (error := settled.exception()) is not None:
            _LOGGER.error("desk_closed_unsettled", extra={"why": str(error)})

    async def submit(self, command: do.Command) -> Stepped:
        """Do a command; returns when it, or what it repeats, is durable and was told to all subscribers.

        The caller brings the deadline; a command whose caller gives up stands all the same.
        Raises: Refused: nothing has changed; what the refusal is about is durable. LogUnavailable: it wasn't tried, or
        (closed meanwhile, another process) it is unknown whether it stands: the same command again will tell.
        """
        try:
            stepped, settled = self.submit_now(command)
        except Refused:
            await self._outbox.settled()
            raise
        await settled
        return stepped

    def submit_now(self, command: do.Command) -> tuple[Stepped, Awaitable[None]]:
        """Do a command without waiting; what is returned beside its effect resolves when that is durable and told.

        Raises: as `submit`.
        """
        self._check_open()
        if self._is_due():
            self._do(do.Tick())
            self._check_open()
        stepped = self._do(command)
        return stepped, self._outbox.settled()

    def settled(self) -> Awaitable[None]:
        """Resolve when all that was done so far is durable and told. Raises: LogUnavailable: it never will be."""
        return self._outbox.settled()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Tell it of all events from now on: in order, durable, once each. Returns how to end that.

        Who subscribes before `start` is told what a restart brings, too.
        """
        return self._outbox.subscribe(subscriber)

    def heartbeat(self, resource_id: str, session: str | None = None) -> bool:
        """A sign of life of a session; None: of whichever there is. False: none is signed in by that name."""
        known = self._leases.session_of(resource_id)
        if known is None or not self._leases.renewed(resource_id, known if session is None else session, self.now_ns()):
            return False
        self._arm()
        return True

    async def events(self, task_id: str, after_seq: int, most: int) -> list[Event]:
        """The durable events of a task behind a sequence number. Raises: LogUnavailable."""
        return [decode_event(body) for body in await self._journal.events(shelf_of_task(task_id), after_seq, most)]

    async def find_task(self, task_id: str) -> Task | None:
        """A task that is in memory no more, or else as it was at the last checkpoint. Raises: LogUnavailable."""
        body = self._engine.left(task_id) or await self._journal.find("task", task_id)
        return None if body is None else decode_task(body)

    def check(self) -> None:
        """Raises: LogUnavailable, Stopped: no command would be taken now, and why."""
        self._check_open()

    @property
    def end(self) -> str:
        """Why this process will take no command any more, whatever happens; empty: it may."""
        if self._closed == _FAILED:
            return _FAILED
        stats = self._journal.stats()
        return stats.last_error if stats.state == "fenced" else ""

    def stats(self) -> DeskStats:
        """A snapshot; never waits."""
        journal, matcher = self._journal.stats(), self._matcher
        return DeskStats(
            journal.queued,
            journal.written_total,
            matcher.late_total,
            matcher.failed_total,
            self._probe.violations_total,
        )

    # One command.

    def _check_open(self) -> None:
        """Raises: LogUnavailable, Stopped."""
        if self._closed:
            raise Stopped(_FAILED) if self._closed == _FAILED else LogUnavailable(self._closed)
        stats = self._journal.stats()
        if stats.state == "fenced":
            raise LogFenced(stats.last_error)
        if stats.state != "ok":
            raise LogUnavailable(f"the log can't be written now: {stats.last_error}")
        if not self._journal.has_room():
            raise LogUnavailable("as many commands as the log may hold back wait to be written")

    def _do(self, command: do.Command) -> Stepped:
        """Step and log. What is stepped is what a replay will read."""
        body, record = write_down(command)
        try:
            stepped = self._engine.step(record, self.now_ns())
            if not stepped.is_repeat:
                self._log(stepped, body)
        except Refused:
            raise
        except Exception as error:
            self._closed, self._is_sound = _FAILED, False
            _LOGGER.exception("engine_stopped", extra={"command": type(command).__name__})
            raise Stopped(_FAILED) from error
        if not stepped.is_repeat:
            self._attend(command, stepped)
        elif isinstance(command, do.SetPresence):
            self.heartbeat(command.resource_id)
        return stepped

    async def _begin(self, command: do.Command) -> None:
        """Do a command before all others."""
        body, record = write_down(command)
        stepped = await self._aside(partial(self._engine.step, record, self.now_ns()))
        self._log(stepped, body)
        self._attend(command, stepped)
        await self._outbox.settled()  # the next one needs room in the journal

    async def _aside(self, work: Callable[[], T]) -> T:
        """Work on the engine while nobody else does: to place or to encode many tasks takes seconds, so in a thread."""
        if len(self.state.tasks) <= MANY:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _log(self, stepped: Stepped, body: bytes) -> None:
        entry = entry_of(stepped, body, self.state.now_ns, self._epoch)
        if not self._journal.append(entry):
            raise RuntimeError(f"the journal refused command {stepped.position}, for which it had room")
        self._outbox.put(stepped.events, self._journal.commit())

    def _attend(self, command: do.Command, stepped: Stepped) -> None:
        """All that a command brings with it."""
        self._probe.look(self.state, stepped)
        for event in stepped.events:
            if event.type.startswith("resource."):
                self._leases.follow(self.state.resources[event.subject], self.now_ns())
        if isinstance(command, do.Configure):
            self._adopt()
        for matching in stepped.matchings:
            self._matcher.begin(self.state, matching)
        self._since_checkpoint += 1
        if self._since_checkpoint >= _CHECKPOINT_COMMANDS:
            self._since_checkpoint = 0
            asyncio.get_running_loop().call_soon(self._checkpoint)
        self._arm()

    def _adopt(self) -> None:
        """What the desk itself needs of a policy that has come into force."""
        policy = self.state.policy
        self._leases.ttl_ns = int(policy.lease.ttl_s * 1e9)
        self._matcher.prepare(policy)

    def _try(self, command: do.Command) -> None:
        """A command of the desk's own, which the state may have overtaken."""
        try:
            self._check_open()
            self._do(command)
        except (Refused, LogUnavailable) as error:
            _LOGGER.debug("command_dropped", extra={"command": type(command).__name__, "why": str(error)})

    def _checkpoint(self) -> None:
        if self._is_sound:
            self._put_rows(self._engine.take_changes())

    def _put_rows(self, changes: list[Change]) -> None:
        self._journal.checkpoint(Checkpoint(self.state.position, tuple([Row(*change) for change in changes])))

    # Time.

    def _set_time(self, wall_ns: int) -> None:
        """Go on with the wall clock's time, or where the log ends."""
        ahead_ns = self.state.now_ns - wall_ns
        self._offset_ns = wall_ns + max(0, ahead_ns) - self._clock.now_ns()
        if ahead_ns > _AHEAD_NS:
            effect = "business hours and times of tasks are ahead by so much, until a start after the clock caught up"
            _LOGGER.warning("clock_behind_log", extra={"ahead_s": round(ahead_ns / 1e9), "effect": effect})

    def _is_due(self) -> bool:
        due_ns = self._engine.due_ns()
        return due_ns is not None and due_ns <= self.now_ns()

    def _arm(self) -> None:
        """See to it that the first thing that is due is done."""
        dues = [due_ns for due_ns in (self._engine.due_ns(), self._leases.due_ns()) if due_ns is not None]
        if dues and not self._closed:
            self._alarm.set(min(dues))

    def _ring(self) -> None:
        """Do what is due."""
        try:
            self._check_open()
            if self._is_due():
                self._do(do.Tick())
            for _ in range(_LEASES_A_TURN):
                self._check_open()  # before the lease is asked: it tells only once
                told = self._leases.due(self.now_ns(), 1)
                if not told:
                    break
                self._try(told[0])
        except (LogUnavailable, Refused):
            if not self._closed:
                self._alarm.set(self.now_ns() + _RETRY_NS)
        else:
            self._arm()
