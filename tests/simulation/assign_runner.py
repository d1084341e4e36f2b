"""An engine that is checked after every step, and random lives for it, each of which a seed plays again.

python -m tests.simulation.assign_runner --seed 17 --steps 1000    one life, and what is broken in it, made small
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from router.assign import errors, ordered
from router.assign.command import Configure, PutResource, Resume, Tick, TransferTask
from router.assign.engine import Engine
from router.assign.invariant import Excess, Violation, check, check_touched, excess, passed_over
from router.assign.transition import TERMINAL
from router.policy.expression import Expression
from tests.simulation import assign_policy
from tests.simulation.assign_command import Commands
from tests.simulation.assign_fold import Fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from router.assign.command import Command
    from router.assign.engine import Stepped
    from router.assign.event import Event
    from router.assign.policy import Policy

S = 1_000_000_000
BEGIN_NS = 1_700_000_000 * S
"""A Tuesday, 22:13 UTC."""
ordered.BLOCK = 3  # small lives shall split their lines, too
_NONE = Excess()
_FACTS = (
    "resource", "waiting", "ewt_s", "agents", "free", "is_open", "waited_s", "priority", "channel", "service_class",
    "customer_id", "context",
)  # fmt: skip
_TICKS = 20
"""One after the other that leave a timer due: a time of 0 s is over in the tick that begins it."""
_PATIENCE_S = 60.0
"""For making an example small."""
_EVERY = 50
"""Steps between two looks at everything."""


class Entry(NamedTuple):
    """What happens to an engine: a command, or `checkpoint` or `restart`."""

    at_ns: int
    what: Command | str


class Broken(AssertionError):
    """An invariant does not hold; `entries` lead there."""

    def __init__(self, violations: Sequence[Violation], entries: Sequence[Entry]) -> None:
        super().__init__("\n".join(f"{each.invariant} {each.subject}: {each.detail}" for each in violations))
        self.violations = violations
        self.entries = entries


def compile_condition(text: str) -> Callable[[dict[str, Any]], bool]:
    """As the server has it."""
    condition = Expression(text, _FACTS)
    return lambda facts: condition.holds(facts.get)


class Checked:
    """An engine, its log and its checkpoints, and a look at the invariants after each step."""

    def __init__(self, policy: Policy, *, every: int = _EVERY) -> None:
        self.policy = policy
        self.engine = Engine(compile_condition, policy)
        self.entries: list[Entry] = []
        self.log: list[tuple[int, Command]] = []
        self.refused = 0
        self.fold = Fold()
        self._every = every
        self._rows: dict[tuple[str, str], bytes] = {}
        self._saved = 0  # the position of the checkpoint
        self._due_ticks = 0  # after which a timer was due at once
        self._excess: dict[str, Excess] = {}
        self._ages: dict[str, int] = {}

    def do(self, entry: Entry) -> Stepped | None:
        """None: it was refused, or is no command. Raises: Broken."""
        self.entries.append(entry)
        if isinstance(entry.what, str):
            (self._checkpoint if entry.what == "checkpoint" else self._restart)()
            return None
        is_looked_at = len(self.entries) % self._every == 0
        before = self.engine.hash() if is_looked_at else b""
        due_ns = self.engine.due_ns()
        now_ns = max(entry.at_ns, self.engine.state.now_ns)
        is_behind = not isinstance(entry.what, Tick) and due_ns is not None and due_ns <= now_ns
        try:
            stepped = self.engine.step(entry.what, entry.at_ns)
        except errors.Refused as refusal:
            self.refused += 1
            if is_looked_at and self.engine.hash() != before:
                self._break([Violation("refused", type(entry.what).__name__, f"{refusal} changed something")])
            return None
        except Exception as error:
            raise Broken([Violation("crash", type(entry.what).__name__, repr(error))], self.entries) from error
        if stepped.is_repeat:
            if is_looked_at and self.engine.hash() != before:
                self._break([Violation("repeat", stepped.subject, "changed something")])
            return stepped
        self.log.append((entry.at_ns, entry.what))
        self._look(entry.what, stepped)
        if not is_behind:
            self._break_if(self._overtaken(stepped.events))
        if is_looked_at:
            self.look_at_all()
        return stepped

    def _look(self, command: Command, stepped: Stepped) -> None:
        state = self.engine.state
        touched = {stepped.subject}
        for event in stepped.events:
            touched.add(event.subject)
            if "resource_id" in event.data:
                touched.add(event.data["resource_id"])
        found = check_touched(state, touched)
        found += self.fold.take(stepped.events, state)
        found += self._limits(command, touched)
        found += self._aged(command, touched)
        if stepped.position != len(self.log):
            found.append(Violation("I13", "log", f"position {stepped.position} after {len(self.log) - 1} commands"))
        due_ns = self.engine.due_ns()
        is_due = isinstance(command, Tick) and due_ns is not None and due_ns <= state.now_ns
        self._due_ticks = self._due_ticks + 1 if is_due else 0
        if self._due_ticks > _TICKS:
            found.append(Violation("I3", "timers", f"still due after {_TICKS} ticks in a row"))
        self._break_if(found)

    def _overtaken(self, events: Sequence[Event]) -> Iterable[Violation]:
        """I6, I7, I8 of what was offered in a step; who had a part in the step is no witness."""
        state = self.engine.state
        moved = {event.subject for event in events}
        for event in events:
            if event.type != "offer.issued" or event.data["rank"] in {"preferred", "force"}:
                continue
            task, resource = state.tasks.get(event.subject), state.resources[event.data["resource_id"]]
            if task is None:
                continue
            before = [each for each in passed_over(state, task, resource, event.data["order"]) if each.id not in moved]
            if before and task.queue == event.data["queue"]:
                detail = f"went to {resource.id} ({event.data['order']}) before {before[0].id}"
                yield Violation("I6", task.id, detail)

    def _limits(self, command: Command, touched: set[str]) -> Iterable[Violation]:
        """I2: nobody comes over his limits but by a supervisor's force, or because they were lowered."""
        state = self.engine.state
        may = isinstance(command, PutResource | Configure) or (isinstance(command, TransferTask) and command.is_forced)
        for name in state.resources if isinstance(command, Configure) else touched:
            resource = state.resources.get(name)
            if resource is None:
                continue
            now, before = excess(state, resource), self._excess.get(name, _NONE)
            if not may and any(late > soon for late, soon in zip(now, before, strict=True)):
                yield Violation("I2", name, f"{now} after {before}")
            self._excess[name] = now

    def _aged(self, command: Command, touched: set[str]) -> Iterable[Violation]:
        """I7: an age once begun is kept, unless a transfer says otherwise."""
        may = isinstance(command, TransferTask) and command.is_age_reset
        for name in touched:
            task = self.engine.state.tasks.get(name)
            if task is None or task.state in TERMINAL:
                self._ages.pop(name, None)
                continue
            before = self._ages.get(name, 0)
            has_begun = 0 < before <= self.engine.state.now_ns  # a callback's begins later, or by a supervisor's word
            if has_begun and task.queued_ns != before and not may:
                yield Violation("I7", name, f"its age began at {before}, now at {task.queued_ns}")
            self._ages[name] = task.queued_ns

    def look_at_all(self) -> None:
        """Everything, unless timers that are due have not fired yet. Raises: Broken."""
        state = self.engine.state
        due_ns = self.engine.due_ns()
        if due_ns is not None and due_ns <= state.now_ns:
            return
        self._break_if([*check(state), *self.fold.check(state), *self._unwritten()])

    def _unwritten(self) -> Iterable[Violation]:
        """I13: what differs from the last checkpoint is known to be changed, so the next one has it."""
        state = self.engine.state
        kinds: dict[str, dict[str, Any]] = {
            "task": state.tasks, "resource": state.resources, "queue": state.queues, "key": dict(state.keys),
        }  # fmt: skip
        touched = set(self.engine.touched())
        for kind, entities in kinds.items():
            for name, entity in entities.items():
                if (kind, name) not in touched and self._rows.get((kind, name)) != msgspec.msgpack.encode(entity):
                    yield Violation("I13", name, f"a checkpoint would not have the {kind}'s change")

    def _checkpoint(self) -> None:
        for change in self.engine.take_changes():
            if change.body is None or change.is_kept:
                self._rows.pop((change.kind, change.id), None)
            else:
                self._rows[change.kind, change.id] = change.body
        self._saved = len(self.log)
        self._break_if(self._unwritten())

    def _restart(self) -> None:
        """Go on with what the last checkpoint and the log after it give."""
        if not self._saved:
            return
        rows = [(kind, name, body) for (kind, name), body in self._rows.items()]
        engine = Engine.restore(rows, compile_condition)
        self._repeat(engine, self.log[self._saved :], "restart")
        if engine.hash() != self.engine.hash():
            self._break([Violation("I13", "restart", f"from {self._saved}: {_difference(engine, self.engine)}")])
        self.engine = engine

    def replay(self) -> None:
        """I13: the log alone gives the same. Raises: Broken."""
        engine = Engine(compile_condition, self.policy)
        self._repeat(engine, self.log, "replay")
        if engine.hash() != self.engine.hash():
            self._break([Violation("I13", "replay", _difference(engine, self.engine))])

    def _repeat(self, engine: Engine, log: Iterable[tuple[int, Command]], how: str) -> None:
        """What was accepted once is accepted again."""
        for at_ns, command in log:
            try:
                stepped = engine.step(command, at_ns)
            except errors.Refused as refusal:
                self._break([Violation("I13", how, f"{tell(command)} at {engine.state.position}: {refusal}")])
            if stepped.is_repeat:
                self._break([Violation("I13", how, f"{tell(command)} at {stepped.position} had been done before")])

    def _break_if(self, violations: Iterable[Violation]) -> None:
        found = list(violations)
        if found:
            self._break(found)

    def _break(self, violations: Sequence[Violation]) -> None:
        raise Broken(violations, self.entries)


def _difference(one: Engine, other: Engine) -> str:
    """The first thing that is not the same in two engines."""
    for kind in ("tasks", "resources", "queues", "keys"):
        mine, theirs = (msgspec.to_builtins(dict(getattr(engine.state, kind))) for engine in (one, other))
        for name in {**mine, **theirs}:
            left, right = mine.get(name, {}), theirs.get(name, {})
            fields = [field for field in {**left, **right} if left.get(field) != right.get(field)]
            if fields:
                return f"{kind} {name}: " + ", ".join(f"{each} {left.get(each)} / {right.get(each)}" for each in fields)
    return f"ended {one.state.ended} / {other.state.ended}, or the clock"


class Life:
    """A policy, and commands for it at times that are often the same and often just before or after a deadline."""

    def __init__(self, seed: int, *, every: int = _EVERY) -> None:
        self._rng = Random(seed)
        policy = assign_policy.policy(self._rng)
        self._commands = Commands(self._rng, policy)
        self.checked = Checked(policy, every=every)
        self._now_ns = BEGIN_NS + self._rng.randrange(7 * 86_400) * S
        for command in self._commands.opening():
            self.checked.do(Entry(self._now_ns, command))

    def live(self, steps: int) -> Checked:
        """So many random steps. Raises: Broken."""
        checked, rng = self.checked, self._rng
        until = len(checked.entries) + steps
        while len(checked.entries) < until:
            self._pass()
            roll = rng.random()
            if roll < 0.05:
                self._do("checkpoint" if roll < 0.048 else "restart")
                if roll >= 0.048:
                    self._do(Resume(epoch=checked.engine.state.epoch + 1))
            else:
                self._do(self._commands.draw(checked.engine.state))
        checked.look_at_all()
        checked.replay()
        return checked

    def _pass(self) -> None:
        """Time goes on, or does not, or back; then, nearly always, the timers that are due fire, as the desk has it."""
        rng, engine = self._rng, self.checked.engine
        due_ns = engine.due_ns()
        roll = rng.random()
        if roll < 0.5:
            pass
        elif roll < 0.7:
            self._now_ns += rng.randrange(S)
        elif roll < 0.9 and due_ns is not None:
            self._now_ns = max(self._now_ns, due_ns + rng.choice((-1, 0, 1, S // 4)))
        elif roll < 0.99:
            self._now_ns += rng.randrange(10 * S)
        elif roll < 0.993:
            self._now_ns -= rng.randrange(3 * S)
        elif roll < 0.996:
            self._now_ns += rng.randrange(7_200 * S)
        if rng.random() < 0.97:
            while (due_ns := engine.due_ns()) is not None and due_ns <= max(self._now_ns, engine.state.now_ns):
                self._do(Tick())

    def _do(self, what: Command | str) -> None:
        stepped = self.checked.do(Entry(self._now_ns, what))
        if stepped is not None:
            self._commands.matchings += stepped.matchings


def play(policy: Policy, entries: Iterable[Entry]) -> Broken | None:
    """Entries again, with a look at everything after each; returns how it breaks."""
    checked = Checked(policy, every=1)
    try:
        for entry in entries:
            checked.do(entry)
        checked.replay()
    except Broken as broken:
        return broken
    return None


def shrink(policy: Policy, broken: Broken) -> Broken:
    """Fewer entries that break the same invariant: halves, quarters … are left out as long as it stays broken."""
    kind = broken.violations[0].invariant

    def still(entries: Sequence[Entry]) -> Broken | None:
        found = play(policy, entries)
        return found if found is not None and any(each.invariant == kind for each in found.violations) else None

    best = still(broken.entries) or broken
    until_s = time.monotonic() + _PATIENCE_S
    size = max(1, len(best.entries) // 2)
    while size:
        at = 0
        while at < len(best.entries) and time.monotonic() < until_s:
            found = still([*best.entries[:at], *best.entries[at + size :]])
            if found is None:
                at += size
            else:
                best = found
        size //= 2
    return best


def tell(what: object) -> str:
    """A command or a policy, without what is at its default."""
    return msgspec.json.encode(what).decode()


def main() -> None:
    """Play one life."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1_000)
    given = parser.parse_args()
    life = Life(given.seed)
    try:
        checked = life.live(given.steps)
    except Broken as broken:
        print(f"broken after {len(broken.entries)} steps:\n{broken}", flush=True)
        small = shrink(life.checked.policy, broken)
        print(tell(life.checked.policy))
        for entry in small.entries:
            print(entry.at_ns - BEGIN_NS, tell(entry.what))
        if small.__cause__ is not None:
            traceback.print_exception(small.__cause__, file=sys.stdout)
        print(small)
        raise SystemExit(1) from None
    print(f"{len(checked.entries)} steps, {checked.refused} refused: nothing is broken")


if __name__ == "__main__":
    main()
