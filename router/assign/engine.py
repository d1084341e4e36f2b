"""The engine: one command at a time in, events out. Pure: the time is in the call, ids are in the commands.

```
step(command, now_ns):  refuse, having changed nothing  |  change entities, match, tell events, set timers
```
A log of accepted commands is the state: replayed in order, with the times they had, they give the same state, the same
events and the same hash. `take_changes` gives the rows for a checkpoint, `restore` begins from them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from router.assign import command as do
from router.assign import life, mood, moving, offering, pausing, presence, system, timer
from router.assign.entity import Kept, Queue, Resource, Task
from router.assign.errors import KeyReused, Same
from router.assign.policy import Policy
from router.assign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.assign.event import Event
    from router.assign.gather import Matching
    from router.assign.state import Condition


class Stepped(NamedTuple):
    """What a command did."""

    subject: str
    """The id of the task, resource or queue it was about."""
    events: tuple[Event, ...]
    matchings: tuple[Matching, ...]
    position: int
    is_repeat: bool
    """It had been done before: nothing was changed, and nothing is logged."""


class Change(NamedTuple):
    """A row of a checkpoint. `body` None: gone; `is_kept`: gone from memory, but worth finding in the store."""

    kind: str
    id: str
    body: bytes | None
    is_kept: bool = False


class _Clock(msgspec.Struct, kw_only=True):
    """What there is beside the entities."""

    epoch: int
    position: int
    now_ns: int
    tasks_total: int
    ended_total: int
    matchings_total: int
    system_seq: int


_ENTITY = {"task": Task, "resource": Resource, "queue": Queue, "key": Kept}
_DECODE: dict[str, Callable[[bytes], Any]] = {
    **{kind: msgspec.msgpack.Decoder(entity).decode for kind, entity in _ENTITY.items()},
    "policy": msgspec.msgpack.Decoder(Policy).decode,
    "clock": msgspec.msgpack.Decoder(_Clock).decode,
}
_HANDLERS: dict[type[do.Command], Callable[[State, Any], str | Same]] = {
    do.Configure: system.configure,
    do.Resume: system.resume,
    do.Tick: timer.fire,
    do.SetQueue: system.set_queue,
    do.Propose: system.propose,
    do.CreateTask: life.create,
    do.UpdateTask: life.update,
    do.CancelTask: life.cancel,
    do.RequeueTask: moving.requeue,
    do.TransferTask: moving.transfer,
    do.EscalateTask: moving.escalate,
    do.CompleteTask: life.complete,
    do.PauseTask: pausing.pause,
    do.ResumeTask: pausing.resume,
    do.PostponeTask: moving.postpone,
    do.Signal: mood.take,
    do.Accept: offering.accept,
    do.Decline: offering.decline,
    do.PutResource: presence.put,
    do.SetPresence: presence.set_presence,
    do.Suspect: presence.suspect,
    do.Restore: presence.restore,
}


class Engine:
    """One shard. Not thread safe."""

    def __init__(self, compile_condition: Callable[[str], Condition], policy: Policy) -> None:
        state = self.state = State(compile_condition, policy)
        self._entities: dict[str, dict[str, Any]] = {
            "task": state.tasks, "resource": state.resources, "queue": state.queues, "key": state.keys,
        }  # fmt: skip
        self._changed: dict[tuple[str, str], None] = {("policy", "policy"): None}
        self._left: dict[str, bytes] = {}  # ended tasks that have left memory since the last `take_changes`
        self._note(state.settle())

    def step(self, command: do.Command, now_ns: int) -> Stepped:
        """Do a command. Raises: Refused: it can't be done; nothing has changed."""
        state = self.state
        if command.key:
            kept = state.keys.get(command.key)
            if kept is not None:
                if kept.digest != command.digest:
                    raise KeyReused("Idempotency-Key: it came with another command before")
                return Stepped(kept.subject, (), (), state.position, is_repeat=True)
        before_ns, state.now_ns = state.now_ns, max(now_ns, state.now_ns)
        state.position += 1
        state.cause = str(type(command).__struct_config__.tag)
        try:
            subject = _HANDLERS[type(command)](state, command)
        except BaseException:
            state.now_ns, state.position = before_ns, state.position - 1
            raise
        if isinstance(subject, Same):
            state.now_ns, state.position = before_ns, state.position - 1
            return Stepped(subject.subject, (), (), state.position, is_repeat=True)
        if command.key:
            self._remember(command, subject)
        events, matchings = tuple(state.events), tuple(state.matchings)
        state.events.clear()
        state.matchings.clear()
        if isinstance(command, do.Configure):
            self._changed["policy", "policy"] = None
        self._note(state.settle())
        self._forget_ended()
        return Stepped(subject, events, matchings, state.position, is_repeat=False)

    def due_ns(self) -> int | None:
        """When a `Tick` has something to do."""
        first = self.state.timers.first
        return None if first is None else first[0]

    def touched(self) -> list[tuple[str, str]]:
        """(kind, id) of all that has changed since the last `take_changes`."""
        return list(self._changed)

    def left(self, task_id: str) -> bytes | None:
        """An ended task that has left memory since the last `take_changes`, whose row has yet to be written."""
        return self._left.get(task_id)

    def take_changes(self) -> list[Change]:
        """The rows that differ from those of the last call, and the clock, which says of which position they are."""
        rows = [self._row(kind, name) for kind, name in self._changed]
        self._changed.clear()
        self._left.clear()
        rows.append(Change("clock", "clock", msgspec.msgpack.encode(self._clock())))
        return rows

    def hash(self) -> bytes:
        """SHA-256 of all that is kept: equal states have equal hashes, and others have not."""
        state, digest = self.state, hashlib.sha256()
        for kind, named in self._entities.items():
            for name in sorted(named):
                digest.update(f"{kind}/{name}/".encode() + msgspec.msgpack.encode(named[name]))
        digest.update(msgspec.msgpack.encode(state.policy) + msgspec.msgpack.encode(self._clock()))
        return digest.digest()

    @classmethod
    def restore(cls, rows: Iterable[tuple[str, str, bytes]], compile_condition: Callable[[str], Condition]) -> Engine:
        """Begin from the rows of a checkpoint: (kind, id, body), in any order. Raises: msgspec.DecodeError."""
        found: dict[str, dict[str, Any]] = {kind: {} for kind in _DECODE}
        for kind, name, body in rows:
            if kind in found:
                found[kind][name] = _DECODE[kind](body)
        engine = cls(compile_condition, found["policy"]["policy"])
        system.load(engine.state, found)
        engine.state.settle()
        engine._changed.clear()
        return engine

    def _clock(self) -> _Clock:
        state = self.state
        return _Clock(
            epoch=state.epoch, position=state.position, now_ns=state.now_ns, tasks_total=state.tasks_total,
            ended_total=state.ended_total, matchings_total=state.matchings_total, system_seq=state.system_seq,
        )  # fmt: skip

    def _note(self, touched: Iterable[tuple[str, str]]) -> None:
        self._changed.update(dict.fromkeys(touched))

    def _row(self, kind: str, name: str) -> Change:
        if kind == "policy":
            return Change(kind, name, msgspec.msgpack.encode(self.state.policy))
        entity = self._entities[kind].get(name)
        if entity is None and name in self._left:
            return Change(kind, name, self._left[name], is_kept=True)
        return Change(kind, name, None if entity is None else msgspec.msgpack.encode(entity))

    def _remember(self, command: do.Command, subject: str) -> None:
        state = self.state
        state.keys[command.key] = Kept(
            digest=command.digest, subject=subject, at_ns=state.now_ns, position=state.position
        )
        self._changed["key", command.key] = None
        oldest_ns = state.now_ns - int(state.policy.key_s * 1e9)
        while state.keys:
            key, kept = next(iter(state.keys.items()))
            if len(state.keys) <= state.policy.keep_keys and kept.at_ns >= oldest_ns:
                break
            del state.keys[key]
            self._changed["key", key] = None

    def _forget_ended(self) -> None:
        state = self.state
        while len(state.ended) > state.policy.keep_closed:
            task = state.tasks.pop(state.ended.popleft())
            self._left[task.id] = msgspec.msgpack.encode(task)
            self._changed["task", task.id] = None
