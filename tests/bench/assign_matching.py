"""What batch matching costs: the solver, and how long it keeps the event loop from other work.

Run: python -m tests.bench.assign_matching. First the solver alone, with a third of the pairs forbidden, against the
greedy choice. Then a desk on uvloop whose queue is matched again and again at full size: 200 tasks, 200 agents, a score
of five weights; each round is gather, meet, score, solve, propose, accept and complete. A timer of 1 ms tells how late
the event loop is, and each of the desk's own turns is timed. Goals: 200 x 200 in 10 ms at p99, blocks
of the event loop up to 5 ms at p99.9. Quote figures of a quiet machine only.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np
import uvloop

from budgets.clock import SystemClock
from router.assign.command import Accept, CompleteTask, CreateTask, PutResource, SetPresence
from router.assign.entity import ChannelLimit
from router.assign.policy import ChannelPolicy, Policy, QueuePolicy, ScorePolicy
from router.desk import matcher as matching
from router.desk import solve as solving
from router.desk.desk import Desk
from router.desk.solve import Problem, solve, value_of
from router.log.memory import MemoryJournal
from tests.bench.report import parser, table, verdict, write_json
from tests.greedy_pairs import solve_greedily

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZES = (10, 50, 200)
WEIGHTS = {
    "task.context.topic=cards * agent.skill.cards": 0.2,
    "task.context.topic=loans * agent.skill.loans": 0.2,
    "agent.attributes.senior": 0.1,
    "task.context.value * agent.attributes.senior": 0.01,
    "task.priority": 0.05,
}
MS = 1e6
PROBE_S = 0.001
SOLVE_MS, BLOCK_MS = 10.0, 5.0
LATE = "timers late"


HEADER = ("ms", "p50", "p99", "p99.9", "max", "n")
Row = tuple[str, float, float, float, float, int]


def row_of(name: str, times_ns: Sequence[float]) -> Row:
    p50, p99, p999 = (float(each) / MS for each in np.quantile(times_ns, [0.5, 0.99, 0.999]))
    return name, p50, p99, p999, max(times_ns) / MS, len(times_ns)


def problem_of(size: int, rng: np.random.Generator) -> Problem:
    return Problem(
        scores=rng.random((size, size)), allowed=rng.random((size, size)) > 1 / 3, urgency_s=rng.random(size) * 300,
        age_s=rng.random(size) * 300, idle_s=rng.random(size) * 600, urgency_share=0.5, fairness_share=0.2,
        max_overtake_s=60.0,
    )  # fmt: skip


def measure_solver(repeats: int, rng: np.random.Generator) -> list[Row]:
    began_ns = perf_counter_ns()
    solving.load()
    print(f"loading the solver: {(perf_counter_ns() - began_ns) / MS:.0f} ms, once\n")
    rows = []
    for size in SIZES:
        times, gains = [], []
        for _ in range(repeats):
            problem = problem_of(size, rng)
            began_ns = perf_counter_ns()
            pairs = solve(problem)
            times.append(perf_counter_ns() - began_ns)
            value = value_of(problem)
            best, greedy = (sum(value[i, j] for i, j in each) for each in (pairs, solve_greedily(problem)))
            gains.append(best / greedy - 1)
        rows.append(row_of(f"solve {size} x {size} ({100 * float(np.mean(gains)):+.1f} % over greedy)", times))
    return rows


@dataclass
class Blocks:
    """How late the event loop runs a timer, and how long it is kept by what."""

    late_ns: list[float] = field(default_factory=list)
    kept_ns: dict[str, list[float]] = field(default_factory=dict)

    async def probe(self) -> None:
        while True:
            began_ns = perf_counter_ns()
            await asyncio.sleep(PROBE_S)
            self.late_ns.append(max(0, perf_counter_ns() - began_ns - PROBE_S * 1e9))

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        times = self.kept_ns.setdefault(name, [])

        def run(*args: Any, **kwargs: Any) -> Any:
            began_ns = perf_counter_ns()
            try:
                return call(*args, **kwargs)
            finally:
                times.append(perf_counter_ns() - began_ns)

        return run


def policy_of() -> Policy:
    queue = QueuePolicy(rank="score", score="fit", window_ms=20.0, urgency_share=0.5, fairness_share=0.2)
    channel = ChannelPolicy(wrap_s=0.0)
    return Policy(queues={"q": queue}, channels={"chat": channel}, scores={"fit": ScorePolicy(weights=WEIGHTS)})


def agents(size: int, rng: np.random.Generator) -> list[PutResource]:
    return [
        PutResource(
            id=f"a{number}", queues=("q",), channels={"chat": ChannelLimit(most=1)},
            skills={"cards": int(rng.integers(1, 6)), "loans": int(rng.integers(1, 6))},
            attributes={"senior": bool(rng.integers(2))},
        )
        for number in range(size)
    ]  # fmt: skip


async def one_round(desk: Desk, number: int, size: int, rng: np.random.Generator) -> None:
    """Tasks for everybody, matched in one go; then all is accepted and done, bit by bit."""
    for each in range(size):
        topic = ("cards", "loans")[int(rng.integers(2))]
        desk.submit_now(
            CreateTask(id=f"t{number}-{each}", queue="q", context={"topic": topic, "value": int(rng.integers(100))})
        )
        if each % 10 == 0:
            await asyncio.sleep(0)
    tasks = [desk.state.tasks[f"t{number}-{each}"] for each in range(size)]
    while not all(task.offers for task in tasks):
        await asyncio.sleep(0.005)
    for task in tasks:
        await desk.submit(Accept(offer_id=task.offers[-1].id))
        await desk.submit(CompleteTask(task_id=task.id))
        desk.heartbeat(task.offers[-1].resource_id)


async def measure_desk(size: int, rounds: int, rng: np.random.Generator) -> list[Row]:
    blocks = Blocks()
    desk = Desk(MemoryJournal(most=1), SystemClock(), policy_of(), lambda _: lambda _: True)
    await desk.start()
    await asyncio.sleep(1.0)  # the solver is loaded
    for each in agents(size, rng):
        await desk.submit(each)
        await desk.submit(SetPresence(resource_id=each.id, presence="available"))
    engine = desk._engine
    engine.step = partial(_by_command, blocks, engine.step)  # type: ignore[method-assign] # to time it
    engine.take_changes = blocks.timed("rows of a checkpoint", engine.take_changes)  # type: ignore[method-assign]
    for name in ("meet", "score_all"):
        setattr(matching, name, blocks.timed(name, getattr(matching, name)))
    gc.collect()
    gc.freeze()  # as a server does when it has started
    probe = asyncio.create_task(blocks.probe())
    for number in range(rounds):
        await one_round(desk, number, size, rng)
    probe.cancel()
    print(f"\n{desk._matcher.late_total} matchings late, {desk._matcher.failed_total} failed\n")
    await desk.close()
    return [row_of(LATE, blocks.late_ns), *(row_of(*each) for each in sorted(blocks.kept_ns.items()))]


def _by_command(blocks: Blocks, step: Callable[..., Any], command: Any, now_ns: int) -> Any:
    return blocks.timed(f"step: {type(command).__name__}", step)(command, now_ns)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--repeats", type=int, default=1_000, help="of the solver")
    arguments.add_argument("--rounds", type=int, default=100, help="of the desk")
    chosen = arguments.parse_args()
    rng = np.random.default_rng(chosen.seed)
    rows = measure_solver(chosen.repeats, rng)
    table(HEADER, rows)
    largest = rows[-1]
    rows += uvloop.run(measure_desk(SIZES[-1], chosen.rounds, rng))
    table(HEADER, rows[len(SIZES) :])
    late = next(each for each in rows if each[0] == LATE)
    verdict(f"200 x 200 in 10 ms at p99: {largest[2]:.1f} ms", is_met=largest[2] <= SOLVE_MS)
    verdict(f"the event loop late by at most 5 ms at p99.9: {late[3]:.1f} ms", is_met=late[3] <= BLOCK_MS)
    write_json("assign_matching", chosen, [dict(zip(HEADER, each, strict=True)) for each in rows])


if __name__ == "__main__":
    main()
