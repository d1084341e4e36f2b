"""What a step of the assignment engine costs, and 10^7 random ones with a look at the invariants after each.

    python -m tests.bench.assign_steps [--json]                               cost with 1,000 and with 10,000 agents
    python -m tests.bench.assign_steps --random-steps 10000000 --jobs 2       random lives; prints what is broken

The cost is measured on two engines by turns, in blocks A B B A, so that drift hits both alike. `quiet` is the
least p99 of a block: what is left when the neighbours are still. Quote the ratio.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections import defaultdict
from itertools import chain, count
from random import Random
from statistics import quantiles
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from router.assign.command import Accept, CompleteTask, CreateTask, PutResource, SetPresence, Tick
from router.assign.engine import Engine
from router.assign.entity import ChannelLimit
from router.assign.policy import ChannelPolicy, Policy, QueuePolicy
from tests.bench import report
from tests.simulation.assign_runner import BEGIN_NS, Broken, Life, compile_condition, shrink

if TYPE_CHECKING:
    import argparse

    from router.assign.command import Command
    from router.assign.engine import Stepped

MS = 1_000_000
QUEUES, WAITING, CAPACITY = 50, 100_000, 3
SKILLS = ("german", "french", "cards")
GOAL_US, GOAL_RATIO = 200.0, 1.5
_LIFE = 2_000
_BLOCK = 250
_DAY_S = 86_400.0


class Cost(msgspec.Struct, frozen=True):
    """Of one kind of step, in microseconds."""

    kind: str
    agents: int
    steps: int
    p50_us: float
    p99_us: float
    quiet_us: float
    """The least p99 of a block."""


class Desk:
    """An engine with all agents at work and a long line, and a stopwatch."""

    def __init__(self, agents: int, seed: int) -> None:
        self.agents = agents
        self.took_ns: dict[str, list[int]] = defaultdict(list)
        self.blocks: list[dict[str, list[int]]] = []
        self._rng = Random(seed)
        self._now_ns = BEGIN_NS
        self._numbers = count()
        self._engine = Engine(compile_condition, _policy())
        self._queues = [f"q{number}" for number in range(QUEUES)]
        for _ in range(WAITING + CAPACITY * agents):
            self._do(self._create())
        for number in range(agents):
            self._sign_in(number)
        self._held = [task.id for task in self._engine.state.tasks.values() if task.assignment is not None]
        self.took_ns.clear()

    def _sign_in(self, number: int) -> None:
        queues = (self._queues[number % QUEUES], self._queues[(number + 1) % QUEUES])
        skills = dict.fromkeys(SKILLS, 1 + number % 5)
        self._do(
            PutResource(
                id=f"a{number}", queues=queues, channels={"chat": ChannelLimit()}, capacity=CAPACITY, skills=skills
            )
        )
        stepped = self._do(SetPresence(resource_id=f"a{number}", presence="available", session="s"))
        for event in stepped.events:
            if event.type == "offer.issued":
                self._do(Accept(offer_id=event.data["offer_id"]))

    def _create(self) -> CreateTask:
        rng = self._rng
        skills = {rng.choice(SKILLS): rng.randint(1, 3)} if rng.random() < 0.3 else {}
        return CreateTask(id=f"t{next(self._numbers)}", queue=rng.choice(self._queues), skills=skills)

    def _do(self, command: Command) -> Stepped:
        self._now_ns += MS
        engine = self._engine
        due_ns = engine.due_ns()
        if due_ns is not None and due_ns <= self._now_ns:
            self._timed(Tick())
        return self._timed(command)

    def _timed(self, command: Command) -> Stepped:
        began_ns = time.perf_counter_ns()
        stepped = self._engine.step(command, self._now_ns)
        self.took_ns[type(command).__name__].append(time.perf_counter_ns() - began_ns)
        return stepped

    def work(self, rounds: int) -> None:
        """So often: one more comes, somebody is done, gets the next offer and accepts it."""
        for _ in range(rounds):
            self._do(self._create())
            at = self._rng.randrange(len(self._held))
            task_id, self._held[at] = self._held[at], self._held[-1]
            self._held.pop()
            stepped = self._do(CompleteTask(task_id=task_id))
            for event in stepped.events:
                if event.type == "offer.issued":
                    self._do(Accept(offer_id=event.data["offer_id"]))
                    self._held.append(event.subject)
        self._engine.take_changes()

    def turn(self) -> None:
        """One block of work, measured."""
        self.took_ns.clear()
        self.work(_BLOCK)
        self.blocks.append({**self.took_ns, "all": list(chain.from_iterable(self.took_ns.values()))})

    def costs(self) -> list[Cost]:
        """Of each kind, and of all."""
        found = []
        for kind in sorted(self.blocks[0]):
            blocks = [quantiles(block[kind], n=100) for block in self.blocks if len(block.get(kind, ())) > 1]
            took = quantiles(chain.from_iterable(block.get(kind, ()) for block in self.blocks), n=100)
            steps = sum(len(block.get(kind, ())) for block in self.blocks)
            quiet_ns = min(block[98] for block in blocks)
            found.append(Cost(kind, self.agents, steps, took[49] / 1e3, took[98] / 1e3, quiet_ns / 1e3))
        return found


def _policy() -> Policy:
    return Policy(
        channels={"chat": ChannelPolicy(wrap_s=0.0)},
        queues={f"q{number}": QueuePolicy(target_s=_DAY_S, most=1_000_000) for number in range(QUEUES)},
        max_tasks=1_000_000,
    )


class Lives(NamedTuple):
    """Random lives that were lived."""

    steps: int
    refused: int
    broken: tuple[str, ...]


def live(seed: int) -> Lives:
    """One life, with what broke in it, as short as it could be made."""
    life = Life(seed)
    try:
        checked = life.live(_LIFE)
    except Broken as broken:
        small = shrink(life.checked.policy, broken)
        told = "\n".join(f"  {entry.at_ns - BEGIN_NS} {entry.what}" for entry in small.entries)
        return Lives(len(broken.entries), 0, (f"seed {seed}: {broken}\n{told}\n  {small}",))
    return Lives(len(checked.entries), checked.refused, ())


def random_steps(given: argparse.Namespace) -> bool:
    """Lives until there were enough steps, in several processes."""
    began_s = time.monotonic()
    steps = refused = said = 0
    broken: list[str] = []
    seeds = range(given.seed, given.seed + -(-given.random_steps // _LIFE))
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for lives in pool.imap_unordered(live, seeds, chunksize=8):
            steps, refused = steps + lives.steps, refused + lives.refused
            broken += lives.broken
            for each in lives.broken:
                print(each, flush=True)
            if steps >= said + given.random_steps // 20:
                said = steps
                report.pace(f"{steps:,} steps, {refused:,} refused, {len(broken)} lives broken", began_s)
    took_s = time.monotonic() - began_s
    print(f"{steps:,} steps of {len(seeds):,} lives in {took_s:,.0f} s, {refused:,} refused")
    report.write_json("assign-random", given, {"steps": steps, "refused": refused, "broken": broken, "took_s": took_s})
    return report.verdict(f"no invariant was violated in {steps:,} random steps", is_met=not broken)


def cost(given: argparse.Namespace) -> bool:
    """Both sizes by turns, and the table."""
    began_s = time.monotonic()
    desks = []
    for agents in given.agents:
        desks.append(Desk(agents, given.seed))
        report.pace(f"{agents:,} agents at work, {WAITING:,} tasks wait in {QUEUES} queues", began_s)
    gc.collect()
    gc.freeze()
    for desk in desks:
        desk.work(_BLOCK)
    for _ in range(given.blocks):
        for desk in (*desks, *reversed(desks)):
            desk.turn()
    costs = [each for desk in desks for each in desk.costs()]
    report.table(
        ("step", "agents", "steps", "p50 us", "p99 us", "quiet p99 us"),
        [(each.kind, f"{each.agents:,}", f"{each.steps:,}", each.p50_us, each.p99_us, each.quiet_us) for each in costs],
    )
    few, many = (each for each in costs if each.kind == "all")
    ratios = many.p50_us / few.p50_us, many.quiet_us / few.quiet_us
    print(f"{many.agents:,} over {few.agents:,} agents: p50 {ratios[0]:.2f}, quiet p99 {ratios[1]:.2f}")
    fast = report.verdict(
        f"a step costs at most {GOAL_US:g} us p99 at {many.agents:,} agents", is_met=many.quiet_us <= GOAL_US
    )
    even = report.verdict(f"and at most {GOAL_RATIO:g} times that at {few.agents:,}", is_met=max(ratios) <= GOAL_RATIO)
    report.write_json("assign-steps", given, {"costs": costs, "ratio_p50": ratios[0], "ratio_quiet_p99": ratios[1]})
    return fast and even


def main() -> None:
    """Steps for their cost, or random ones."""
    parser = report.parser(__doc__)
    parser.add_argument("--random-steps", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--agents", type=int, nargs=2, default=(1_000, 10_000))
    parser.add_argument("--blocks", type=int, default=20)
    given = parser.parse_args()
    is_met = random_steps(given) if given.random_steps else cost(given)
    raise SystemExit(not is_met)


if __name__ == "__main__":
    main()
